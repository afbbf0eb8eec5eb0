"""Watches everything that the demo runs: until the worker is ready, until a signal, or until the accounts add up."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from pipeline.cli.demo.accounts import Balance, RecordCounts, Status, read_status
from pipeline.cli.demo.narration import say, status_line, verdict_in_words
from pipeline.errors import MissingError
from pipeline.lab.demo_token import DemoWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.cli.demo.children import Child
    from pipeline.cli.demo.watch import Watch

_STATUS_EVERY_S = 5.0
_POLL_S = 0.25
_READY_TIMEOUT_S = 90.0
_STALL_S = 30.0
# A record too many would come late. So the accounts are read once more after they have added up.
_LAST_LOOK_S = 1.5


@dataclass(frozen=True, slots=True)
class Broker:
    """The Kafka that the demo uses.

    Attributes:
        bootstrap_servers: its addresses.
        is_embedded: whether it is the in-memory broker.
        is_new: whether the demo started it, so that it holds nothing yet.
        has_ended: whether a broker that the demo started has ended.
        log: the file with its output, if the demo started it.
    """

    bootstrap_servers: str
    is_embedded: bool
    is_new: bool
    has_ended: Callable[[], bool]
    log: str

    def check(self) -> None:
        """Raise MissingError if a broker that the demo started has ended."""
        if self.has_ended():
            raise MissingError(f"the broker on {self.bootstrap_servers} ended by itself; its log: {self.log}")


@dataclass(frozen=True, slots=True)
class Start:
    """The counts before the run. They are not zero on a cluster that was used before."""

    accounts: RecordCounts
    flagged: int
    failed: int


class Progress:
    """Checks everything that runs, and writes what happens every few seconds."""

    def __init__(self, broker: Broker, worker: Child, watch: Watch, web_address: str) -> None:
        self._broker = broker
        self._worker = worker
        self._watch = watch
        self._web_address = web_address
        self._asked = DemoWorker(web_address)
        self._said_at = time.monotonic()
        self._read_when_said: int | None = None

    def wait_until_ready(self) -> Start:
        """Wait until the worker answers and has no backlog, and return the counts.

        Raises:
            MissingError: the worker ended, or does not answer in time.
        """
        begun = time.monotonic()
        while True:
            status = self._look()
            if status is not None and status.lag == 0:
                if status.accounts.read:
                    time.sleep(_LAST_LOOK_S)
                self._said_at, self._read_when_said = time.monotonic(), status.accounts.read
                return Start(status.accounts, self._watch.flagged, self._watch.failed)
            if status is None and time.monotonic() - begun > _READY_TIMEOUT_S:
                raise MissingError(
                    f"the worker does not answer at {self._web_address} after {_READY_TIMEOUT_S:.0f} s; "
                    f"its log: {self._worker.log}"
                )
            time.sleep(_POLL_S)

    def follow(self, generator: Child | None) -> NoReturn:
        """Write what happens until a signal comes."""
        while True:
            if generator is not None and generator.exit_code is not None:
                raise generator.failure()
            self._look()
            time.sleep(_POLL_S)

    def wait_until_sent(self, generator: Child) -> int:
        """Wait until the generator is done, and return the number of events that the broker acknowledged.

        Raises:
            MissingError: the generator failed.
        """
        while generator.exit_code is None:
            self._look()
            time.sleep(_POLL_S)
        if generator.exit_code:
            raise generator.failure()
        events = generator.answer().get("events")
        assert isinstance(events, int)
        say(f"the generator has sent {events:,} events")
        return events

    def wait_until_settled(self, start: Start, sent: int) -> Balance:
        """Wait until the accounts add up, or until nothing has changed for half a minute."""
        moved = time.monotonic()
        balance: Balance | None = None
        for status in self._statuses():
            before, balance = balance, self._balance(status, start, sent)
            if balance != before:
                moved = time.monotonic()
            if not status.lag and not balance.faults():
                break
            if time.monotonic() - moved > _STALL_S:
                break
        time.sleep(_LAST_LOOK_S)
        return self._balance(next(self._statuses()), start, sent)

    def _balance(self, status: Status, start: Start, sent: int) -> Balance:
        return Balance(
            sent,
            status.accounts.since(start.accounts),
            self._watch.flagged - start.flagged,
            self._watch.failed - start.failed,
        )

    def _statuses(self) -> Iterator[Status]:
        silent_since = time.monotonic()
        while True:
            status = self._look()
            if status is not None:
                silent_since = time.monotonic()
                yield status
            elif time.monotonic() - silent_since > _STALL_S:
                raise MissingError(
                    f"the worker has not answered at {self._web_address} for {_STALL_S:.0f} s; "
                    f"its log: {self._worker.log}"
                )
            time.sleep(_POLL_S)

    def _look(self) -> Status | None:
        """Check that everything runs, write what is new, and ask the worker for its accounts."""
        self._broker.check()
        if self._worker.exit_code is not None:
            raise self._worker.failure()
        self._watch.check()
        for verdict in self._watch.take_samples():
            for line in verdict_in_words(verdict):
                say(line)
        status = read_status(self._asked)
        now = time.monotonic()
        if status is not None and self._read_when_said is None:
            # Nothing is written at the first look, however long the worker took to start.
            self._said_at, self._read_when_said = now, status.accounts.read
        elif status is not None and now - self._said_at >= _STATUS_EVERY_S:
            read, earlier = status.accounts.read, self._read_when_said or 0
            say(status_line(status, self._watch.by_rule, (read - earlier) / (now - self._said_at)))
            self._said_at, self._read_when_said = now, read
        return status
