"""Records per second over the last seconds."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS: Final = 5


class Rate:
    """Looks at a counter every second.

    Args:
        counter: gives its value, which only grows.
    """

    def __init__(self, counter: Callable[[], int]) -> None:
        self._counter = counter
        self._seen: deque[tuple[float, int]] = deque(maxlen=_SECONDS + 1)
        self._task: asyncio.Task[None] | None = None

    @property
    def per_second(self) -> float:
        """Over the last five seconds, or since the start."""
        if len(self._seen) <= 1:
            return 0.0
        (then, before), (now, after) = self._seen[0], self._seen[-1]
        return round((after - before) / (now - then), 1)

    async def start(self, *_: object) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._look())

    async def stop(self, *_: object) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _look(self) -> None:
        while True:
            self._seen.append((time.monotonic(), self._counter()))
            await asyncio.sleep(1.0)
