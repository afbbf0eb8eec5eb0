"""Partitions that are behind are read side by side in time, and not side by side in records.

Flink calls this watermark alignment; Kafka Streams, too, goes on where the time of the records is the earliest.
Where one has fewer records in an hour than another, equal numbers of records would take it hours ahead: whatever waits
for the slowest partition (a watermark) would have to keep those hours. So a partition waits while another one of its
topic, which is worked on, has not come as far. The time is that of the records' Kafka timestamps.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from faust.types import TP

    from pipeline.delivery.flow.batches import Chunk

_MANY: Final = 500
"""A fetch that brought so many records tells that the partition is behind; at an even load it brings fewer."""
_LONGEST_S: Final = 2.0
"""No partition waits for longer: a producer with a wrong clock must not hold up its partition."""
_SOON_S: Final = 0.5
"""For a partition that is worked off the others wait for so long: the broker may not give more of it."""


class _Reached(NamedTuple):
    """How far a partition was handed out.

    Attributes:
        timestamp: of the last record, milliseconds since 1970.
        behind: whether there is more to come.
        at: when it was, or was worked off, by the monotonic clock, in seconds.
    """

    timestamp: int
    behind: bool
    at: float


class Alignment:
    """Says which partitions wait for others.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._reached: dict[TP, _Reached] = {}

    def forget(self) -> None:
        """Partitions were assigned anew."""
        self._reached.clear()

    def reached(self, tp: TP, chunk: Chunk) -> None:
        """A chunk is handed out."""
        self._reached[tp] = _Reached(chunk.records[-1].timestamp, len(chunk.records) >= _MANY, self._clock())

    def worked_off(self, tp: TP) -> None:
        """A chunk is done with."""
        known = self._reached.get(tp)
        if known is not None:
            self._reached[tp] = known._replace(at=self._clock())

    def waits(self, tp: TP, busy: Container[TP]) -> bool:
        """Whether a partition is ahead of one that is worked on.

        Args:
            tp: which has room for more.
            busy: partitions with chunks that are not worked off.
        """
        known, now = self._reached.get(tp), self._clock()
        if known is None or not known.behind or now - known.at > _LONGEST_S:
            return False
        return any(
            theirs.timestamp < known.timestamp
            and other.topic == tp.topic
            and (other in busy or (theirs.behind and now - theirs.at < _SOON_S))
            for other, theirs in self._reached.items()
        )
