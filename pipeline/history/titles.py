"""Titles and devices in a replay: the rows of each partition go to files, and are judged when all partitions are done.

The engine is that of the worker. The watermark is the least partition time of all sources, so minutes that records
behind the range could still change are not judged. A source that has ended holds it up until the others are an hour of
event time ahead; live, a worker waits thirty seconds for a silent one.
"""

from collections.abc import Callable, Iterable, Iterator
from heapq import heapify, heappop, heapreplace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from pipeline.evaluation.evaluator import Outcome
from pipeline.evaluation.verdict import SubjectVerdict
from pipeline.events.event import Event
from pipeline.history.rule_sets import KnownRuleSets
from pipeline.rules.ruleset import RuleSet
from pipeline.titles.engine import JUDGED, Engine
from pipeline.titles.file import FileRecords
from pipeline.titles.levels import SubjectRules
from pipeline.titles.minutes import MINUTE_MS, WINDOW_MINUTES
from pipeline.titles.notes import Notes, RollUp, SubjectRows
from pipeline.titles.state import TitlesPartition
from pipeline.writing import Output

_NOTED_TOGETHER: Final = 24_000
"""Notes become rows when they hold this many values, which is 2,000 events."""
_LENGTH_BYTES: Final = 4
_LONGEST_WAIT_MS: Final = WINDOW_MINUTES * MINUTE_MS


class Rows(msgspec.Struct, array_like=True, frozen=True):
    """What some events of a source add to titles and devices.

    Attributes:
        time: the partition time P of the source after these events.
        ruleset: the version of the rule set in force.
        first: no row is of an earlier minute.
        last: no row is of a later minute.
        subjects: the rows; none where only the time moved.
    """

    time: int
    ruleset: str
    first: int
    last: int
    subjects: list[SubjectRows]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Rows).decode


class RowsFile:
    """Notes the events of one source, and writes their rows. Use it in a `with` block.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._file = Output.to_path(path)
        self._notes = Notes(None)
        self._noted: tuple[int, str] | None = None

    def note(self, event: Event, outcome: Outcome, partition_time: int | None) -> None:
        """Note an event that was judged and is not late; `evaluate_batch` calls it."""
        if event.is_playback:
            self._notes.observe(event, outcome, partition_time)

    def after(self, time: int | None, ruleset: str) -> None:
        """Tell the partition time after some events, and the version of the rule set that judged them."""
        if time is None:
            return
        if self._noted is not None and self._noted[1] != ruleset:
            self._write(*self._noted)
        self._noted = (time, ruleset)
        if len(self._notes.lines) >= _NOTED_TOGETHER:
            self._write(time, ruleset)

    def _write(self, time: int, ruleset: str) -> None:
        notes, self._notes = self._notes, Notes(None)
        first = last = 0
        subjects: list[SubjectRows] = []
        if notes.lines:
            rolled_up = RollUp([notes])
            first, last = rolled_up.first, rolled_up.last
            subjects = [one for dimension in JUDGED for one in rolled_up.subjects(dimension)]
        data = _encode(Rows(time, ruleset, first, last, subjects))
        self._file.write(len(data).to_bytes(_LENGTH_BYTES) + data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                if self._noted is not None:
                    self._write(*self._noted)
                self._file.sync()


def read_rows(path: Path) -> Iterator[Rows]:
    """The rows of a file."""
    with path.open("rb") as file:
        while length := file.read(_LENGTH_BYTES):
            yield _decode(file.read(int.from_bytes(length)))


def judge_rows(
    sources: Iterable[Iterator[Rows]], rule_sets: KnownRuleSets, rules_of: Callable[[RuleSet], SubjectRules]
) -> Iterator[SubjectVerdict]:
    """The verdicts on titles and devices.

    Args:
        sources: the rows of each source, in their order.
        rule_sets: those that the rows name. The newest that any source has come to judges.
        rules_of: gives the subject rules of a rule set.

    Yields:
        the level changes, in the order in which their minutes close.
    """
    records, state = FileRecords(), TitlesPartition()
    # By the time before its next rows, so that no source is read ahead of the others: P, number, source, next rows.
    waiting: list[tuple[int, int, Iterator[Rows], Rows]] = []
    times: dict[int, int | None] = {}
    ended: dict[int, int] = {}
    for number, source in enumerate(sources):
        rows = next(source, None)
        if rows is not None:
            waiting.append((-1, number, source, rows))
            times[number] = None
    heapify(waiting)
    version, engine = "", None
    while waiting:
        _, number, source, rows = waiting[0]
        if engine is None or rule_sets.age(rows.ruleset) > rule_sets.age(version):
            version = rows.ruleset
            engine = Engine(rules_of(rule_sets.of(version)), records, state)
        if rows.subjects:
            engine.add(rows.subjects, rows.first, rows.last)
            engine.finish()
        times[number] = rows.time
        following = next(source, None)
        if following is not None:
            heapreplace(waiting, (rows.time, number, source, following))
        else:
            heappop(waiting)
            del times[number]
            ended[number] = rows.time
        known = [time for time in times.values() if time is not None]
        if len(known) == len(times):
            reached = min(known, default=max(ended.values(), default=0))
            waited_for = [time for time in ended.values() if time > reached - _LONGEST_WAIT_MS]
            yield from engine.advance(min([reached, *waited_for]))
