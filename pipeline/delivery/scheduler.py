"""A cooperative scheduler: long pieces of work take turns, so that requests are answered between any two of them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

_BETWEEN: Final = 3
"""Iterations of the event loop between two turns. A request needs that many from its arrival to its answer. Each
waiting piece of work takes one away: a worker that is behind loses a tenth of its throughput to these iterations."""


class Scheduler:
    """Gives one turn after the other, in the order of the requests, and lets the event loop run in between.

    Agents, commits and the web server share one event loop. Without the scheduler, one iteration of the loop could
    contain a piece of work of every partition, and a web request, which needs several iterations, would wait for all
    of them several times.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._ticking = False
        self._pause = 0

    async def turn(self) -> None:
        """Wait for a turn; it lasts until the caller awaits again."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        if not self._ticking:
            self._ticking = True
            loop.call_soon(self._tick)
        await turn

    def _tick(self) -> None:
        if self._pause:
            self._pause -= 1
        else:
            self._give()
        if self._waiting or self._pause:
            asyncio.get_running_loop().call_soon(self._tick)
        else:
            self._ticking = False

    def _give(self) -> None:
        waiting = self._waiting
        while waiting:
            turn = waiting.popleft()
            if not turn.done():  # a cancelled task no longer needs its turn
                turn.set_result(None)
                self._pause = max(0, _BETWEEN - len(waiting))
                return
