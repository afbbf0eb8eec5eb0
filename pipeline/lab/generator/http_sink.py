"""Sends to `POST /events`, one event for each request. After a 429 or 503 it waits and tries again."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from pipeline.errors import MissingError, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.lab.generator.ledger import Ledger
    from pipeline.lab.generator.stream import Record

_TRY_AGAIN = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_REFUSED = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY}
)
_REQUEST_TIMEOUT_S = 30.0
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0


@dataclass(slots=True)
class HttpSink:
    """Takes events to an ingest over HTTP.

    Attributes:
        client: the connections.
        url: of the ingest.
        ledger: takes note of each answer.
        patience_s: the run ends when an event was tried for so long.
    """

    client: aiohttp.ClientSession
    url: str
    ledger: Ledger
    patience_s: float

    def lane(self, record: Record, lanes: int) -> int:
        """By user."""
        return record.who.user.index % lanes

    async def send(self, records: list[Record]) -> None:
        """Posts records one after the other.

        Raises:
            MissingError: nobody answers, or not as an ingest does.
        """
        for record in records:
            await self._post(record)
            self.ledger.advance(1)

    async def _post(self, record: Record) -> None:
        give_up = time.monotonic() + self.patience_s
        pause_s = _FIRST_PAUSE_S
        headers = {"Content-Type": "application/json"}
        while True:
            told_s = None
            try:
                async with self.client.post(self.url, data=record.value or b"", headers=headers) as answer:
                    if answer.status == HTTPStatus.ACCEPTED:
                        self.ledger.took(record, None)
                        return
                    if answer.status in _REFUSED:
                        self.ledger.refuse(record)
                        return
                    trouble = f"answers {answer.status}"
                    if answer.status not in _TRY_AGAIN:
                        raise MissingError(
                            f"{self.url} {trouble} to an event, as no ingest does; check --to-http"
                        )
                    told_s = retry_after_s(answer.headers.get("Retry-After"), time.time())
            except aiohttp.ClientConnectorError as error:
                if not self.ledger.events:
                    raise MissingError(
                        f"{self.url} cannot be reached ({error.strerror or error}); "
                        "start a worker there, or check --to-http"
                    ) from error
                trouble = f"does not answer ({error})"
            except (aiohttp.ClientError, TimeoutError) as error:
                trouble = f"does not answer ({str(error) or type(error).__name__})"
            wait_s = pause_s if told_s is None else told_s
            if time.monotonic() + wait_s > give_up:
                raise MissingError(
                    f"{self.url} {trouble}, tried for {self.patience_s:g} s; "
                    f"{self.ledger.events} events were taken"
                )
            await asyncio.sleep(wait_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def retry_after_s(header: str | None, now_s: float) -> float | None:
    """The seconds in a Retry-After header (RFC 9110, 10.2.3); None if it cannot be read.

    Args:
        header: a number of seconds, or a date.
        now_s: the clock, in seconds since 1970.
    """
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now_s)
    except ValueError:
        return None


def ingest_url(given: str) -> str:
    """The URL of the ingest. A URL without a path means `/events`.

    Raises:
        UsageError: it is not an HTTP URL.
    """
    parts = urlsplit(given)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"--to-http {given} is not a URL; write it like http://127.0.0.1:8000")
    path = "/events" if parts.path in {"", "/"} else parts.path
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


@asynccontextmanager
async def http_sink(url: str, ledger: Ledger, lanes: int, patience_s: float) -> AsyncIterator[HttpSink]:
    """A sink with its connections, one per task."""
    timeout = aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT_S)
    connector = aiohttp.TCPConnector(limit=lanes)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as client:
        yield HttpSink(client, url, ledger, patience_s)
