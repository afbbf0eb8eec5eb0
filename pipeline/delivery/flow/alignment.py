"""Watermark alignment: partitions that are behind are read at the same pace of event time, not of records.

Flink uses the same name; Kafka Streams also continues with the partition whose records are the earliest. A partition
with few records per hour would otherwise be hours ahead of the others after equal numbers of records, and whatever
waits for the slowest partition (a watermark) would have to keep those hours. So a partition waits while another one of
its topic, which is being processed, has not come as far. Time here is the records' Kafka timestamp.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from faust.types import TP

    from pipeline.delivery.flow.batches import Chunk

_FETCH_OF_A_BACKLOG: Final = 500
"""A fetch with at least this many records shows that the partition is behind. Without a backlog fetches are smaller."""
_LONGEST_WAIT_S: Final = 2.0
"""No partition waits longer: a producer with a wrong clock must not hold up its partition."""
_NEXT_FETCH_S: Final = 0.5
"""The others wait this long for the next fetch of a partition that has been processed: more of it may not come."""


class _Reached(NamedTuple):
    """How far a partition was handed out.

    Attributes:
        timestamp: of the last record, in milliseconds since 1970.
        behind: whether more records are expected.
        at: when its last chunk was handed out or processed, in seconds of the monotonic clock.
    """

    timestamp: int
    behind: bool
    at: float


class Alignment:
    """Decides which partitions wait for others; the consumer asks it before each fetch.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._reached: dict[TP, _Reached] = {}

    def forget(self) -> None:
        """Drop everything: there is a new assignment."""
        self._reached.clear()

    def reached(self, tp: TP, chunk: Chunk) -> None:
        """Note that a chunk is handed out."""
        behind = len(chunk.records) >= _FETCH_OF_A_BACKLOG
        self._reached[tp] = _Reached(chunk.records[-1].timestamp, behind, self._clock())

    def processed(self, tp: TP) -> None:
        """Note that a chunk is processed."""
        known = self._reached.get(tp)
        if known is not None:
            self._reached[tp] = known._replace(at=self._clock())

    def waits(self, tp: TP, busy: Container[TP]) -> bool:
        """Whether a partition must wait, because it is ahead of one that is being processed.

        Args:
            tp: a partition that may take another batch.
            busy: partitions with unprocessed batches.
        """
        known, now = self._reached.get(tp), self._clock()
        if known is None or not known.behind or now - known.at > _LONGEST_WAIT_S:
            return False
        return any(
            theirs.timestamp < known.timestamp
            and other.topic == tp.topic
            and (other in busy or (theirs.behind and now - theirs.at < _NEXT_FETCH_S))
            for other, theirs in self._reached.items()
        )
