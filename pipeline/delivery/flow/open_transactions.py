"""Open transactions of other producers: how many records wait behind them, and what is said of it.

A reader of committed records gets nothing from behind the first open transaction of a partition. The workers' own
transactions are over within a second or two. A producer that hangs, or that died, can hold everything up for as long
as its transaction timeout allows. The two differ in one thing: how long the first open transaction stays the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from faust.types import TP

    from pipeline.delivery.plugin.consumer import Unread

HELD_SECONDS: Final = 5.0
"""Longer than a commit of a worker takes, so that the workers' own transactions are not counted."""
WARNING_SECONDS: Final = 15.0


class _Stop(NamedTuple):
    """Where the readable part of a partition ends, and since when it has ended there."""

    offset: int
    since: float


class OpenTransactions:
    """Follows where the first open transaction of each partition is. `look` is called every second or so."""

    def __init__(self) -> None:
        self.held: dict[TP, int] = {}
        """How many records wait behind a transaction that has been open for `HELD_SECONDS`, where there are any."""
        self._stops: dict[TP, _Stop] = {}
        self._reported: set[TP] = set()

    def look(self, unread: Mapping[TP, Unread], now: float) -> Iterator[str]:
        """Update the figures and give the warnings that are due: one for each time that a partition is held up.

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
