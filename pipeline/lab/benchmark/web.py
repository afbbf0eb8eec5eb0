"""The cost of requests to the web views for the stream, and the time in which a user's view answers.

The cost is measured while a worker has a backlog, in short stretches without and with requests. Whole runs differ so
much that a cost of some per cent would not be visible between them. Answers are timed beside an even load, also in
stretches of one worker. Its processor time in them tells the cost of requests for a worker that is not busy.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import reduce
from itertools import islice
from multiprocessing import get_context
from operator import add
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import MissingError, RefusedError
from pipeline.kafka.topics import RAW_EVENTS
from pipeline.lab.benchmark.clients import Sender
from pipeline.lab.benchmark.latency import quantile
from pipeline.lab.benchmark.requests import REQUESTS_PER_S, Asked, Asking, ask_all, log_in, paths_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from pipeline.lab.benchmark.requests import Subject
    from pipeline.lab.benchmark.running import Running, Sample

WITH_REQUESTS: Final = (False, True, True, False)
"""The order of the stretches. It cancels a drift of the machine."""
WARM_UP_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """The work of a worker in some seconds.

    Attributes:
        events: that ended.
        seconds: that it lasted.
        cpu_s: processor time of all threads.
    """

    events: int
    seconds: float
    cpu_s: float

    def __add__(self, other: Stretch) -> Stretch:
        return Stretch(self.events + other.events, self.seconds + other.seconds, self.cpu_s + other.cpu_s)

    @property
    def events_per_s(self) -> float:
        """Over all of it."""
        return self.events / self.seconds

    @property
    def cpu_s_per_million(self) -> float:
        """Over all of it."""
        return self.cpu_s / self.events * 1e6


@dataclass(slots=True)
class Backlog:
    """Stretches of workers with a backlog.

    Attributes:
        groups: groups of stretches, each in the order `WITH_REQUESTS`.
        requests: that were sent.
        refused: what came instead of a good answer.
    """

    groups: list[list[Stretch]] = field(default_factory=list)
    requests: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def over_all(self, *, with_requests: bool) -> Stretch:
        """All stretches with, or without, requests."""
        return reduce(
            add, [one for group in self.groups for one in _those(group, with_requests=with_requests)]
        )

    def as_dict(self) -> dict[str, Any]:
        """By name, for JSON.

        `slower` is how many fewer events, `cost` how much more processor time, each the mean over the groups with its
        standard error, which is not known of one group.
        """
        figures: dict[str, Any] = {
            "backlog_groups": len(self.groups),
            "backlog_requests": self.requests,
            "backlog_refused": dict(self.refused),
        }
        for name, with_requests in (("quiet", False), ("asked", True)):
            all_of_it = self.over_all(with_requests=with_requests)
            figures[f"backlog_{name}_events_per_s"] = round(all_of_it.events_per_s)
            figures[f"backlog_{name}_cpu_s_per_million"] = round(all_of_it.cpu_s_per_million, 2)
        pairs = [
            tuple(reduce(add, _those(group, with_requests=kind)) for kind in (False, True))
            for group in self.groups
        ]
        shares = {
            "slower": [1 - asked.events_per_s / quiet.events_per_s for quiet, asked in pairs],
            "cost": [asked.cpu_s_per_million / quiet.cpu_s_per_million - 1 for quiet, asked in pairs],
        }
        for name, found in shares.items():
            error = 100 * stdev(found) / math.sqrt(len(found)) if len(found) > 1 else None
            figures[f"backlog_{name}_percent"] = round(100 * fmean(found), 1)
            figures[f"backlog_{name}_error_percent"] = None if error is None else round(error, 1)
            figures[f"groups_{name}_percent"] = [round(100 * share, 1) for share in found]
        return figures


def _those(group: list[Stretch], *, with_requests: bool) -> list[Stretch]:
    return [one for one, kind in zip(group, WITH_REQUESTS, strict=True) if kind == with_requests]


@dataclass(frozen=True, slots=True)
class Answers:
    """One worker under an even load.

    Attributes:
        events_per_s: that were really sent.
        requests_per_s: in the stretches with requests.
        quiet_cpu_share: of a core, in the stretches without requests.
        asked_cpu_share: in those with.
        quiet_cpu_s_per_million: events that ended meanwhile, in the stretches without requests.
        asked_cpu_s_per_million: in those with.
        cost_share: how much more processor time an event took with requests.
        key_requests: for a user's view, that were timed.
        key_p50_ms: a user's view, from the instant at which the request was due to the end of the answer.
        key_p99_ms: the same.
        key_max_ms: the same.
        late_p99_ms: how late requests were sent; it is part of the times above, and not the worker's.
        settled_s: from the last event sent until all were accounted for; long where the load is too high.
        requests: that were sent.
        refused: answers other than 200, and requests without one.
        refused_by: the same, by status or error.
    """

    events_per_s: float
    requests_per_s: float
    quiet_cpu_share: float
    asked_cpu_share: float
    quiet_cpu_s_per_million: float
    asked_cpu_s_per_million: float
    cost_share: float
    key_requests: int
    key_p50_ms: float
    key_p99_ms: float
    key_max_ms: float
    late_p99_ms: float
    settled_s: float
    requests: int
    refused: int
    refused_by: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def measure_backlog(
    running: Running, events: int, subjects: Sequence[Subject], stretch_s: float, backlog: Backlog
) -> None:
    """Let a worker that has just been started work off everything, and add what it did meanwhile.

    The first stretch does not count, and a group during which the backlog ends neither.

    Args:
        running: the worker; its topic holds the records, its group has read none.
        events: how many there are.
        subjects: to ask about.
        stretch_s: how long each stretch is.
        backlog: takes the groups.

    Raises:
        MissingError: it ended, or makes no progress, or does not let the demo's analyst in.
        RefusedError: its accounts do not add up, or it was done before the first group was.
    """
    token, paths = log_in(running), paths_of(subjects)
    running.wait_until(lambda sample: sample.read > 0, "its first record")
    time.sleep(stretch_s)
    known = len(backlog.groups)
    while True:
        group: list[Stretch] = []
        for with_requests in WITH_REQUESTS:
            before = _answering(running)
            if with_requests:
                with Asking(running.settings.web_port, token, paths) as asking:
                    time.sleep(stretch_s)
                backlog.requests += asking.asked.requests
                backlog.refused += asking.asked.refused
            else:
                time.sleep(stretch_s)
            last = _answering(running)
            group.append(_between(before, last))
        if last.read >= events:
            break
        backlog.groups.append(group)
    if last.read != events:
        raise RefusedError(
            f"the accounts do not add up: {last.accounts} of {events} records; log: {running.log}"
        )
    if len(backlog.groups) == known:
        raise RefusedError(
            f"{events} events were judged before {len(WITH_REQUESTS) + 1} stretches of {stretch_s:g} s were over; "
            "give more --events"
        )


def measure_answers(
    running: Running,
    records: Iterable[tuple[bytes, bytes]],
    subjects: Sequence[Subject],
    per_second: float,
    stretch_s: float,
) -> Answers:
    """Give a worker events at a pace, and time requests meanwhile.

    Args:
        running: the worker; its topics are new and empty.
        records: keys and values, more than enough; they are sent until the last stretch is over.
        subjects: to ask about.
        per_second: the pace of the events.
        stretch_s: how long each of the four stretches is.

    Raises:
        MissingError: the worker ended, or makes no progress, or the broker does not take the records.
        RefusedError: the events ended before the stretches did, or no user's view was answered.
    """
    running.wait_until(lambda sample: sample.accounts is not None, "its start")
    token = log_in(running)
    asked, paths = Asked(), paths_of(subjects)
    count = int(stretch_s * REQUESTS_PER_S)
    port = running.settings.web_port
    shares: dict[bool, list[float]] = {False: [], True: []}
    per_event: dict[bool, list[float]] = {False: [], True: []}
    # Sending events in the same process would delay the requests.
    with (
        ProcessPoolExecutor(1, get_context("spawn")) as aside,
        _EvenLoad(running, records, per_second) as load,
    ):
        time.sleep(WARM_UP_S)
        for with_requests in WITH_REQUESTS:
            before = _answering(running)
            if with_requests:
                asked.add(aside.submit(ask_all, port, token, list(islice(paths, count))).result())
            else:
                time.sleep(stretch_s)
            stretch = _between(before, _answering(running))
            shares[with_requests].append(stretch.cpu_s / stretch.seconds)
            # Shares of a core would not do, because a worker may fall behind or catch up in a stretch.
            per_event[with_requests].append(stretch.cpu_s / max(1, stretch.events))
    ended = time.monotonic()
    running.wait_until(lambda sample: sample.read >= load.events, f"{load.events} records to be judged")
    settled = time.monotonic() - ended
    keys = sorted(asked.key_s)
    if not keys:
        raise RefusedError(f"no view of a user was answered: {dict(asked.refused)}; log: {running.log}")
    quiet_cpu, asked_cpu = fmean(per_event[False]), fmean(per_event[True])
    return Answers(
        events_per_s=round(load.rate),
        requests_per_s=REQUESTS_PER_S,
        quiet_cpu_share=round(fmean(shares[False]), 3),
        asked_cpu_share=round(fmean(shares[True]), 3),
        quiet_cpu_s_per_million=round(quiet_cpu * 1e6, 2),
        asked_cpu_s_per_million=round(asked_cpu * 1e6, 2),
        cost_share=round(asked_cpu / quiet_cpu - 1, 4),
        key_requests=len(keys),
        key_p50_ms=round(quantile(keys, 0.5) * 1000, 1),
        key_p99_ms=round(quantile(keys, 0.99) * 1000, 1),
        key_max_ms=round(keys[-1] * 1000, 1),
        late_p99_ms=round(quantile(sorted(asked.late_s), 0.99) * 1000, 1),
        settled_s=round(settled, 1),
        requests=asked.requests,
        refused=asked.refused.total(),
        refused_by=dict(asked.refused),
    )


def _answering(running: Running) -> Sample:
    """The next state with accounts."""
    return running.wait_until(lambda sample: sample.accounts is not None, "its accounts")[1]


def _between(before: Sample, after: Sample) -> Stretch:
    return Stretch(after.read - before.read, after.at - before.at, after.cpu_s - before.cpu_s)


class _EvenLoad:
    """Sends events at a rate from a thread of its own, while the `with` block lasts.

    Attributes:
        events: that were sent.
        rate: how many a second; 0 until the block has ended.
    """

    def __init__(self, running: Running, records: Iterable[tuple[bytes, bytes]], per_second: float) -> None:
        self.events = 0
        self.rate = 0.0
        self._running, self._records, self._per_second = running, records, per_second
        self._sender = Sender(running.settings, running.settings.topic(RAW_EVENTS.name))
        self._over = threading.Event()
        self._failure: MissingError | None = None
        self._thread = threading.Thread(target=self._send, name="even load", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        lasted = self._thread.is_alive()
        self._over.set()
        self._thread.join()
        if error is not None:
            return
        if self._failure is not None:
            raise self._failure
        if not lasted:
            raise RefusedError(
                f"the {self.events} events ended before the stretches did, as answers took too long; "
                f"give a smaller --load; log: {self._running.log}"
            )

    def _send(self) -> None:
        try:
            self.rate = self._sender.send_paced(self._until_over(), self._per_second)[1]
        except MissingError as failure:
            self._failure = failure

    def _until_over(self) -> Iterator[tuple[bytes, bytes]]:
        for record in self._records:
            if self._over.is_set():
                return
            self.events += 1
            yield record


def web_lines(figures: dict[str, Any]) -> list[str]:
    """The figures of a `Backlog` and of `Answers`, one a line."""
    refused = sum(figures["backlog_refused"].values())
    rows = (
        ("full backlog, events/s", f"{figures['backlog_quiet_events_per_s']:,}"),
        ("    with requests", f"{figures['backlog_asked_events_per_s']:,}"),
        ("    fewer, per cent", _with_error(figures, "slower")),
        ("CPU s per million events", f"{figures['backlog_quiet_cpu_s_per_million']:.2f}"),
        ("    with requests", f"{figures['backlog_asked_cpu_s_per_million']:.2f}"),
        ("    more, per cent", _with_error(figures, "cost")),
        ("groups of four stretches", f"{figures['backlog_groups']:,}"),
        ("requests", f"{figures['backlog_requests']:,}"),
        ("    not answered with 200", f"{refused:,}"),
        ("even load, events/s", f"{figures['events_per_s']:,}"),
        ("requests/s", f"{figures['requests_per_s']:,}"),
        ("of a core, without requests", f"{figures['quiet_cpu_share']:.3f}"),
        ("    with requests", f"{figures['asked_cpu_share']:.3f}"),
        ("CPU s per million events", f"{figures['quiet_cpu_s_per_million']:.2f}"),
        ("    with requests", f"{figures['asked_cpu_s_per_million']:.2f}"),
        ("    more, per cent", f"{100 * figures['cost_share']:.1f}"),
        ("a user's view, p50, ms", f"{figures['key_p50_ms']:,}"),
        ("    p99, ms", f"{figures['key_p99_ms']:,}"),
        ("    at most, ms", f"{figures['key_max_ms']:,}"),
        ("    of requests", f"{figures['key_requests']:,}"),
        ("    sent late, p99, ms", f"{figures['late_p99_ms']:,}"),
        ("requests", f"{figures['requests']:,}"),
        ("    not answered with 200", f"{figures['refused']:,}"),
        ("last event to all settled, s", f"{figures['settled_s']:,}"),
    )
    return [f"{label:32}{value:>14}" for label, value in rows]


def _with_error(figures: dict[str, Any], name: str) -> str:
    value, error = figures[f"backlog_{name}_percent"], figures[f"backlog_{name}_error_percent"]
    return f"{value:.1f}" if error is None else f"{value:.1f} ± {error:.1f}"
