"""Roll-ups of one partition: what happened by title, device, region, plan and rule, minute by minute.

The evaluation notes one line per event; with a commit they become rows, which the health agent sums over all
partitions.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

from pipeline.evaluation.device_types import UNKNOWN
from pipeline.evaluation.evaluator import Outcome
from pipeline.evaluation.minutes import GRACE_MS, MINUTE_MS, counted_minute
from pipeline.evaluation.row_log import ACCOUNT, FLAGGED, PLAY, PLAYBACK, START_FAILED, encode_row
from pipeline.events.event import Event
from pipeline.events.kinds import PLAYBACK as PLAYBACK_TYPES

Dimension = Literal["content", "device", "region", "plan", "rule"]


class Line(NamedTuple):
    """What is noted of one judged event that was not late. `played` is in milliseconds."""

    minute: int
    content: str | None
    device: str
    user: str
    region: str
    plan: str | None
    error: str | None
    kind: int
    device_type: str
    played: int
    start_failed: bool


class Finding(NamedTuple):
    """What is noted of one finding in a published verdict on such an event."""

    rule_id: str
    minute: int
    region: str


_new_line: Final = tuple.__new__  # a named tuple's own constructor is a Python call


class Notes:
    """The lines of some records of one topic, in their order.

    Attributes:
        topic: of the records.
        lines: one per judged event that was not late.
        findings: of their verdicts.
        too_old: events more than an hour behind their partition, which count in no minute.
    """

    __slots__ = ("findings", "lines", "too_old", "topic")

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.lines: list[Line] = []
        self.findings: list[Finding] = []
        self.too_old = 0

    def observe(self, event: Event, outcome: Outcome, partition_time: int | None, device_type: str) -> None:
        """Note a judged event that was not late, with P of its partition as it stood before it."""
        time = event.time
        if partition_time is None or time >= partition_time - GRACE_MS:
            minute = time // MINUTE_MS
        else:
            counted = counted_minute(time, partition_time)
            if counted is None:
                self.too_old += 1
                return
            minute = counted
        kind, error = ACCOUNT, None
        if event.type in PLAYBACK_TYPES:
            kind = PLAY if event.type == "PLAY" else PLAYBACK
            error = event.error_code or ("ERROR" if event.type == "ERROR" else None)
        self.lines.append(
            _new_line(
                Line,
                (
                    minute,
                    event.content_id,
                    event.device_id,
                    event.user_id,
                    event.region,
                    event.plan,
                    error,
                    kind,
                    device_type,
                    outcome.watched,
                    outcome.start_failed,
                ),
            )
        )
        if outcome.verdict is not None:
            self.findings += [
                Finding(finding.rule_id, minute, event.region) for finding in outcome.verdict.findings
            ]


class RollUp:
    """The rows of one dimension, by id.

    Attributes:
        logs: the rows of each id, encoded one behind the other.
        counts: how many they are.
        failed: the ids with a failure among them.
        first: the first minute of any row.
        last: the last one.
    """

    __slots__ = ("counts", "failed", "first", "last", "logs")

    def __init__(self) -> None:
        self.logs: dict[str, bytes] = {}
        self.counts: dict[str, int] = {}
        self.failed: set[str] = set()
        self.first = 0
        self.last = -1

    def add(self, identifier: str, row: bytes, number: int = 1) -> None:
        """Add encoded rows of an id; the minutes are the caller's to tell."""
        known = self.logs.get(identifier)
        if known is None:
            self.logs[identifier] = row
            self.counts[identifier] = number
        else:
            self.logs[identifier] = known + row
            self.counts[identifier] += number


class Summed(NamedTuple):
    """What notes come to.

    Attributes:
        rows: of each dimension that has some.
        counts: sums for the counts of the partition: `playback`, `playback.failed`, `plays`, `watched_ms`,
            `roll_ups.too_old`.
    """

    rows: dict[Dimension, RollUp]
    counts: Counter[str]


def roll_up(notes: Iterable[Notes]) -> Summed:
    """The rows of some notes, and their sums."""
    lines: list[Line] = []
    findings: list[Finding] = []
    counts: Counter[str] = Counter()
    for some in notes:
        lines += some.lines
        findings += some.findings
        counts["roll_ups.too_old"] += some.too_old
    if not lines:
        return Summed({}, counts)
    region, plan = _places(lines, counts)
    rows: dict[Dimension, RollUp] = {
        "content": _contents(lines),
        "device": _devices(lines),
        "region": region,
        "plan": plan,
        "rule": RollUp(),
    }
    for (rule_id, minute, place), number in Counter(findings).items():
        rows["rule"].add(rule_id, encode_row((minute, place, None, FLAGGED, None, number, 0)))
        region.add(place, encode_row((minute, None, None, FLAGGED, rule_id, number, 0)))
    minutes = [line[0] for line in lines]
    first, last = min(minutes), max(minutes)
    for rolled_up in rows.values():
        rolled_up.first, rolled_up.last = first, last
    return Summed({dimension: found for dimension, found in rows.items() if found.logs}, counts)


def _devices(lines: Sequence[Line]) -> RollUp:
    """Hardly two events of a device are alike: each is a row."""
    found = RollUp()
    logs, failed = found.logs, found.failed
    for minute, _, device, user, region, _, error, kind, _, _, _ in lines:
        row = encode_row((minute, region, error, kind, user, 1, 0))
        known = logs.get(device)
        logs[device] = row if known is None else known + row
        if error is not None:
            failed.add(device)
    found.counts = Counter([line[2] for line in lines])
    return found


def _contents(lines: Sequence[Line]) -> RollUp:
    """Titles have many events alike."""
    cells: dict[tuple[Any, ...], list[int]] = {}
    found = RollUp()
    for minute, content, _, _, region, _, error, kind, device_type, played, start_failed in lines:
        if content is None or kind == ACCOUNT:
            continue
        key = (content, minute, region, error, kind, device_type)
        cell = cells.get(key)
        if cell is None:
            cells[key] = [1, played]
        else:
            cell[0] += 1
            cell[1] += played
        if error is not None:
            found.failed.add(content)
        if start_failed:
            found.add(content, encode_row((minute, None, None, START_FAILED, None, 1, 0)))
    for (content, *row), cell in cells.items():
        found.add(content, encode_row((*row, *cell)))
    return found


def _places(lines: Sequence[Line], counts: Counter[str]) -> tuple[RollUp, RollUp]:
    """Regions and plans are few: their rows are summed as far as possible. The sums of all go to `counts`."""
    minutes, _, _, _, regions, plans, errors, kinds, device_types, played, _ = zip(*lines, strict=True)
    numbers: Counter[Any] = Counter(zip(regions, minutes, plans, errors, kinds, device_types, strict=True))
    by_region, by_plan = Counter[Any](), Counter[Any]()
    for (place, minute, plan, error, kind, device_type), number in numbers.items():
        by_region[place, minute, error, kind, device_type] += number
        by_plan[plan or UNKNOWN, minute, error, kind, device_type] += number
        if kind != ACCOUNT:
            counts["playback"] += number
            if kind == PLAY:
                counts["plays"] += number
            if error is not None:
                counts["playback.failed"] += number
    found = RollUp(), RollUp()
    for rolled_up, rows in zip(found, (by_region, by_plan), strict=True):
        for (name, minute, error, kind, device_type), number in rows.items():
            rolled_up.add(name, encode_row((minute, None, error, kind, device_type, number, 0)))
    playing: dict[Any, int] = {}
    for of_line, milliseconds in zip(zip(regions, minutes, plans, strict=True), played, strict=True):
        if milliseconds:
            playing[of_line] = playing.get(of_line, 0) + milliseconds
    for (place, minute, plan), milliseconds in playing.items():
        row = encode_row((minute, None, None, PLAYBACK, None, 0, milliseconds))
        found[0].add(place, row)
        found[1].add(plan or UNKNOWN, row)
        counts["watched_ms"] += milliseconds
    return found
