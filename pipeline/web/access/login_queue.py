"""The queue of password checks. A check takes a core for a fraction of a second, so only two run at a time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from pipeline.web.http.problems import unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AT_A_TIME: Final = 2
LONGEST: Final = 40
"""A few seconds of checks. If more attempts wait, the one that would come last is refused."""


class Rank(IntEnum):
    """The order of attempts. A flood from one site must not delay other sites."""

    KNOWN = 0
    """The account signed in from this site before."""
    FRESH = 1
    """Nobody failed at this site lately."""
    FAILED = 2
    """Somebody failed at this site lately."""


@dataclass(slots=True, eq=False)
class _Waiting:
    rank: Rank
    number: int
    site: str
    turn: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def order(self) -> tuple[int, int]:
        """By rank, then by age."""
        return self.rank, self.number


class LoginQueue:
    """Gives turns by rank, and at most one at a time to each site, unless the account has signed in from there before.

    Sites with failures never hold all turns.
    """

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._busy: list[_Waiting] = []
        self._number = 0

    @asynccontextmanager
    async def turn(self, rank: Rank, site: str) -> AsyncIterator[None]:
        """Wait for a turn, and hold it during the block.

        Raises:
            Problem: too many others come first.
        """
        self._number += 1
        mine = _Waiting(rank, self._number, site)
        self._waiting.append(mine)
        self._give_turns()
        if len(self._waiting) > LONGEST:
            last = max(self._waiting, key=lambda waiting: waiting.order)
            self._waiting.remove(last)
            last.turn.set_exception(unavailable("too many log-ins wait for their turn; try again"))
        try:
            await mine.turn
            yield
        finally:
            for held in (self._waiting, self._busy):
                if mine in held:
                    held.remove(mine)
            self._give_turns()

    def _give_turns(self) -> None:
        while len(self._busy) < AT_A_TIME:
            ready = [one for one in self._waiting if self._may_go(one)]
            if not ready:
                return
            first = min(ready, key=lambda waiting: waiting.order)
            self._waiting.remove(first)
            self._busy.append(first)
            if not first.turn.done():
                first.turn.set_result(None)

    def _may_go(self, one: _Waiting) -> bool:
        """Whether this attempt may have a free turn. The last free turn is kept for sites without failures."""
        if one.rank is Rank.FAILED and len(self._busy) == AT_A_TIME - 1:
            return False
        return one.rank is Rank.KNOWN or all(busy.site != one.site for busy in self._busy)
