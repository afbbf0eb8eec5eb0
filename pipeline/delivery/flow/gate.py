"""A gate in front of the processing. While it is closed, only single records pass, one per request for a step."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_PROCESSING_S: Final = 10.0


RecordPosition = tuple[str, int, int]
"""Topic, partition and offset of a record."""
Step = asyncio.Future[RecordPosition]
"""A request that one record may pass the closed gate; its result is the position of that record."""


class Gate:
    """Open at first. Records that were fetched before it closed wait in front of it, so closing it loses nothing.

    It belongs to this process. Whoever closes it must close it again after a restart.
    """

    def __init__(self) -> None:
        self._closed: frozenset[str] = frozenset()
        self._counted: frozenset[str] = frozenset()
        self._steps: deque[Step] = deque()
        self._changed = asyncio.Event()

    @property
    def closed(self) -> bool:
        """Whether it holds a topic back."""
        return bool(self._closed)

    def close(self, topics: Iterable[str], counted: Iterable[str]) -> None:
        """Hold topics back.

        Args:
            topics: all of them.
            counted: those whose records a step counts; records of the other topics pass before the counted one.
        """
        self._closed, self._counted = frozenset(topics), frozenset(counted)

    def open(self) -> None:
        """Let everything pass."""
        self._closed = frozenset()
        self._changed.set()

    async def step(self, timeout_s: float) -> RecordPosition | None:
        """Let one record of a counted topic pass.

        Returns:
            its topic, partition and offset; None if no record came within the time, and the request is withdrawn.
        """
        step: Step = asyncio.get_running_loop().create_future()
        self._steps.append(step)
        self._changed.set()
        try:
            return await asyncio.wait_for(asyncio.shield(step), timeout_s)
        except TimeoutError:
            if step in self._steps:
                self._steps.remove(step)
                return None
        # The record is being processed. If that fails for good, the worker ends, and the step has no result.
        done, _ = await asyncio.wait((step,), timeout=_PROCESSING_S)
        return step.result() if done else None

    # -- for the processing

    async def admit(self, topic: str, wanted: int) -> tuple[int, Step | None]:
        """Wait until records of a topic may pass; return how many, at most `wanted`, and the step they use up."""
        while topic in self._closed:
            if self._steps and topic in self._counted:
                return 1, self._steps.popleft()
            if self._steps:
                break
            self._changed.clear()
            await self._changed.wait()
        return wanted, None

    def settle(self, step: Step | None, position: RecordPosition | None) -> None:
        """Finish a step with the position of its record; with None, the step is open again for the next record."""
        if step is None:
            return
        if position is None:
            self._steps.appendleft(step)
            self._changed.set()
        elif not step.done():
            step.set_result(position)
