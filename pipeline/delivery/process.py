"""The process around an application: signals, a time limit for stopping, and readable errors."""

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
"""After SIGTERM the worker commits what is processed and stops. After this time it exits, as in a crash."""

EXIT_FAILED = 1
EXIT_MISSING = 3
"""Something outside of the program is missing or wrong: a broker, a topic or the disk."""
EXIT_INTERRUPTED = 130
"""Ctrl-C, or a second signal."""


class DeliveryWorker(faust.Worker):
    """Faust's worker. The first signal stops it within `STOP_SECONDS`, a second one at once."""

    _stopped_by: signal.Signals | None = None

    def _on_sigint(self) -> None:
        self._stop_soon(signal.SIGINT)

    def _on_sigterm(self) -> None:
        self._stop_soon(signal.SIGTERM)

    def _stop_soon(self, number: signal.Signals) -> None:
        # From now on signals bypass the event loop, because it may hang.
        for handled in (signal.SIGINT, signal.SIGTERM):
            self.loop.remove_signal_handler(handled)
            signal.signal(handled, _exit_at_once)
        limit = threading.Timer(STOP_SECONDS, _exit_late)
        limit.daemon = True
        limit.start()
        self._stopped_by = number
        self._flag_as_shutdown_by_signal()
        self._schedule_shutdown(number)

    def execute_from_commandline(self) -> NoReturn:
        """Run until stopped, and exit with the status."""
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
            DeliveryError: a person has to do something; the message says what.
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
        except (Exception, asyncio.CancelledError) as raised:  # noqa: BLE001 - the first error is the cause
            error = error or raised
        error = error or self.crash_reason or self.app.crash_reason
        if error is None:
            return EXIT_INTERRUPTED if self._stopped_by is signal.SIGINT else 0
        if isinstance(error, DeliveryError):
            raise error
        self.log.critical("the worker ends with an error", exc_info=error)
        return EXIT_FAILED


def _exit_at_once(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a signal handler
    os._exit(EXIT_INTERRUPTED)


def _exit_late() -> None:
    sys.stderr.write(f"not stopped within {STOP_SECONDS:g} s; exiting now, nothing committed is lost\n")
    sys.stderr.flush()
    os._exit(EXIT_FAILED)
