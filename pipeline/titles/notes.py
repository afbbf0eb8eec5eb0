"""Notes of judged events, and the rows that they become: by title, device, region, plan and rule.

The risk agent notes each event that was judged and not late. With its next commit the notes become rows and names for
each subject. `ott judge` does the same whenever a minute closes.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress, repeat
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args

import msgspec

from pipeline.evaluation.evaluator import Outcome
from pipeline.events.event import Event
from pipeline.events.kinds import PLAYBACK
from pipeline.titles.device_types import UNKNOWN, device_type
from pipeline.titles.minutes import GRACE_MS, MINUTE_MS, counted_minute
from pipeline.titles.rows import pack_row, sum_rows

Dimension = Literal["content", "device", "region", "plan", "rule"]
DIMENSIONS: Final[tuple[Dimension, ...]] = get_args(Dimension)

NameKind = Literal["error_codes", "regions", "device_types", "users"]
"""What is counted by name over a subject's lifetime. For users it is not a count but the newest minute of each."""

_Text = Annotated[str, msgspec.Meta(max_length=300)]
Failure = tuple[int, _Text, _Text, int]
"""Minute, error code, region, count."""
Name = tuple[NameKind, _Text, int]
"""Kind, name, count; for users the newest minute instead of the count."""

_SUMMED_FROM: Final = 128
"""A subject's rows are summed before they are sent if there are at least this many. Most devices have one or two."""


class SubjectRows(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What some notes add to one subject. It is a part of a chunk, so its form is persisted on `health-partials`.

    Attributes:
        subject: dimension, colon, id.
        rows: rows (see `pipeline.titles.rows`).
        failures: counts of failures.
        names: counts by name.
    """

    subject: str
    rows: bytes
    failures: tuple[Failure, ...] = ()
    names: tuple[Name, ...] = ()


class _Finding(NamedTuple):
    rule_id: str
    minute: int
    region: str


class _Columns(NamedTuple):
    """The values of `Notes.lines` by column: one list per field, with a value for each event."""

    minutes: list[int]
    titles: list[str | None]
    devices: list[str]
    users: list[str]
    regions: list[str]
    plans: list[str]
    errors: list[str | None]
    playback: list[bool]
    plays: list[bool]
    failed_starts: list[bool]
    watched: list[int]
    device_types: list[str]


_COLUMNS: Final = len(_Columns._fields)


class Notes:
    """Notes of the records of one batch, in their order.

    Attributes:
        topic: the topic of the records.
        lines: the values that `_Columns` names, of all events, in one flat list. An object for each event would keep
            the garbage collector busy.
        findings: the published findings of the events.
        too_old: the number of events more than an hour behind their partition, which count in no minute.
        stamped: the timestamp of the last record, in milliseconds since 1970, where the broker made it
            (LogAppendTime); else None. `agents/idle.py` needs it.
    """

    __slots__ = ("findings", "lines", "stamped", "too_old", "topic")

    def __init__(self, topic: str | None) -> None:
        self.topic = topic
        self.lines: list[Any] = []
        self.findings: list[_Finding] = []
        self.too_old = 0
        self.stamped: int | None = None

    def observe(self, event: Event, outcome: Outcome, partition_time: int | None) -> None:
        """Note a judged event that was not late, with the partition time P before it."""
        time = event.time
        if partition_time is None or time >= partition_time - GRACE_MS:
            minute = time // MINUTE_MS
        else:
            counted = counted_minute(time, partition_time)
            if counted is None:
                self.too_old += 1
                return
            minute = counted
        playback = event.type in PLAYBACK
        self.lines += (
            minute,
            event.content_id if playback else None,
            event.device_id,
            event.user_id,
            event.region,
            event.plan or UNKNOWN,
            (event.error_code or ("ERROR" if event.type == "ERROR" else None)) if playback else None,
            playback,
            event.type == "PLAY",
            outcome.start_failed,
            outcome.watched,
            device_type(event.metadata),
        )
        if outcome.verdict is not None:
            self.findings += [
                _Finding(finding.rule_id, minute, event.region) for finding in outcome.verdict.findings
            ]


_NamesById = defaultdict[str | None, list[Name]]


class RollUp:
    """Sums notes up by subject.

    Args:
        notes: notes with at least one event.

    Attributes:
        first: the earliest minute.
        last: the latest minute.
        totals: the six numbers of a row (see `pipeline.titles.rows`) over all events.
    """

    def __init__(self, notes: Iterable[Notes]) -> None:
        lines: list[Any] = []
        self._findings: list[_Finding] = []
        for some in notes:
            lines += some.lines
            self._findings += some.findings
        # Work by column, with functions that loop in C: a Python loop over events takes several times as long.
        columns = self._columns = _Columns(*[lines[number::_COLUMNS] for number in range(_COLUMNS)])
        self._failed = [error is not None for error in columns.errors]
        numbers = columns.playback, self._failed, columns.plays, columns.failed_starts, columns.watched
        # An event has the same row in each of its dimensions.
        self._rows = list(map(pack_row, columns.minutes, repeat(1), *numbers))
        self.first, self.last = min(columns.minutes), max(columns.minutes)
        self.totals = [len(self._rows), *[sum(column) for column in numbers]]

    def subjects(self, dimension: Dimension) -> list[SubjectRows]:
        """What the notes add to each subject of a dimension."""
        columns, findings = self._columns, self._findings
        names: _NamesById = defaultdict(list)
        ids: Sequence[str | None]
        match dimension:
            case "content":
                ids = columns.titles
                _count(names, "regions", compress(zip(ids, columns.regions, strict=True), columns.playback))
            case "device":
                ids = columns.devices
                _note_users(names, columns)
            case "region":
                ids = columns.regions
            case "plan":
                ids = columns.plans
            case "rule":
                ids = [one.rule_id for one in findings]
                _count(names, "regions", ((one.rule_id, one.region) for one in findings))
                rows = [pack_row(one.minute, 1, 0, 0, 0, 0, 0) for one in findings]
                return _by_subject(dimension, ids, rows, {}, names)
        if dimension != "device":
            kinds = zip(ids, columns.device_types, strict=True)
            _count(names, "device_types", compress(kinds, columns.playback))
        failures = zip(ids, columns.minutes, columns.errors, columns.regions, strict=True)
        return _by_subject(dimension, ids, self._rows, Counter(compress(failures, self._failed)), names)


def _note_users(names: _NamesById, columns: _Columns) -> None:
    newest: dict[tuple[str, str], int] = {}
    pairs = zip(columns.devices, columns.users, strict=True)
    for pair, minute in zip(pairs, columns.minutes, strict=True):
        if newest.get(pair, minute - 1) < minute:
            newest[pair] = minute
    for (device, user), minute in newest.items():
        names[device].append(("users", user, minute))


def _count(names: _NamesById, kind: NameKind, pairs: Iterable[tuple[str | None, str]]) -> None:
    for (identifier, name), number in Counter(pairs).items():
        names[identifier].append((kind, name, number))


def _by_subject(
    dimension: Dimension,
    ids: Iterable[str | None],
    rows: Iterable[bytes],
    failures: Mapping[tuple[str | None, int, str | None, str], int],
    names: _NamesById,
) -> list[SubjectRows]:
    rows_of: defaultdict[str | None, list[bytes]] = defaultdict(list)
    for identifier, row in zip(ids, rows, strict=True):
        rows_of[identifier].append(row)
    failures_of: defaultdict[str | None, list[Failure]] = defaultdict(list)
    for (identifier, minute, code, region), number in failures.items():
        failures_of[identifier].append((minute, code or "ERROR", region, number))
    subjects = []
    for identifier, found in rows_of.items():
        if identifier is not None:
            together = b"".join(found) if len(found) < _SUMMED_FROM else sum_rows(b"".join(found))
            failed, named = failures_of.get(identifier, ()), names.get(identifier, ())
            subjects.append(SubjectRows(f"{dimension}:{identifier}", together, tuple(failed), tuple(named)))
    return subjects
