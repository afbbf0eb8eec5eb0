"""The health agent's judgement: partials in, figures and level changes out.

Rows are summed where they belong; every source partition's time moves the watermark; each minute that the watermark
closes is judged once, in order. Nothing here reads a clock: the *flow clock* is made of the timestamps of the partials'
own records (see `HealthJudge.fold`), so that a replay of them decides alike.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final

from pipeline.evaluation.device_health import FAILURES, DeviceHealth
from pipeline.evaluation.forgetting import forget_some, note_seen
from pipeline.evaluation.health_folding import Folding
from pipeline.evaluation.health_state import (
    PARTITION_KEY,
    HealthPartition,
    Records,
    Source,
    record_key,
)
from pipeline.evaluation.minutes import GRACE_MS, MINUTE_MS, WINDOW_MINUTES, last_closed
from pipeline.evaluation.partials import PartialError, SourceTime, decode_partial
from pipeline.evaluation.segments import names_of, series_of
from pipeline.evaluation.subject_health import SubjectHealth
from pipeline.evaluation.subjects import SubjectKey, SubjectRules
from pipeline.evaluation.verdict import SubjectVerdict
from pipeline.rules.error_rate import ErrorRate

SILENCE_MS: Final = 30_000
"""A source partition that nothing came from for so long does not hold the watermark back."""
STEP_MS: Final = 5_000
"""The flow clock goes on by so much at most from one partial to the next: a pause of everything is no silence."""


class HealthJudge:
    """Folds partials into the records of one partition, and judges.

    Args:
        rules: the subject rules.
        sources: the names of all source partitions there can be.
    """

    def __init__(self, rules: SubjectRules, sources: Iterable[str]) -> None:
        self._rules = rules
        self._sources = frozenset(sources)
        self._least_failed = {name: _least_failed(rule) for name, rule in rules.by_type.items()}

    def fold(self, records: Records, messages: Iterable[tuple[int, bytes | None]]) -> list[SubjectVerdict]:
        """Fold messages in their order.

        Args:
            records: of the partition, changed in place.
            messages: timestamps (milliseconds since 1970) and values.

        Returns:
            the verdicts on subjects whose level changed, in the order in which minutes closed, then by type and id.
        """
        value = records.get(PARTITION_KEY)
        state = value if isinstance(value, HealthPartition) else HealthPartition()
        folding = Folding(records, state, self._least_failed)
        for timestamp, message in messages:
            if state.newest >= 0 and timestamp > state.newest:
                state.flow += min(timestamp - state.newest, STEP_MS)
            state.newest = max(state.newest, timestamp)
            try:
                partial = decode_partial(message)
            except PartialError:
                state.count("unreadable", 1)
                continue
            if folding.take(partial, message or b"") and partial.sources is not None:
                _hear(state, partial.sources)
        # Once for all of them: no row of a partition that the watermark waits for is in a minute that it closes.
        verdicts = self._advance(records, state)
        note_seen(records, state, folding.seen)
        forget_some(records, state)
        records[PARTITION_KEY] = state
        return verdicts

    def _advance(self, records: Records, state: HealthPartition) -> list[SubjectVerdict]:
        """Move the watermark, and judge what it closes."""
        if state.flow < SILENCE_MS and not self._sources.issubset(state.sources):
            # Those that are not known yet may be about to come.
            return []
        waited, silent = [], []
        for name, source in state.sources.items():
            if source.time is None:
                continue
            if state.flow - source.heard < SILENCE_MS:
                waited.append(source.time)
            else:
                silent.append((name, source.time))
        if not waited:
            return []
        least = min(waited)
        if state.watermark is not None and least <= state.watermark:
            return []
        state.watermark = least
        last = last_closed(least)
        if state.judged_through is not None and last <= state.judged_through:
            return []
        verdicts = [
            verdict
            for name in state.candidates
            for verdict in self._judge(records, state, name, last, silent)
        ]
        verdicts.sort(key=lambda verdict: (verdict.minute_end, verdict.subject.type, verdict.subject.id))
        state.judged_through = last
        self._let_go(records, state, last)
        return verdicts

    def _judge(
        self, records: Records, state: HealthPartition, name: str, last: int, silent: list[tuple[str, int]]
    ) -> Iterator[SubjectVerdict]:
        """Judge a subject in the minutes that close, where its sums change."""
        subject = _subject(name)
        if subject.type not in self._rules.by_type:
            return
        record = _record(records, subject)
        done = state.judged_through
        series = series_of(records.get, name, record, 0 if done is None else done - WINDOW_MINUTES + 1, last)
        # Sums up to each minute, so that those of an hour are differences.
        minutes = sorted(series)
        failed_before = [0, *accumulate(series[minute][0] for minute in minutes)]
        before = [0, *accumulate(series[minute][1] for minute in minutes)]
        level = record.level
        points = {point for minute in minutes for point in (minute, minute + WINDOW_MINUTES) if point <= last}
        for minute in sorted(points if done is None else [point for point in points if point > done]):
            begin, end = bisect_right(minutes, minute - WINDOW_MINUTES), bisect_right(minutes, minute)
            failed, total = failed_before[end] - failed_before[begin], before[end] - before[begin]
            bound = (minute + 1) * MINUTE_MS + GRACE_MS
            left_out = sorted(source for source, time in silent if time < bound)

            def names(first: int, last: int) -> tuple[dict[str, int], dict[str, int]]:
                codes, regions = names_of(records.get, name, record, first, last)
                return _above_zero(codes), _above_zero(regions)

            level, verdict = self._rules.judge(subject, minute, failed, total, level, names, left_out)
            if verdict is not None:
                state.count("verdicts", 1)
                if left_out:
                    state.count("left_out", 1)
                yield verdict
        if level != record.level:
            record.level = level
            records[record_key(*subject)] = record

    def _let_go(self, records: Records, state: HealthPartition, last: int) -> None:
        """Subjects that have no level, and too few failures for one, are candidates no longer."""
        for name in list(state.candidates):
            subject = _subject(name)
            record = _record(records, subject)
            least = self._least_failed.get(subject.type)
            if record.level is None and (
                least is None or record.failed_since(last - WINDOW_MINUTES + 2) < least
            ):
                del state.candidates[name]
                if isinstance(record, DeviceHealth) and record.series is not None:
                    record.series = None
                    records[record_key(*subject)] = record


def _hear(state: HealthPartition, sources: Iterable[SourceTime]) -> None:
    """Source partitions tell their times."""
    for source in sources:
        known = state.sources.get(source.name)
        if known is None:
            state.sources[source.name] = Source(source.time, state.flow)
            continue
        if source.heard:
            known.heard = state.flow
        if source.time is not None and (known.time is None or source.time > known.time):
            known.time = source.time


def _subject(name: str) -> SubjectKey:
    dimension, _, identifier = name.partition(":")
    return SubjectKey("content" if dimension == "content" else "device", identifier)


def _record(records: Records, subject: SubjectKey) -> SubjectHealth | DeviceHealth:
    value = records.get(record_key(*subject))
    if isinstance(value, SubjectHealth | DeviceHealth):
        return value
    return SubjectHealth() if subject.type == "content" else DeviceHealth()


def _above_zero(counts: dict[str, int]) -> dict[str, int]:
    """Without what was taken back."""
    return {name: number for name, number in counts.items() if number}


def _least_failed(rule: ErrorRate) -> int:
    """So many failures within an hour at least are needed for a level, or fewer.

    Half of those that are remembered of a device at most, as some of these may be taken back.
    """
    high, medium = rule.high_over * rule.high_min_events, rule.medium_over * rule.medium_min_events
    return max(1, min(int(high), int(medium), FAILURES // 2))
