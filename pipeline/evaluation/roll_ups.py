"""Roll-ups of one partition: what happened by title, device, region, plan and rule, minute by minute.

The evaluation notes one line per event; with a commit they become rows, which the health agent sums over all
partitions.
"""

from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence
from itertools import compress, repeat
from typing import Any, Final, Literal, NamedTuple

from pipeline.evaluation.device_types import UNKNOWN
from pipeline.evaluation.evaluator import Outcome
from pipeline.evaluation.minutes import GRACE_MS, MINUTE_MS, counted_minute
from pipeline.evaluation.row_log import ACCOUNT, FLAGGED, PLAY, PLAYBACK, START_FAILED, encode_row
from pipeline.events.event import Event
from pipeline.events.kinds import PLAYBACK as PLAYBACK_TYPES

Dimension = Literal["content", "device", "region", "plan", "rule"]


class Finding(NamedTuple):
    """What is noted of one finding in a published verdict on such an event."""

    rule_id: str
    minute: int
    region: str


_Rows = defaultdict[str, list[bytes]]
"""Encoded rows by id."""
_ONE: Final = repeat(1)
_NOTHING: Final = repeat(0)

_COLUMNS: Final = 11
"""Minute, title, device, user, region, plan, error code, kind, kind of device, milliseconds of playing, bad start."""


class Notes:
    """What is noted of some records of one topic, in their order.

    Attributes:
        topic: of the records.
        lines: eleven values of each judged event that was not late, see `_COLUMNS`, those of all events one behind the
            other: an object for each event would keep the garbage collector busy.
        findings: of their verdicts.
        too_old: events more than an hour behind their partition, which count in no minute.
        stamped: the timestamp of the last record where the broker made it (LogAppendTime), in milliseconds since 1970;
            None for those of producers, and where it is of no interest.
    """

    __slots__ = ("findings", "lines", "stamped", "too_old", "topic")

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.lines: list[Any] = []
        self.findings: list[Finding] = []
        self.too_old = 0
        self.stamped: int | None = None

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
        self.lines += (
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

    def __init__(
        self, rows: Mapping[str, Sequence[bytes]], failed: set[str], minutes: tuple[int, int]
    ) -> None:
        self.logs = {identifier: b"".join(of_id) for identifier, of_id in rows.items()}
        self.counts = {identifier: len(of_id) for identifier, of_id in rows.items()}
        self.failed = failed
        self.first, self.last = minutes


class Summed(NamedTuple):
    """What notes come to.

    Attributes:
        rows: of each dimension that has some.
        counts: sums for the counts of the partition: `playback`, `playback.failed`, `plays`, `watched_ms`,
            `roll_ups.too_old`.
    """

    rows: dict[Dimension, RollUp]
    counts: Counter[str]


def roll_up(notes: Iterable[Notes]) -> Generator[None, None, Summed]:
    """The rows of some notes, and their sums; with pauses between pieces of work."""
    lines: list[Any] = []
    findings: list[Finding] = []
    counts: Counter[str] = Counter()
    for some in notes:
        lines += some.lines
        findings += some.findings
        counts["roll_ups.too_old"] += some.too_old
    if not lines:
        return Summed({}, counts)
    columns = [lines[number::_COLUMNS] for number in range(_COLUMNS)]
    minutes, contents, devices, users, regions, plans, errors, kinds, types, played, start_failed = columns
    counts["playback"] = len(kinds) - kinds.count(ACCOUNT)
    counts["playback.failed"] = len(errors) - errors.count(None)
    counts["plays"] = kinds.count(PLAY)
    counts["watched_ms"] = sum(played)
    yield
    # What counts and encodes below is C's work as far as possible; a Python loop takes several times as long.
    rows: dict[Dimension, _Rows] = {
        "content": _grouped(
            # What is not of playback counts for no title.
            [content if kind != ACCOUNT else None for content, kind in zip(contents, kinds, strict=True)],
            map(encode_row, zip(minutes, regions, errors, kinds, types, _ONE, played, strict=False)),
        )
    }
    for content, minute in compress(zip(contents, minutes, strict=True), start_failed):
        if content is not None:
            rows["content"][content].append(encode_row((minute, None, None, START_FAILED, None, 1, 0)))
    yield
    rows["device"] = _grouped(
        devices, map(encode_row, zip(minutes, regions, errors, kinds, users, _ONE, _NOTHING, strict=False))
    )
    yield
    rows["region"] = _summed(Counter(zip(regions, minutes, errors, kinds, types, strict=True)))
    rows["plan"] = _summed(Counter(zip(plans, minutes, errors, kinds, types, strict=True)))
    rows["rule"] = defaultdict(list)
    _add_played(rows["region"], zip(regions, minutes, strict=True), played)
    _add_played(rows["plan"], zip(plans, minutes, strict=True), played)
    for (rule_id, minute, region), number in Counter(findings).items():
        rows["rule"][rule_id].append(encode_row((minute, region, None, FLAGGED, None, number, 0)))
        rows["region"][region].append(encode_row((minute, None, None, FLAGGED, rule_id, number, 0)))
    yield
    failed: dict[str, set[str]] = {
        "content": set(compress(contents, errors)) - {None},
        "device": set(compress(devices, errors)),
    }
    bounds = min(minutes), max(minutes)
    return Summed(
        {
            dimension: RollUp(of_dimension, failed.get(dimension, set()), bounds)
            for dimension, of_dimension in rows.items()
            if of_dimension
        },
        counts,
    )


def _grouped(ids: Iterable[str | None], rows: Iterable[bytes]) -> _Rows:
    """Hardly two events of a title or a device are alike: each is a row, but those without an id."""
    found: defaultdict[Any, list[bytes]] = defaultdict(list)
    for identifier, row in zip(ids, rows, strict=True):
        found[identifier].append(row)
    found.pop(None, None)
    return found


def _summed(numbers: Mapping[Any, int]) -> _Rows:
    """Regions and plans are few: their rows are summed as far as possible."""
    found: _Rows = defaultdict(list)
    for (name, minute, error, kind, device_type), number in numbers.items():
        found[name or UNKNOWN].append(encode_row((minute, None, error, kind, device_type, number, 0)))
    return found


def _add_played(rows: _Rows, places: Iterable[tuple[str | None, int]], played: Sequence[int]) -> None:
    """Add the time of playing, one row for each name and minute."""
    sums: dict[tuple[str | None, int], int] = {}
    for place, milliseconds in zip(places, played, strict=True):
        if milliseconds:
            sums[place] = sums.get(place, 0) + milliseconds
    for (name, minute), milliseconds in sums.items():
        rows[name or UNKNOWN].append(encode_row((minute, None, None, PLAYBACK, None, 0, milliseconds)))
