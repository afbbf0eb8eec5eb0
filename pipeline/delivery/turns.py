"""Turns: long pieces of work take them, so that what must not wait for long runs between any two."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

_BETWEEN: Final = 3
"""Iterations of the loop between two turns: so many a request needs from its arrival to its answer. One less for each
who waits for a turn: a worker that is behind has more use for the time that they take, a tenth of all."""
_CROWDED_S: Final = 1.0
"""At an even load there is a moment without work many times a second (seen at two thirds of what a worker can do),
beside a backlog there is none for seconds."""


class Turns:
    """Gives one turn after the other, in the order in which they were asked for, and lets the event loop run between.

    Agents, commits and the web share one loop. Without turns an iteration of it may hold a piece of work of every
    partition, and a request, which needs several iterations, waits for all of them several times.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._ticking = False
        self._pause = 0
        self._ticking_since = 0.0

    @property
    def crowded(self) -> bool:
        """Whether there was always somebody waiting, for so long that the worker is behind."""
        return self._ticking and asyncio.get_running_loop().time() - self._ticking_since >= _CROWDED_S

    async def next(self) -> None:
        """Wait for a turn; it lasts until the caller awaits again."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        if not self._ticking:
            self._ticking, self._ticking_since = True, loop.time()
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
            if not turn.done():  # else its task was cancelled
                turn.set_result(None)
                self._pause = max(0, _BETWEEN - len(waiting))
                return
