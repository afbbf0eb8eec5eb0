"""What the web views cost beside the stream, and how soon a key's view answers.

A worker is given events at an even pace. In four stretches, without requests, with, with, without (so that a drift
cancels), its processor time is compared; in the two with requests each is sent when it is due, answered or not the one
before, and its time counts from that instant.
"""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from statistics import quantiles
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from pipeline.benchmark.clients import Sender
from pipeline.errors import MissingError
from pipeline.topics import RAW_EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pipeline.benchmark.running import Running

REQUESTS_PER_S: Final = 50
_WARM_UP_S: Final = 10.0
_TIMEOUT_S: Final = 10.0
_KEY: Final = "/users/"
_OTHERS: Final = (
    "/stats/summary",
    "/compliance/events?limit=50",
    "/results/latest",
    "/alerts",
    "/stats/content",
    "/stats/region/DE",
    "/compliance/summary",
)
"""What the dashboard asks; between two of them a user's view is asked."""


@dataclass(frozen=True, slots=True)
class WebCost:
    """One run.

    Attributes:
        events_per_s: that were really sent.
        requests_per_s: in the stretches with requests.
        quiet_cpu_share: of a core, in the stretches without requests.
        asked_cpu_share: in those with.
        cost_share: how much more processor time an event took with requests.
        key_p50_ms: a key's view, from the instant at which the request was due to the end of the answer.
        key_p99_ms: the same.
        key_max_ms: the same.
        requests: that were sent.
        refused: answers other than 200.
    """

    events_per_s: float
    requests_per_s: float
    quiet_cpu_share: float
    asked_cpu_share: float
    cost_share: float
    key_p50_ms: float
    key_p99_ms: float
    key_max_ms: float
    requests: int
    refused: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(slots=True)
class _Asked:
    """What came of the requests: seconds of those for a key."""

    keys: list[float]
    requests: int = 0
    refused: int = 0


def measure_web(
    running: Running,
    records: Iterable[tuple[bytes, bytes]],
    users: Sequence[str],
    per_second: float,
    stretch_s: float,
) -> WebCost:
    """Measure a worker whose topics are new and empty.

    Args:
        running: the worker.
        records: keys and values, enough for all stretches.
        users: ids to ask for.
        per_second: the pace of the events.
        stretch_s: how long each of the four stretches is.

    Raises:
        MissingError: the worker ended, or the broker does not take the records.
    """
    running.wait_until(lambda sample: sample.accounts is not None, "its start")
    sender = Sender(running.settings, running.settings.topic(RAW_EVENTS.name))
    sent: list[float] = []
    failures: list[MissingError] = []

    def send() -> None:
        try:
            sent.append(sender.send_paced(records, per_second)[1])
        except MissingError as error:
            failures.append(error)

    sending = threading.Thread(target=send, name="web benchmark", daemon=True)
    sending.start()
    time.sleep(_WARM_UP_S)
    asked = _Asked([])
    shares: dict[bool, list[float]] = {False: [], True: []}
    for with_requests in (False, True, True, False):
        before = running.look()
        if with_requests:
            asyncio.run(_ask(running.settings.web_port, users, stretch_s, asked))
        else:
            time.sleep(stretch_s)
        after = running.look()
        shares[with_requests].append((after.cpu_s - before.cpu_s) / (after.at - before.at))
    sending.join()
    if failures:
        raise failures[0]
    quiet, loaded = (sum(shares[kind]) / len(shares[kind]) for kind in (False, True))
    points = quantiles(asked.keys, n=100) if len(asked.keys) > 1 else asked.keys * 99
    return WebCost(
        events_per_s=round(sent[0]),
        requests_per_s=REQUESTS_PER_S,
        quiet_cpu_share=round(quiet, 3),
        asked_cpu_share=round(loaded, 3),
        cost_share=round(loaded / quiet - 1, 4),
        key_p50_ms=round(points[49] * 1000, 1),
        key_p99_ms=round(points[98] * 1000, 1),
        key_max_ms=round(max(asked.keys) * 1000, 1),
        requests=asked.requests,
        refused=asked.refused,
    )


async def _ask(port: int, users: Sequence[str], seconds: float, asked: _Asked) -> None:
    """Send requests at an even pace."""
    address = f"http://127.0.0.1:{port}"
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as client:
        form = {"username": "analyst", "password": "analyst123"}
        async with client.post(f"{address}/token", data=form) as answer:
            token = (await answer.json())["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        begin = time.perf_counter()

        async def ask(path: str, due: float) -> None:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            try:
                async with client.get(address + path, headers=headers) as answer:
                    await answer.read()
                    good = answer.status == 200  # noqa: PLR2004 - HTTP's own
            except (aiohttp.ClientError, TimeoutError):
                good = False
            asked.requests += 1
            asked.refused += not good
            if path.startswith(_KEY):
                asked.keys.append(time.perf_counter() - due)

        count = int(seconds * REQUESTS_PER_S)
        paths = enumerate(islice(_paths(users), count))
        await asyncio.gather(*(ask(path, begin + number / REQUESTS_PER_S) for number, path in paths))


def _paths(users: Sequence[str]) -> Iterator[str]:
    """A user's view and another view in turn, without end."""
    for user, other in zip(cycle(users), cycle(_OTHERS), strict=False):
        yield f"{_KEY}{user}"
        yield other


def web_lines(cost: WebCost) -> list[str]:
    """The figures, one a line."""
    rows = (
        ("events/s", f"{cost.events_per_s:,}"),
        ("requests/s", f"{cost.requests_per_s:,}"),
        ("of a core, without requests", f"{cost.quiet_cpu_share:.3f}"),
        ("    with requests", f"{cost.asked_cpu_share:.3f}"),
        ("    more, per cent", f"{100 * cost.cost_share:.1f}"),
        ("a key's view, p50, ms", f"{cost.key_p50_ms:,}"),
        ("    p99, ms", f"{cost.key_p99_ms:,}"),
        ("    at most, ms", f"{cost.key_max_ms:,}"),
        ("requests", f"{cost.requests:,}"),
        ("    not answered with 200", f"{cost.refused:,}"),
    )
    return [f"{label:32}{value:>14}" for label, value in rows]
