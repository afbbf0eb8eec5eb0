"""SIGTERM while a worker starts: the process ends at once with status 0, because nothing has to be stopped yet."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


def leave_on_sigterm() -> None:
    """End the process at SIGTERM, until the running worker sets a handler of its own."""
    signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a signal handler
    # An exception would not do: code that waits for brokers may catch it, and asyncio would wait for its tasks.
    os._exit(0)
