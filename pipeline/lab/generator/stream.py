"""The run as one iterator of records in the order of arrival, with exactly the number of records of the plan."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from random import Random
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.events.instants import format_instant
from pipeline.lab.generator.broken import break_event, kinds
from pipeline.lab.generator.casting import Activation, Casting
from pipeline.lab.generator.casts import Stories
from pipeline.lab.generator.catalogue import Catalogue
from pipeline.lab.generator.faults import LATE, late_copy, repeat
from pipeline.lab.generator.marks import Ask, Fault, Mark
from pipeline.lab.generator.seat import Run
from pipeline.lab.generator.wire import Pen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.lab.generator.schedule import Schedule
    from pipeline.lab.generator.sessions import Step

# The delay from an event to its record: the usual one, and the one of a bad connection.
_SHORTEST_DELAY_MS = 20
_USUAL_DELAY_MS = 400
_BAD_CONNECTION = 0.015
_BAD_DELAY_MS = 90_000
# Only users without findings: their events may come in any order.
_ON_BAD_CONNECTIONS = frozenset({"viewer", "mobile"})
_REPEATED_WITHIN_MS = 30_000
_ENDLESS_RECORDS_PER_REQUEST = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """The parameters of a simulation. Equal plans give equal records.

    Attributes:
        seed: of all chance.
        schedule: the load over time, and the number of records.
        users: size of the audience.
        requests: privacy requests beside the events.
        broken_share: share of records that are not valid.
        duplicate_share: share that repeat an earlier one.
        late_share: share that come more than an hour behind their user.
        risk_share: share of the load that belongs to stories and their look-alikes.
        with_topic: whether records keep topic, key and timestamp; else they become lines.
        stamped_on_arrival: whether their timestamps are the simulated arrivals.
        stories: which stories are told.
    """

    seed: int
    schedule: Schedule
    users: int
    requests: int = 0
    broken_share: float = 0.005
    duplicate_share: float = 0.005
    late_share: float = 0.005
    risk_share: float = 0.15
    with_topic: bool = True
    stamped_on_arrival: bool = True
    stories: Stories = Stories.USUAL


class Record:
    """One record and the truth about it.

    Attributes:
        arrival_ms: when it reaches the broker. This is never before its event time, unless that lies in the future.
        event_ms: event time of the event, or of the valid event that it was made from.
        value: the record's value, or None.
        who: the user, with the record's key.
        mark: for the labels.
        fault: its fault; None if it is valid and judged.
    """

    __slots__ = ("arrival_ms", "event_ms", "fault", "mark", "value", "who")

    def __init__(
        self,
        arrival_ms: int,
        event_ms: int,
        value: bytes | None,
        who: Activation,
        mark: Mark | None,
        fault: Fault | None,
    ) -> None:
        self.arrival_ms = arrival_ms
        self.event_ms = event_ms
        self.value = value
        self.who = who
        self.mark = mark
        self.fault = fault

    @property
    def is_request(self) -> bool:
        """Whether it goes to the topic of privacy requests."""
        return type(self.mark) is Ask


# Arrival, running number, event time, value, mark, fault, the rest of its timeline, and its user.
_Entry = tuple[int, int, int, str, "Mark | None", "Fault | None", "Iterator[Step] | None", Activation]


@dataclass(slots=True)
class EventStream:
    """Merges the timelines of all active users, and controls their number.

    Simulated time advances in slices. In each slice the records that are due come in the order of arrival. If they are
    fewer than the schedule wants, more users become active. So the load follows the schedule, bursts stay bursts, and
    the last slice of a past stretch ends with the exact number of records.
    """

    plan: Plan
    _rng: Random = field(init=False, repr=False)
    _run: Run = field(init=False, repr=False)
    _casting: Casting = field(init=False, repr=False)
    _calendar: dict[int, list[_Entry]] = field(init=False, repr=False)
    _numbers: int = 0
    _emitted: int = 0
    _breakages: int = 0

    def __post_init__(self) -> None:
        plan = self.plan
        # This is no cryptography: equal seeds must give equal numbers.
        self._rng = Random(plan.seed)  # noqa: S311
        start = plan.schedule.start_ms
        self._run = Run(self._rng, Pen(plan.seed, start), Catalogue(start))
        self._casting = Casting(
            self._run,
            plan.users,
            plan.seed,
            plan.requests,
            plan.risk_share,
            with_topic=plan.with_topic,
            stories=plan.stories,
        )
        self._calendar = {}

    def __iter__(self) -> Iterator[Record]:
        """All records. Call it once.

        Raises:
            UsageError: the audience is too small for the load.
        """
        wanted = self.plan.schedule.events
        for record in self._merged():
            yield record
            if type(record.mark) is Ask:
                continue
            self._emitted += 1
            if self._emitted == wanted:
                return

    def _merged(self) -> Iterator[Record]:
        schedule = self.plan.schedule
        step, start, end = schedule.step_ms, schedule.start_ms, schedule.end_ms
        plan = self.plan
        # Shares are shares of all records, and a fault adds a record to the one that it is made from.
        scale = 1 / max(1e-9, 1 - plan.broken_share - plan.late_share - plan.duplicate_share)
        broken_below = plan.broken_share * scale
        late_below = broken_below + plan.late_share * scale
        repeat_below = late_below + plan.duplicate_share * scale
        rnd = self._rng.random
        slice_start = start
        while end is None or slice_start + step <= end:
            slice_end = slice_start + step
            due = self._calendar.pop((slice_start - start) // step, [])
            self._call_up(due, slice_start, slice_end)
            heapify(due)
            while due:
                arrival, _, event_ms, value, mark, fault, rest, who = heappop(due)
                if rest is not None:
                    self._go_on(rest, event_ms, who, arrival, due, slice_end)
                if type(mark) is Ask:
                    yield Record(arrival, event_ms, value.encode(), who, mark, mark.fault)
                    continue
                record = Record(arrival, event_ms, value.encode(), who, mark, fault)
                yield record
                if fault is not None:
                    continue
                luck = rnd()
                if luck < broken_below:
                    yield self._broken(value, record)
                elif luck < late_below:
                    yield self._late(value, record)
                elif luck < repeat_below:
                    again, how = repeat(value, self._rng)
                    at = arrival + 1 + int(rnd() * _REPEATED_WITHIN_MS)
                    self._put((at, self._number(), event_ms, again, None, how, None, who), due, slice_end)
            slice_start = slice_end
        raise UsageError(
            f"{plan.users} users sent only {self._emitted} of {schedule.events} events between "
            f"{format_instant(start)} and {format_instant(end)}; give more --users or a longer --duration"
        )

    def _call_up(self, due: list[_Entry], slice_start: int, slice_end: int) -> None:
        """Activate users until the slice has as many records as the schedule wants."""
        schedule = self.plan.schedule
        target = schedule.target(slice_end)
        width = slice_end - slice_start
        for _ in range(self._requests_due(target)):
            self._enter(self._casting.asker(slice_start), slice_start, due, slice_end)
        missing = target - self._emitted - len(due)
        for n in range(missing):
            at = slice_start + n * max(1, width - 2 * _SHORTEST_DELAY_MS) // missing
            activation = self._casting.next(at, target, history=schedule.is_history(at))
            if activation is None:
                break
            self._enter(activation, at, due, slice_end)

    def _enter(self, activation: Activation | None, at: int, due: list[_Entry], slice_end: int) -> None:
        if activation is None:
            return
        timelines = activation.persona.play(self._run, activation.user, at)
        activation.open_timelines = len(timelines)
        for timeline in timelines:
            event_ms, value, mark = next(timeline)
            arrival = event_ms + _SHORTEST_DELAY_MS
            entry = (arrival, self._number(), event_ms, value, mark, None, timeline, activation)
            self._put(entry, due, slice_end)

    def _go_on(
        self, rest: Iterator[Step], last_ms: int, who: Activation, now: int, due: list[_Entry], slice_end: int
    ) -> None:
        """Put the next event of a timeline into the queue of arrivals."""
        following = next(rest, None)
        if following is None:
            self._casting.ended(who, last_ms)
            return
        event_ms, value, mark = following
        luck = self._rng.random()
        arrival = max(event_ms + _SHORTEST_DELAY_MS + int(luck * _USUAL_DELAY_MS), now)
        if luck < _BAD_CONNECTION and who.persona.kind in _ON_BAD_CONNECTIONS:
            # It arrives after its successors, so the timeline goes on without it.
            behind = arrival + int(self._rng.random() * _BAD_DELAY_MS)
            self._put((behind, self._number(), event_ms, value, mark, None, None, who), due, slice_end)
            self._go_on(rest, event_ms, who, now, due, slice_end)
            return
        self._put((arrival, self._number(), event_ms, value, mark, None, rest, who), due, slice_end)

    def _put(self, entry: _Entry, due: list[_Entry], slice_end: int) -> None:
        if entry[0] < slice_end:
            heappush(due, entry)
            return
        slice_number = (entry[0] - self.plan.schedule.start_ms) // self.plan.schedule.step_ms
        self._calendar.setdefault(slice_number, []).append(entry)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _broken(self, value: str, like: Record) -> Record:
        ways = kinds(with_topic=self.plan.with_topic, stamped_on_arrival=self.plan.stamped_on_arrival)
        # A fixed step through all kinds, so that a short run has most of them.
        kind = ways[self._breakages * 29 % len(ways)]
        self._breakages += 1
        event = json.loads(value)
        event["event_id"] = self._run.pen.new_id()
        broken, fault = break_event(kind, event, like.arrival_ms, self._rng)
        return Record(like.arrival_ms, like.event_ms, broken, like.who, None, fault)

    def _late(self, value: str, like: Record) -> Record:
        late, late_ms = late_copy(value, self._run.pen.new_id(), like.event_ms, self._rng)
        # It has no mark: only legal rules look at a late event, and titles and devices do not count it.
        return Record(like.arrival_ms, late_ms, late.encode(), like.who, None, LATE)

    def _requests_due(self, target: int) -> int:
        """The number of requests that should have been sent by now."""
        plan = self.plan
        if plan.requests == 0:
            return 0
        events = plan.schedule.events
        if events is None:
            wanted = min(plan.requests, target // _ENDLESS_RECORDS_PER_REQUEST)
        else:
            # All of them are sent well before the end, so that some evenings follow them.
            wanted = min(plan.requests, plan.requests * target * 10 // (events * 9))
        return max(0, wanted - self._casting.requests_called)
