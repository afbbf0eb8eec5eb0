"""Rounds: beside a backlog requests are read and answered together, five times a second."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pipeline.delivery.scheduler import Scheduler

_ROUND_S: Final = 0.2
_BEGINNING_S: Final = 0.05
"""So long a round begins: the event loop does not come to all that waited for it in one go."""


class Rounds:
    """Makes requests wait for each other.

    Beside a stream that never pauses a request finds none of its code and data in the processor's caches, and takes
    two to three times as long as alone. Those that are answered together share them.

    Args:
        turns: of the stream.
    """

    def __init__(self, turns: Scheduler) -> None:
        self._turns = turns
        self._held: list[asyncio.Transport] = []

    async def wait(self, transport: asyncio.Transport | None) -> bool:
        """Wait for the next round, where the worker is behind.

        What comes next over the same connection is then not even read before the next round.

        Args:
            transport: of the request; None if its connection is closed.

        Returns:
            whether the worker is behind.
        """
        if not self._turns.crowded:
            return False
        into = asyncio.get_running_loop().time() % _ROUND_S
        if into > _BEGINNING_S:
            await asyncio.sleep(_ROUND_S - into)
        if transport is not None:
            self._hold(transport)
        return True

    def _hold(self, transport: asyncio.Transport) -> None:
        if not self._held:
            loop = asyncio.get_running_loop()
            loop.call_later(_ROUND_S - loop.time() % _ROUND_S, self._release)
        transport.pause_reading()
        self._held.append(transport)

    def _release(self) -> None:
        held, self._held = self._held, []
        for transport in held:
            transport.resume_reading()
