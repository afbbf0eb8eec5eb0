"""The token of the demo's analyst, with which the demo and the benchmark ask a worker that they started."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from http import HTTPStatus
from typing import Final

FORM: Final = {"username": "analyst", "password": "analyst123"}
"""The password is public, because the demo listens on loopback only."""


def demo_token(web_address: str, timeout_s: float = 5.0) -> str:
    """A token for the views of a worker of the demo.

    Args:
        web_address: of the worker.
        timeout_s: of the request.

    Raises:
        OSError: the worker does not answer, or refuses.
        ValueError: the answer is not that of a worker.
    """
    form = urllib.parse.urlencode(FORM).encode()
    with urllib.request.urlopen(f"{web_address}/token", data=form, timeout=timeout_s) as answer:  # noqa: S310 - http
        token = json.load(answer)["access_token"]
    return str(token)


class DemoWorker:
    """Asks a worker of the demo with a token, and gets a new token when the old one has ended."""

    def __init__(self, web_address: str, timeout_s: float = 5.0) -> None:
        self._address = web_address
        self._timeout_s = timeout_s
        self._token: str | None = None

    def get(self, path: str) -> bytes:
        """The body of a good answer.

        Args:
            path: of the view.

        Raises:
            OSError: the worker does not answer; `urllib.error.HTTPError`: it refuses.
            ValueError: the answer to the log-in is not that of a worker.
        """
        if self._token is None:
            self._token = demo_token(self._address, self._timeout_s)
        request = urllib.request.Request(  # noqa: S310 - http, on loopback
            self._address + path, headers={"Authorization": f"Bearer {self._token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s) as answer:  # noqa: S310 - as above
                body: bytes = answer.read()
                return body
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.UNAUTHORIZED:
                self._token = None
            raise
