"""A valve before the processing: closed, nothing is processed but single records that are asked for."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


_UNDER_WAY_S: Final = 10.0


class Step(NamedTuple):
    """One record that may pass a closed valve; `passed` is done when it did, with its place."""

    passed: asyncio.Future[tuple[str, int, int]]


class Valve:
    """Open at first. What was read before it closed waits before it, so nothing is lost by closing it.

    It is of this process alone; whoever closes it must do so again after a restart.
    """

    def __init__(self) -> None:
        self._closed: frozenset[str] = frozenset()
        self._counted: frozenset[str] = frozenset()
        self._steps: deque[Step] = deque()
        self._turned = asyncio.Event()

    @property
    def closed(self) -> bool:
        """Whether it holds something back."""
        return bool(self._closed)

    def close(self, topics: Iterable[str], counted: Iterable[str]) -> None:
        """Hold back topics.

        Args:
            topics: all of them.
            counted: those of which a single record may be asked for; records of the others pass before it.
        """
        self._closed, self._counted = frozenset(topics), frozenset(counted)

    def open(self) -> None:
        """Hold back nothing any more."""
        self._closed = frozenset()
        self._turn()

    async def step(self, timeout_s: float) -> tuple[str, int, int] | None:
        """Let one record of a counted topic pass.

        Returns:
            its topic, partition and offset; None if none came within the time, and then none will.
        """
        step = Step(asyncio.get_running_loop().create_future())
        self._steps.append(step)
        self._turn()
        try:
            return await asyncio.wait_for(asyncio.shield(step.passed), timeout_s)
        except TimeoutError:
            if step in self._steps:
                self._steps.remove(step)
                return None
        # It is being processed; where that fails for good, the worker ends, and nobody says so here.
        done, _ = await asyncio.wait((step.passed,), timeout=_UNDER_WAY_S)
        return step.passed.result() if done else None

    # -- for the processing

    async def admit(self, topic: str, wish: int) -> tuple[int, Step | None]:
        """Wait until records of a topic may pass: how many, at most `wish`, and for which step."""
        while topic in self._closed:
            if self._steps and topic in self._counted:
                return 1, self._steps.popleft()
            if self._steps:
                break
            self._turned.clear()
            await self._turned.wait()
        return wish, None

    def settle(self, step: Step | None, place: tuple[str, int, int] | None) -> None:
        """What came of a step: the place of the record that passed, or None; then the next one may pass."""
        if step is None:
            return
        if place is None:
            self._steps.appendleft(step)
            self._turn()
        elif not step.passed.done():
            step.passed.set_result(place)

    def _turn(self) -> None:
        self._turned.set()
