"""The engine: rows in, figures and level changes out. It is the same live and in a file.

The caller sets the watermark: `pipeline.titles.live` from the partition times in chunks, `pipeline.titles.file` from
the records of a file. Nothing here reads a clock.

Hardly any device ever fails often, so only *candidates* are judged each minute: subjects with enough failures within
the hour for a level to be possible.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final

from pipeline.evaluation.verdict import SubjectVerdict
from pipeline.titles.figures import Figures
from pipeline.titles.forgetting import MINUTES_AN_HOUR, forget_some, record_seen
from pipeline.titles.levels import SubjectRules
from pipeline.titles.minutes import GRACE_MS, MINUTE_MS, WINDOW_MINUTES, last_closed
from pipeline.titles.notes import Dimension, SubjectRows
from pipeline.titles.rows import EVENTS, FAILED, TOTAL, by_minute, rows_after, unpack_rows
from pipeline.titles.state import Records, TitlesPartition, figures_key, figures_of

JUDGED: Final[tuple[Dimension, ...]] = ("content", "device")
"""The dimensions that have a subject rule."""
_JUDGED_NAMES: Final = tuple([f"{dimension}:" for dimension in JUDGED])
_DEVICE: Final = "device:"

SilentSource = tuple[str, int]
"""A source partition that the watermark does not wait for, and its partition time P."""


class Engine:
    """Adds rows to the figures of one partition, and judges closed minutes.

    Args:
        rules: the subject rules.
        records: the records of the partition. They are changed in place.
        state: the partition's state. It is changed in place, and the caller writes it.
    """

    def __init__(self, rules: SubjectRules, records: Records, state: TitlesPartition) -> None:
        self._rules = rules
        self._records = records
        self._state = state
        self._seen: defaultdict[int, list[str]] = defaultdict(list)

    def add(self, subjects: Iterable[SubjectRows], first: int, last: int) -> None:
        """Add rows to the figures of their subjects.

        Args:
            subjects: the rows.
            first: no row is of an earlier minute.
            last: no row is of a later minute.
        """
        judged = self._state.judged_through
        if judged is not None and first <= judged:
            subjects = self._in_time(subjects, judged)
        records, cache, dirty = self._records, self._records.cache, self._records.dirty
        hour = last // MINUTES_AN_HOUR
        for subject in subjects:
            name = subject.subject
            key = figures_key(name)
            figures = cache.get(key) or records.load(key)
            if not isinstance(figures, Figures):
                figures = cache[key] = Figures()
            dirty.add(key)
            if hour > figures.hour:
                figures.hour = hour
                self._seen[hour].append(name)
            figures.add_rows(subject.rows, judged)
            figures.add_names(subject.names)
            if subject.failures:
                figures.add_failures(subject.failures, by_minute=name.startswith(_JUDGED_NAMES))
                self._check_candidate(name, figures)

    def _in_time(self, subjects: Iterable[SubjectRows], judged: int) -> Iterator[SubjectRows]:
        """The same without rows of judged minutes. Only a partition that was silent can bring such rows."""
        for subject in subjects:
            rows = rows_after(subject.rows, judged)
            if subject.subject.startswith(_DEVICE) and rows != subject.rows:
                # Every event has exactly one device, so counting the devices' rows counts each event once.
                late = [row[1 + EVENTS] for row in unpack_rows(subject.rows) if row[0] <= judged]
                self._state.count("too_late", sum(late))
            failures = tuple([failure for failure in subject.failures if failure[0] > judged])
            if rows or failures or not subject.rows:
                yield SubjectRows(subject.subject, rows, failures, subject.names)

    def _check_candidate(self, name: str, figures: Figures) -> None:
        """Make a subject with new failures a candidate, if it has enough of them."""
        state, least = self._state, self._rules.least_failed(name)
        if least is None or name in state.candidates or figures.failed < least:
            return
        judged = state.judged_through
        if figures.failed_since(0 if judged is None else judged - WINDOW_MINUTES + 2) >= least:
            state.candidates[name] = None

    def advance(self, watermark: int, silent: Sequence[SilentSource] = ()) -> list[SubjectVerdict]:
        """Judge every minute that the watermark closes, each minute once.

        Args:
            watermark: milliseconds since 1970. Rows of the minutes that it closes come later from silent sources only.
            silent: the sources that the watermark did not wait for.

        Returns:
            the level changes, ordered by minute, then subject type, then id.
        """
        state, last = self._state, last_closed(watermark)
        if state.judged_through is not None and last <= state.judged_through:
            return []
        verdicts = [verdict for name in state.candidates for verdict in self._judge(name, last, silent)]
        verdicts.sort(key=lambda verdict: (verdict.minute_end, verdict.subject.type, verdict.subject.id))
        state.judged_through = last
        for name in list(state.candidates):
            figures, least = figures_of(self._records, name), self._rules.least_failed(name)
            if figures is None or (
                figures.level is None
                and (least is None or figures.failed_since(last - WINDOW_MINUTES + 2) < least)
            ):
                del state.candidates[name]
        return verdicts

    def finish(self) -> None:
        """Record which subjects had events, and delete some that had none for long. Call it once per batch."""
        for hour, names in self._seen.items():
            record_seen(self._records, self._state, hour, names)
        self._seen.clear()
        forget_some(self._records, self._state)

    def _judge(self, name: str, last: int, silent: Sequence[SilentSource]) -> Iterator[SubjectVerdict]:
        """Judge a subject at those of the closing minutes at which its sums over the hour change."""
        figures = figures_of(self._records, name)
        if figures is None or self._rules.least_failed(name) is None:
            return
        done = self._state.judged_through
        level = figures.level
        for minute, failed, total in _sums(figures, done, last):
            end = (minute + 1) * MINUTE_MS
            left_out = sorted(source for source, time in silent if time < end + GRACE_MS)
            level, verdict = self._rules.judge(
                name, minute, failed, total, level, figures.failure_names, left_out
            )
            if verdict is not None:
                self._state.count("verdicts", 1)
                if left_out:
                    self._state.count("left_out", 1)
                yield verdict
        if level != figures.level:
            figures.level = level
            self._records[figures_key(name)] = figures


def _sums(figures: Figures, done: int | None, last: int) -> Iterator[tuple[int, int, int]]:
    """The minutes after `done`, up to `last`, at which the sums of the hour change, each with failed and total."""
    series = by_minute(figures.rows)
    minutes = [minute for minute in series if minute <= last]
    # With sums up to each minute, the sums of an hour are differences.
    failed_before = [0, *accumulate(series[minute][FAILED] for minute in minutes)]
    total_before = [0, *accumulate(series[minute][TOTAL] for minute in minutes)]
    points = {point for minute in minutes for point in (minute, minute + WINDOW_MINUTES) if point <= last}
    for minute in sorted(points if done is None else [point for point in points if point > done]):
        begin, end = bisect_right(minutes, minute - WINDOW_MINUTES), bisect_right(minutes, minute)
        yield minute, failed_before[end] - failed_before[begin], total_before[end] - total_before[begin]
