"""Open transactions of other producers: how many records wait behind them, and when to warn.

A reader of committed records gets nothing from behind the first open transaction of a partition. The workers' own
transactions take a second or two. A producer that hangs or died can block a partition for as long as its transaction
timeout allows. The two differ in how long the first open transaction stays the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from faust.types import TP

    from pipeline.delivery.runtime import Unread

HELD_SECONDS: Final = 5.0
"""Longer than a worker's commit takes, so the workers' own transactions are not counted."""
WARNING_SECONDS: Final = 15.0


class _Stop(NamedTuple):
    """Where the readable part of a partition ends, and since when."""

    offset: int
    since: float


class OpenTransactions:
    """Tracks the first open transaction of each partition; `look` is called about once a second."""

    def __init__(self) -> None:
        self.held: dict[TP, int] = {}
        """Records that wait behind a transaction open for at least `HELD_SECONDS`, per partition with such records."""
        self._stops: dict[TP, _Stop] = {}
        self._reported: set[TP] = set()

    def look(self, unread: Mapping[TP, Unread], now: float) -> Iterator[str]:
        """Update the figures and yield the warnings that are due: one each time that a partition is blocked.

        Args:
            unread: what is left of each partition that is read.
            now: seconds of a monotonic clock.
        """
        stops: dict[TP, _Stop] = {}
        for tp, left in unread.items():
            if left.withheld:
                offset, known = left.readable_until, self._stops.get(tp)
                stops[tp] = known if known is not None and known.offset == offset else _Stop(offset, now)
        self._stops = stops
        waited = {tp: now - stop.since for tp, stop in stops.items()}
        self.held = {tp: unread[tp].withheld for tp, seconds in waited.items() if seconds >= HELD_SECONDS}
        self._reported &= self.held.keys()
        for tp, count in self.held.items():
            if waited[tp] >= WARNING_SECONDS and tp not in self._reported:
                self._reported.add(tp)
                yield (
                    f"{count:,} records of {tp.topic}/{tp.partition} have waited {waited[tp]:.0f} s behind an open "
                    f"transaction of a producer at offset {stops[tp].offset}; they are judged when it commits or "
                    "aborts, or when its transaction.timeout.ms is over. To end one that hangs: "
                    f"kafka-transactions.sh --bootstrap-server HOST:PORT abort --topic {tp.topic} "
                    f"--partition {tp.partition} --start-offset {stops[tp].offset}"
                )
