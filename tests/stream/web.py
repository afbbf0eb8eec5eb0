"""A client of the web views of real workers."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.stream.harness import Worker

SECRET = "a secret of the tests, 32 characters and more"


def event(user_id="somebody", **fields):
    """An event as a client of the first version posts it: lower case, whole seconds with Z."""
    return {
        "event_id": uuid.uuid4().hex,
        "user_id": user_id,
        "device_id": "tv-1",
        "content_id": "film-1",
        "event_type": "play",
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "region": "US",
        "is_eu": False,
        "has_consent": True,
        "ip_address": "203.0.113.7",
        **fields,
    }


class Answer(NamedTuple):
    """What came back; `body` is JSON where it is some."""

    status: int
    body: Any
    headers: dict[str, str]


class Web:
    """Calls any worker, as a user of the demo, or as nobody."""

    def __init__(self, workers: list[Worker]) -> None:
        self.workers = workers
        self._tokens: dict[str, str] = {}

    def call(
        self,
        method: str,
        path: str,
        *,
        worker: int = 0,
        name: str | None = "admin",
        body: Any = None,
        form: dict[str, str] | None = None,
        media_type: str = "application/json",
    ) -> Answer:
        headers: dict[str, str] = {}
        data = None
        if form is not None:
            data, headers["Content-Type"] = (
                urllib.parse.urlencode(form).encode(),
                "application/x-www-form-urlencoded",
            )
        elif body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers["Content-Type"] = media_type
        if name is not None:
            headers["Authorization"] = f"Bearer {self.token(name)}"
        request = urllib.request.Request(
            self.workers[worker].address + path, data=data, headers=headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                return _answer(answer.status, answer.read(), answer.headers)
        except urllib.error.HTTPError as error:
            return _answer(error.code, error.read(), error.headers)

    def get(self, path: str, **more: Any) -> Any:
        """The body of a good answer."""
        answer = self.call("GET", path, **more)
        assert answer.status == 200, answer
        return answer.body

    def post(self, path: str, status: int = 200, **more: Any) -> Any:
        """The body of an answer with this status."""
        answer = self.call("POST", path, **more)
        assert answer.status == status, answer
        return answer.body

    def wait_for(self, path: str, holds: Callable[[Any], Any] = lambda _: True, seconds: float = 60.0) -> Any:
        """The first good answer that holds."""
        deadline = time.monotonic() + seconds
        while True:
            answer = self.call("GET", path)
            if answer.status == 200 and holds(answer.body):
                return answer.body
            assert time.monotonic() < deadline, answer
            time.sleep(0.2)

    def token(self, name: str) -> str:
        """Of one worker; good for all."""
        if name not in self._tokens:
            form = {"username": name, "password": f"{name}123"}
            answer = self.call("POST", "/token", name=None, form=form)
            assert answer.status == 200, answer
            self._tokens[name] = answer.body["access_token"]
        return self._tokens[name]

    def sign_out(self) -> None:
        """Forget all tokens: the next calls sign in."""
        self._tokens.clear()

    def wait_covered(self, seconds: float = 60.0) -> None:
        """Until every worker says that each has partitions, and none is missing."""
        deadline = time.monotonic() + seconds
        while True:
            found = [self.call("GET", "/stats/summary", worker=number) for number in range(len(self.workers))]
            if all(
                answer.status == 200
                and not answer.body["coverage"]["missing"]
                and answer.body["workers"] == len(self.workers)
                for answer in found
            ):
                return
            assert time.monotonic() < deadline, found
            time.sleep(0.2)


def _answer(status: int, body: bytes, headers: Any) -> Answer:
    try:
        content = json.loads(body)
    except ValueError:
        content = body.decode(errors="replace")
    return Answer(status, content, dict(headers))
