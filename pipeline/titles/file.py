"""Titles and devices in a file: the watermark waits for every partition of the file until its last record."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from pipeline.evaluation.evaluator import Outcome
from pipeline.evaluation.verdict import SubjectVerdict
from pipeline.titles.engine import JUDGED, Engine
from pipeline.titles.levels import SubjectRules
from pipeline.titles.minutes import last_closed
from pipeline.titles.notes import Notes, RollUp
from pipeline.titles.state import TitlesPartition, TitlesValue

Partition = tuple[str | None, int]

_NOTED_TOGETHER: Final = 24_000
"""Notes become rows when a minute closes, or when they hold this many values, which is 2,000 events."""


class Watermark:
    """The least partition time over the partitions that take part. It never goes back.

    All partitions take part from the start. While one of them has no time, there is no watermark. A partition that ends
    no longer takes part. When all have ended, the watermark is the largest time of any.
    """

    def __init__(self, partitions: Iterable[Partition]) -> None:
        self._times: dict[Partition, int | None] = dict.fromkeys(partitions)
        self.times: dict[Partition, int] = {}
        """The partition time P of each partition, also after its end."""
        self.value: int | None = None

    def observe(self, partition: Partition, time: int) -> None:
        """Move a partition's time. `time` is min(event time, record timestamp) of a judged event."""
        known = self.times.get(partition)
        if known is None or time > known:
            self.times[partition] = self._times[partition] = time
            # Only the partition that held the watermark back can move it.
            if known is None or known == self.value:
                self._update()

    def end(self, partition: Partition) -> None:
        """Take a partition out after its last record."""
        del self._times[partition]
        self._update()

    def _update(self) -> None:
        if self._times:
            times = [time for time in self._times.values() if time is not None]
            if len(times) < len(self._times):
                return
            least = min(times)
        elif self.times:
            least = max(self.times.values())
        else:
            return
        self.value = least if self.value is None else max(self.value, least)


class FileRecords(dict[bytes, TitlesValue]):
    """The `Records` of a file. All of them are in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.cache: dict[bytes, TitlesValue] = self
        self.dirty: set[bytes] = set()

    def load(self, key: bytes) -> TitlesValue | None:  # noqa: ARG002 - as Records
        """None: a key that is not in the cache does not exist."""
        return None

    def discard(self, key: bytes) -> None:
        """Delete a key."""
        self.pop(key, None)
        self.dirty.discard(key)


class FileTitles:
    """Judges the titles and devices of a file.

    Args:
        rules: the subject rules.
        records: the number of records of events in each partition of the file.
    """

    def __init__(self, rules: SubjectRules, records: Counter[Partition]) -> None:
        self._remaining = records
        self._watermark = Watermark(records)
        self._state = TitlesPartition()
        self._engine = Engine(rules, FileRecords(), self._state)
        self._notes = Notes(None)

    def after(self, partition: Partition, timestamp: int, outcome: Outcome) -> list[SubjectVerdict]:
        """The level changes after a record of events. `timestamp` is negative where the record has none."""
        event = outcome.event
        if outcome.ending == "judged" and event is not None:
            if event.is_playback and not outcome.late:
                self._notes.observe(event, outcome, self._watermark.times.get(partition))
            self._watermark.observe(partition, event.time if timestamp < 0 else min(event.time, timestamp))
        self._remaining[partition] -= 1
        if not self._remaining[partition]:
            self._watermark.end(partition)
        watermark, judged = self._watermark.value, self._state.judged_through
        closes = watermark is not None and (judged is None or last_closed(watermark) > judged)
        if closes or len(self._notes.lines) >= _NOTED_TOGETHER:
            self._add_notes()
        return self._engine.advance(watermark) if closes and watermark is not None else []

    def _add_notes(self) -> None:
        notes, self._notes = self._notes, Notes(None)
        if notes.lines:
            rolled_up = RollUp([notes])
            for dimension in JUDGED:
                self._engine.add(rolled_up.subjects(dimension), rolled_up.first, rolled_up.last)
            self._engine.finish()
