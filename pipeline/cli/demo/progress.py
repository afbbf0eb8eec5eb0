"""Looking at everything that runs: until the worker is ready, until a signal, until the accounts settle."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from pipeline.cli.demo.accounts import Accounts, Balance, Standing, read_standing
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
# What is too much on a topic comes late: a last look after everything has added up.
_LAST_LOOK_S = 1.5


@dataclass(frozen=True, slots=True)
class Broker:
    """The Kafka that the demo uses.

    Attributes:
        bootstrap_servers: its addresses.
        is_embedded: whether it is the in-memory one.
        is_new: whether the demo started it, so that nothing was on it.
        has_ended: whether what the demo started is gone.
        log: where its output is, if the demo started it.
    """

    bootstrap_servers: str
    is_embedded: bool
    is_new: bool
    has_ended: Callable[[], bool]
    log: str

    def check(self) -> None:
        """Raises when a broker that the demo started has ended."""
        if self.has_ended():
            raise MissingError(f"the broker on {self.bootstrap_servers} ended by itself; its log: {self.log}")


@dataclass(frozen=True, slots=True)
class Start:
    """What was counted before the run: a cluster may hold earlier ones."""

    accounts: Accounts
    flagged: int
    failed: int


class Progress:
    """Looks at everything that runs, and tells what happens every few seconds."""

    def __init__(self, broker: Broker, worker: Child, watch: Watch, web_address: str) -> None:
        self._broker = broker
        self._worker = worker
        self._watch = watch
        self._web_address = web_address
        self._asked = DemoWorker(web_address)
        self._told = time.monotonic()
        self._read_when_told: int | None = None

    def wait_until_ready(self) -> Start:
        """Waits until the worker answers and has no backlog; returns the counts then.

        Raises:
            MissingError: it ended, or does not get there.
        """
        begun = time.monotonic()
        while True:
            standing = self._look()
            if standing is not None and standing.lag == 0:
                if standing.accounts.read:
                    time.sleep(_LAST_LOOK_S)
                self._told, self._read_when_told = time.monotonic(), standing.accounts.read
                return Start(standing.accounts, self._watch.flagged, self._watch.failed)
            if standing is None and time.monotonic() - begun > _READY_TIMEOUT_S:
                raise MissingError(
                    f"the worker does not answer at {self._web_address} after {_READY_TIMEOUT_S:.0f} s; "
                    f"its log: {self._worker.log}"
                )
            time.sleep(_POLL_S)

    def follow(self, generator: Child | None) -> NoReturn:
        """Tells what happens until a signal comes."""
        while True:
            if generator is not None and generator.exit_code is not None:
                raise generator.failure()
            self._look()
            time.sleep(_POLL_S)

    def wait_until_sent(self, generator: Child) -> int:
        """Waits until the generator is done; returns how many events the broker acknowledged to it.

        Raises:
            MissingError: it failed.
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
        """Waits until everything sent is accounted for, or nothing has moved for half a minute."""
        moved = time.monotonic()
        balance: Balance | None = None
        for standing in self._standings():
            before, balance = balance, self._balance(standing, start, sent)
            if balance != before:
                moved = time.monotonic()
            if not standing.lag and not balance.faults():
                break
            if time.monotonic() - moved > _STALL_S:
                break
        time.sleep(_LAST_LOOK_S)
        return self._balance(next(self._standings()), start, sent)

    def _balance(self, standing: Standing, start: Start, sent: int) -> Balance:
        return Balance(
            sent,
            standing.accounts.since(start.accounts),
            self._watch.flagged - start.flagged,
            self._watch.failed - start.failed,
        )

    def _standings(self) -> Iterator[Standing]:
        silent_since = time.monotonic()
        while True:
            standing = self._look()
            if standing is not None:
                silent_since = time.monotonic()
                yield standing
            elif time.monotonic() - silent_since > _STALL_S:
                raise MissingError(
                    f"the worker has not answered at {self._web_address} for {_STALL_S:.0f} s; "
                    f"its log: {self._worker.log}"
                )
            time.sleep(_POLL_S)

    def _look(self) -> Standing | None:
        """Checks that everything runs, tells what is new, and asks the worker how it stands."""
        self._broker.check()
        if self._worker.exit_code is not None:
            raise self._worker.failure()
        self._watch.check()
        for verdict in self._watch.take_samples():
            for line in verdict_in_words(verdict):
                say(line)
        standing = read_standing(self._asked)
        now = time.monotonic()
        if standing is not None and self._read_when_told is None:
            # The first look is no time to tell anything, however long the worker took to start.
            self._told, self._read_when_told = now, standing.accounts.read
        elif standing is not None and now - self._told >= _STATUS_EVERY_S:
            read, earlier = standing.accounts.read, self._read_when_told or 0
            say(status_line(standing, self._watch.by_rule, (read - earlier) / (now - self._told)))
            self._told, self._read_when_told = now, read
        return standing
