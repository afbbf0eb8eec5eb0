"""A cooperative scheduler: long pieces of work take turns, so that requests are answered between any two of them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Final

_BETWEEN: Final = 3
"""Iterations of the event loop between two turns. A request needs that many from its arrival to its answer. Each
waiting piece of work takes one away: a worker that is behind loses a tenth of its throughput to these iterations."""
_RECENT_S: Final = 2.0
_CROWDED_SHARE: Final = 0.08
"""A worker counts as crowded when less of the recent time was idle. Beside a backlog 1 to 8 % of it is idle; at half
of a worker's capacity about a third."""


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
        self._idle_since = float("-inf")
        self._idle: deque[tuple[float, float]] = deque()  # begin and end of idle times, the newest last

    @property
    def crowded(self) -> bool:
        """Whether work was waiting nearly all of the last two seconds: the worker is behind."""
        now = time.monotonic()
        begin = now - _RECENT_S
        idle = sum([end - max(start, begin) for start, end in self._idle if end > begin])
        if not self._ticking:
            idle += now - max(self._idle_since, begin)
        return idle < _CROWDED_SHARE * _RECENT_S

    async def turn(self) -> None:
        """Wait for a turn; it lasts until the caller awaits again."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        if not self._ticking:
            self._ticking = True
            self._note_idle_time()
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
            self._idle_since = time.monotonic()

    def _note_idle_time(self) -> None:
        idle, now = self._idle, time.monotonic()
        idle.append((self._idle_since, now))
        while idle[0][1] < now - _RECENT_S:
            idle.popleft()

    def _give(self) -> None:
        waiting = self._waiting
        while waiting:
            turn = waiting.popleft()
            if not turn.done():  # a cancelled task no longer needs its turn
                turn.set_result(None)
                self._pause = max(0, _BETWEEN - len(waiting))
                return
