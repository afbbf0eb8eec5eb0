"""Roll-ups of one partition: what happened by title, device, region, plan and rule, minute by minute.

The evaluation notes one line per event; with a commit they are summed into rows, which the health agent sums over all
partitions. A row is counted under its *kind*, so that one number per row is enough.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

from pipeline.evaluation.device_types import UNKNOWN
from pipeline.evaluation.evaluator import Outcome
from pipeline.evaluation.minutes import GRACE_MS, MINUTE_MS, counted_minute
from pipeline.events.event import Event
from pipeline.events.kinds import PLAYBACK as PLAYBACK_TYPES

Dimension = Literal["content", "device", "region", "plan", "rule"]

# Persisted in `health-partials`: kinds of rows.
ACCOUNT: Final = 0
"""Events that are not of playback."""
PLAYBACK: Final = 1
"""Playback events but PLAY."""
PLAY: Final = 2
WATCHED: Final = 3
"""Milliseconds of playing."""
START_FAILED: Final = 4
FLAGGED: Final = 5
"""Findings in published verdicts."""


Row = tuple[str, int, str | None, str | None, int, str | None]
"""Of what (id), minute since 1970, region, error code, kind, and one thing more.

`content`, `region` and `plan` rows have the kind of device as their last member, `device` rows the user,
`region` rows of kind `FLAGGED` the rule.
"""


class Line(NamedTuple):
    """What is noted of one judged event that was not late."""

    minute: int
    content: str | None
    device: str
    user: str
    region: str
    plan: str | None
    error: str | None
    kind: int
    device_type: str
    watched: int
    start_failed: bool


class Finding(NamedTuple):
    """What is noted of one finding in a published verdict on such an event."""

    rule_id: str
    minute: int
    region: str


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

    def add_to(self, counts: dict[str, int]) -> None:
        """Add sums to the counts of a partition: `playback`, `playback.failed`, `plays`, `watched_ms`, ..."""
        if not self.lines and not self.too_old:
            return
        kinds = [line[7] for line in self.lines]
        for name, number in (
            ("playback", len(kinds) - kinds.count(ACCOUNT)),
            ("playback.failed", len([None for line in self.lines if line[6] is not None])),
            ("plays", kinds.count(PLAY)),
            ("watched_ms", sum([line[9] for line in self.lines])),
            ("roll_ups.too_old", self.too_old),
        ):
            if number:
                counts[name] = counts.get(name, 0) + number


_new_line: Final = tuple.__new__  # a named tuple's own constructor is a Python call


def roll_up(notes: Iterable[Notes]) -> dict[Dimension, dict[Row, int]]:
    """The rows of each dimension, with their counts."""
    lines: list[Line] = []
    findings: list[Finding] = []
    for some in notes:
        lines += some.lines
        findings += some.findings
    rows: dict[Dimension, dict[Row, int]] = {
        "content": {},
        "device": {},
        "region": {},
        "plan": {},
        "rule": {},
    }
    if lines:
        _count(lines, rows)
    if findings:
        flagged = Counter(findings)
        rows["rule"] = {
            (rule_id, minute, region, None, FLAGGED, None): number
            for (rule_id, minute, region), number in flagged.items()
        }
        for (rule_id, minute, region), number in flagged.items():
            _add(rows["region"], (region, minute, None, None, FLAGGED, rule_id), number)
    return rows


def _count(lines: Sequence[Line], rows: dict[Dimension, dict[Row, int]]) -> None:
    minutes, contents, devices, users, regions, plans, errors, kinds, types, watched, _ = zip(
        *lines, strict=True
    )
    # Counting is C's work, a Python loop over the events would take several times as long.
    titles: Counter[Any] = Counter(zip(contents, minutes, regions, errors, kinds, types, strict=True))
    rows["content"] = {
        row: number for row, number in titles.items() if row[0] is not None and row[4] != ACCOUNT
    }
    rows["device"] = Counter(zip(devices, minutes, regions, errors, kinds, users, strict=True))
    places: Counter[Any] = Counter(zip(regions, minutes, plans, errors, kinds, types, strict=True))
    region, plan = rows["region"], rows["plan"]
    for (place, minute, plan_name, error, kind, device_type), number in places.items():
        _add(region, (place, minute, None, error, kind, device_type), number)
        _add(plan, (plan_name or UNKNOWN, minute, None, error, kind, device_type), number)
    content = rows["content"]
    for title, minute, place, milliseconds in zip(contents, minutes, regions, watched, strict=True):
        if milliseconds and title is not None:
            _add(content, (title, minute, None, None, WATCHED, None), milliseconds)
            _add(region, (place, minute, None, None, WATCHED, None), milliseconds)
    for line in _failed_starts(lines):
        if line.content is not None:
            _add(content, (line.content, line.minute, None, None, START_FAILED, None), 1)


def _failed_starts(lines: Sequence[Line]) -> Iterator[Line]:
    return (line for line in lines if line[10])


def _add(rows: dict[Row, int], row: Row, number: int) -> None:
    rows[row] = rows.get(row, 0) + number
