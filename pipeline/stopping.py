"""SIGTERM while a worker starts: it leaves at once, with status 0. Nothing is begun yet that would have to be ended."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


def leave_on_sigterm() -> None:
    """From now on, until the running worker has a handler of its own."""
    signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a signal handler
    # Not by an exception: code that waits for brokers may catch it, and asyncio would wait for its tasks.
    os._exit(0)
