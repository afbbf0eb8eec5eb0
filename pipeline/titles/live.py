"""Titles and devices, live: chunks of all partitions in, figures and level changes out.

Nothing here reads a clock. A *flow clock* finds silent source partitions. It is computed from the timestamps of the
chunks' own records, so a replay of the chunks decides in the same way.
"""

from collections.abc import Iterable
from typing import Final

from pipeline.evaluation.verdict import SubjectVerdict
from pipeline.titles.chunks import Chunk, ChunkError, SourceTime, decode_chunk
from pipeline.titles.engine import Engine, SilentSource
from pipeline.titles.levels import SubjectRules
from pipeline.titles.state import PARTITION_KEY, Records, SourcePartition, TitlesPartition, partition_of

SILENCE_MS: Final = 30_000
"""The watermark does not wait for a source partition after this much flow time without records from it."""
STEP_MS: Final = 5_000
"""The most that the flow clock moves from one message to the next. A pause of all partitions is not silence."""


class LiveTitles:
    """Folds chunks into the figures of a partition, and judges closed minutes.

    Args:
        rules: the subject rules.
        sources: the names of all source partitions that exist.
    """

    def __init__(self, rules: SubjectRules, sources: Iterable[str]) -> None:
        self._rules = rules
        self._sources = frozenset(sources)

    def fold(self, records: Records, messages: Iterable[tuple[int, bytes | None]]) -> list[SubjectVerdict]:
        """Fold messages of chunks, in order.

        Args:
            records: the records of the partition. They are changed in place.
            messages: timestamps (milliseconds since 1970) and values.

        Returns:
            the verdicts on subjects whose level changed, ordered by minute, then subject type, then id.
        """
        state = partition_of(records)
        engine = Engine(self._rules, records, state)
        for timestamp, message in messages:
            if state.newest >= 0 and timestamp > state.newest:
                state.flow += min(timestamp - state.newest, STEP_MS)
            state.newest = max(state.newest, timestamp)
            try:
                chunk = decode_chunk(message)
            except ChunkError:
                state.count("unreadable", 1)
                continue
            if _is_new(state, chunk):
                engine.add(chunk.subjects, chunk.first, chunk.last)
                if chunk.sources is not None:
                    _hear(state, chunk.sources)
        # Once for all messages: no later message has rows of a closed minute, except from silent partitions.
        silent = self._move_watermark(state)
        verdicts = [] if state.watermark is None else engine.advance(state.watermark, silent)
        engine.finish()
        records[PARTITION_KEY] = state
        return verdicts

    def _move_watermark(self, state: TitlesPartition) -> list[SilentSource]:
        """Move the watermark to the least P of the sources that are not silent, and return those that are."""
        if state.flow < SILENCE_MS and not self._sources.issubset(state.sources):
            # Partitions that were never heard of may only be late, so wait for them first.
            return []
        waited, silent = [], []
        for name, source in state.sources.items():
            if source.time is None:
                continue
            if state.flow - source.heard < SILENCE_MS:
                waited.append(source.time)
            else:
                silent.append((name, source.time))
        if waited and (state.watermark is None or min(waited) > state.watermark):
            state.watermark = min(waited)
        return silent


def _is_new(state: TitlesPartition, chunk: Chunk) -> bool:
    """Whether a message was not folded yet. One that is read again must change nothing."""
    number = (chunk.sequence, chunk.part)
    if number <= state.taken.get(chunk.unit, (-1, 0)):
        return False
    state.taken[chunk.unit] = number
    return True


def _hear(state: TitlesPartition, sources: Iterable[SourceTime]) -> None:
    """Take over the times of source partitions, and note which of them had records."""
    for source in sources:
        known = state.sources.get(source.name)
        if known is None:
            state.sources[source.name] = SourcePartition(source.time, state.flow)
            continue
        if source.heard:
            known.heard = state.flow
        if source.time is not None and (known.time is None or source.time > known.time):
            known.time = source.time
