"""Requests to the web views of a worker at an even pace, each sent when it is due.

One is sent whether or not the ones before it are answered, and its time counts from the instant at which it was due:
waiting for slow answers would hide them (coordinated omission).
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import cycle
from typing import TYPE_CHECKING, Final

import aiohttp

from pipeline.errors import MissingError
from pipeline.lab.demo_token import FORM as DEMO_FORM

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from pipeline.lab.benchmark.running import Running

REQUESTS_PER_S: Final = 50
KEY_VIEW: Final = "/users/{user_id}"
OTHER_VIEWS: Final = (
    "/stats/summary",
    "/compliance/events?limit=50",
    "/results/latest",
    "/alerts",
    "/stats/content/{content_id}",
    "/stats/content",
    "/stats/device/{device_id}",
    "/stats/region/{region}",
    "/compliance/summary",
)
"""The mix: each in its turn, and a user's view before each. In braces stands a member of an event."""

_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.1
_OK: Final = 200
_MEMBERS: Final = ("user_id", "content_id", "device_id", "region")

Subject = dict[str, str]
"""Members of an event that name what views are asked about."""


def subjects_of(records: Iterable[tuple[bytes, bytes]]) -> list[Subject]:
    """Whom and what the records are about, one subject for each user; broken records are passed over."""
    found: dict[str, Subject] = {}
    for _, value in records:
        with suppress(ValueError, KeyError):
            event = json.loads(value)
            found.setdefault(event["user_id"], {name: event[name] for name in _MEMBERS})
    return list(found.values())


def paths_of(subjects: Iterable[Subject]) -> Iterator[str]:
    """The mix, filled in with one subject after the other, without end."""
    for subject, other in zip(cycle(subjects), cycle(OTHER_VIEWS), strict=False):
        yield KEY_VIEW.format(**subject)
        yield other.format(**subject)


@dataclass(slots=True)
class Asked:
    """What came of requests.

    Attributes:
        requests: that were sent and came to an end.
        key_s: seconds from when a user's view was due to the end of its answer; those without an answer
            in time are among them, those answered with an error are not.
        late_s: seconds from when a request was due until it was sent: what the measuring itself is slow by.
        refused: what came instead of a good answer: a status, or the name of an error.
    """

    requests: int = 0
    key_s: list[float] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    def add(self, other: Asked) -> None:
        """Add what came of others."""
        self.requests += other.requests
        self.key_s += other.key_s
        self.late_s += other.late_s
        self.refused += other.refused


def log_in(running: Running) -> str:
    """A token of the demo's analyst, as soon as the worker's web answers.

    Raises:
        MissingError: the worker ended, or refuses the account.
    """
    return asyncio.run(_log_in(running))


async def _log_in(running: Running) -> str:
    address = _address(running.settings.web_port)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as client:
        while True:
            running.look()
            try:
                async with client.post(f"{address}/token", data=DEMO_FORM) as answer:
                    if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
                        # It has only just started, and knows in a moment which tokens are revoked.
                        await asyncio.sleep(_POLL_S)
                        continue
                    if answer.status != _OK:
                        raise MissingError(
                            f"POST /token of the worker answered {answer.status} for {DEMO_FORM['username']}; "
                            f"its log: {running.log}"
                        )
                    document = await answer.json()
                    return str(document["access_token"])
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(_POLL_S)


async def ask(
    port: int, token: str, paths: Iterable[str], asked: Asked, stop: asyncio.Event | None = None
) -> None:
    """Send requests at `REQUESTS_PER_S`, from when the worker is ready; returns when all have ended.

    Args:
        port: of the worker's web, on loopback.
        token: of an analyst.
        paths: to ask for.
        asked: takes what comes of them.
        stop: ends it before the paths do.
    """
    stop = stop or asyncio.Event()
    timeout, headers = aiohttp.ClientTimeout(total=_TIMEOUT_S), {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(_address(port), timeout=timeout, headers=headers) as client:
        await _ready(client, stop)
        begin, tasks = time.perf_counter(), set[asyncio.Task[None]]()
        for number, path in enumerate(paths):
            due = begin + number / REQUESTS_PER_S
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(0.0, due - time.perf_counter()))
            if stop.is_set():
                break
            task = asyncio.create_task(_one(client, path, due, asked))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)


def ask_all(port: int, token: str, paths: Sequence[str]) -> Asked:
    """As `ask`, for a process of its own."""
    asked = Asked()
    asyncio.run(ask(port, token, paths, asked))
    return asked


async def _one(client: aiohttp.ClientSession, path: str, due: float, asked: Asked) -> None:
    asked.late_s.append(time.perf_counter() - due)
    refusal, counts = None, True
    try:
        async with client.get(path) as answer:
            await answer.read()
        if answer.status != _OK:
            refusal, counts = str(answer.status), False
    except TimeoutError:
        refusal = "timeout"
    except aiohttp.ClientError as error:
        refusal, counts = type(error).__name__, False
    asked.requests += 1
    if refusal is not None:
        asked.refused[refusal] += 1
    if counts and path.startswith("/users/"):
        asked.key_s.append(time.perf_counter() - due)


async def _ready(client: aiohttp.ClientSession, stop: asyncio.Event) -> None:
    """Wait until the worker has its state and its partitions."""
    while not stop.is_set():
        with suppress(aiohttp.ClientError, TimeoutError):
            async with client.get("/readyz") as answer:
                if answer.status == _OK:
                    return
        await asyncio.sleep(_POLL_S)


def _address(port: int) -> str:
    return f"http://127.0.0.1:{port}"


class Asking:
    """Requests in a thread of their own while the `with` block lasts; `asked` is whole after it."""

    def __init__(self, port: int, token: str, paths: Iterable[str]) -> None:
        """Nothing is sent yet; see `ask`."""
        self.asked = Asked()
        self._port, self._token, self._paths = port, token, paths
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="requests", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()
        if self._error is not None and error is None:
            raise self._error

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(ask(self._port, self._token, self._paths, self.asked, self._stop))
        except Exception as error:  # noqa: BLE001 - raised again by the thread that waits
            self._error = error
