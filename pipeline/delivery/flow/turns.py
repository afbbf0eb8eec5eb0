"""Turns: long pieces of work take them, so that what must not wait for long runs between any two."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Final

_BETWEEN: Final = 3
"""Iterations of the loop between two turns: so many a request needs from its arrival to its answer. One less for each
who waits for a turn: a worker that is behind has more use for the time that they take, a tenth of all."""
_LATELY_S: Final = 2.0
_CROWDED_SHARE: Final = 0.08
"""Less of that time was without work. Beside a backlog 1 to 8 % is, at half of what a worker can do about a third."""


class Turns:
    """Gives one turn after the other, in the order in which they were asked for, and lets the event loop run between.

    Agents, commits and the web share one loop. Without turns an iteration of it may hold a piece of work of every
    partition, and a request, which needs several iterations, waits for all of them several times.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._ticking = False
        self._pause = 0
        self._idle_since = float("-inf")
        self._gaps: deque[tuple[float, float]] = deque()  # without work: from when to when, the newest last

    @property
    def crowded(self) -> bool:
        """Whether there was hardly a moment lately in which nobody waited: the worker is behind."""
        now = time.monotonic()
        begin = now - _LATELY_S
        idle = sum([end - max(start, begin) for start, end in self._gaps if end > begin])
        if not self._ticking:
            idle += now - max(self._idle_since, begin)
        return idle < _CROWDED_SHARE * _LATELY_S

    async def next(self) -> None:
        """Wait for a turn; it lasts until the caller awaits again."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        if not self._ticking:
            self._ticking = True
            self._note_gap()
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

    def _note_gap(self) -> None:
        gaps, now = self._gaps, time.monotonic()
        gaps.append((self._idle_since, now))
        while gaps[0][1] < now - _LATELY_S:
            gaps.popleft()

    def _give(self) -> None:
        waiting = self._waiting
        while waiting:
            turn = waiting.popleft()
            if not turn.done():  # else its task was cancelled
                turn.set_result(None)
                self._pause = max(0, _BETWEEN - len(waiting))
                return
