"""The process around an application: signals, a time limit for stopping, and errors that a person can read."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

import faust

from pipeline.delivery.errors import DeliveryError

if TYPE_CHECKING:
    from types import FrameType

STOP_SECONDS = 9.5
"""SIGTERM commits what is done and leaves; whatever hangs then is left behind, as in a crash."""

EXIT_FAILED = 1
EXIT_MISSING = 3
"""Something outside of the program is missing or wrong: a broker, a topic, the disk."""
EXIT_INTERRUPTED = 130
"""By Ctrl-C, or by a second signal."""


class DeliveryWorker(faust.Worker):
    """Faust's worker: the first signal stops it within `STOP_SECONDS`, a second one at once."""

    _stopped_by: signal.Signals | None = None

    def _on_sigint(self) -> None:
        self._stop_soon(signal.SIGINT)

    def _on_sigterm(self) -> None:
        self._stop_soon(signal.SIGTERM)

    def _stop_soon(self, number: signal.Signals) -> None:
        # From now on signals bypass the event loop, which may be what hangs.
        for one in (signal.SIGINT, signal.SIGTERM):
            self.loop.remove_signal_handler(one)
            signal.signal(one, _leave)
        limit = threading.Timer(STOP_SECONDS, _leave_late)
        limit.daemon = True
        limit.start()
        self._stopped_by = number
        self._flag_as_shutdown_by_signal()
        self._schedule_shutdown(number)

    def execute_from_commandline(self) -> NoReturn:
        """Run until stopped, and exit."""
        try:
            status = self.execute()
        except DeliveryError as error:
            sys.stderr.write(f"{error}\n")
            status = EXIT_MISSING
        sys.exit(status)

    def execute(self) -> int:
        """Run until stopped.

        Returns:
            the exit status.

        Raises:
            DeliveryError: what a person has to see to.
        """
        loop = self.loop
        error: BaseException | None = None
        try:
            self._starting_fut = asyncio.ensure_future(self.start(), loop=loop)
            loop.run_until_complete(self._starting_fut)
        except asyncio.CancelledError:
            pass
        except Exception as raised:  # noqa: BLE001 - it is reported below
            error = raised
        try:
            self.on_worker_shutdown()
            self.stop_and_shutdown()
        except (Exception, asyncio.CancelledError) as raised:  # noqa: BLE001 - the first error tells more
            error = error or raised
        error = error or self.crash_reason or self.app.crash_reason
        if error is None:
            return EXIT_INTERRUPTED if self._stopped_by is signal.SIGINT else 0
        if isinstance(error, DeliveryError):
            raise error
        self.log.critical("the worker ends with an error", exc_info=error)
        return EXIT_FAILED


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a signal handler
    os._exit(EXIT_INTERRUPTED)


def _leave_late() -> None:
    sys.stderr.write(f"not stopped within {STOP_SECONDS:g} s; leaving as it is, nothing committed is lost\n")
    sys.stderr.flush()
    os._exit(EXIT_FAILED)
