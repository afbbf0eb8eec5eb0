"""One scenario: a stream, up to three workers, faults in a sequence that a seed decides, and the check at the end."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import time
from typing import TYPE_CHECKING, Final, Self

from confluent_kafka import KafkaException

from pipeline.delivery.kill_points import POINTS
from pipeline.kafka.topics import ensure_topics
from tests.stream.alerts import expected_alerts, last_alerts
from tests.stream.chaos.load import PARTITIONS, Writer, load
from tests.stream.harness import Stream, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pipeline.lab.local.apache import KafkaCluster

SESSION_S: Final = 3.0
# After its last fault a stream comes to rest within 30 seconds, also on a machine that is four times slower.
LAG_S: Final = 120.0
_NAMES: Final = ("a", "b", "c")
_DIES_S: Final = 12.0
# Time for a worker to start, to take partitions over after the session of their last owner has ended, and to recover.
_STARTS_S: Final = 120.0
# A worker ends with this status where no broker answers in time. Whoever supervises a worker starts it again.
_BROKER_MISSING: Final = 3
_LOADS: Final = 3
EVENTS: Final = 12_000

# Without transactions only: a large flush in several batches.
KAFKA_POINTS: Final = tuple(point for point in POINTS if point != "commit:changelog-part")
WORKER_FAULTS: Final = ("kill", "terminate", "zombie", "join", "leave", "twice", "new disk", "standby")
BROKER_FAULTS: Final = ("broker restart", "broker frozen", "broker slow", "broker killed")


def plan(seed: int, *, broker: bool = True) -> list[str]:
    """The faults of a seed; the first twenty seeds together have every kill point and every fault."""
    dice = random.Random(seed)
    kinds = WORKER_FAULTS + (BROKER_FAULTS if broker else ())
    if seed < 20:
        faults = [f"at {KAFKA_POINTS[seed % len(KAFKA_POINTS)]}", kinds[seed % len(kinds)]]
        faults.append(dice.choice(WORKER_FAULTS))
    else:
        points = [f"at {point}" for point in KAFKA_POINTS]
        faults = [dice.choice(dice.choice((points, kinds))) for _ in range(dice.randint(3, 7))]
    dice.shuffle(faults)
    return faults


class Scenario:
    """A context manager; `run` disturbs, `check` judges.

    Args:
        servers: bootstrap servers.
        prefix: that no other scenario uses.
        directory: for state and logs.
        seed: decides the faults, their times, and the load.
        cluster: what broker faults are done to; None for a broker that is left alone.
        variables: more of the workers' environment.
    """

    def __init__(
        self,
        servers: str,
        prefix: str,
        directory: Path,
        seed: int,
        cluster: KafkaCluster | None = None,
        *,
        session_s: float = SESSION_S,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.cluster = cluster
        self.session_s = session_s
        standby = {"OTT_STANDBY_REPLICAS": str(seed % 2)}
        self.stream = Stream(
            servers,
            prefix,
            directory,
            PARTITIONS,
            {"OTT_SESSION_TIMEOUT_MS": str(int(session_s * 1000)), **standby, **(variables or {})},
        )
        self.load = load(EVENTS, 100 + seed % _LOADS)
        self.live: dict[str, Worker] = {}
        self.began = self.last_fault = time.monotonic()
        self.story: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in list(self.live.values()):
            if not worker.is_gone:
                worker.signal(signal.SIGCONT)
                worker.kill()
            worker.stop()
        if self.cluster is not None:
            # The next scenario finds it as this one did.
            for node in self.cluster.node_ids:
                if self.cluster.pid(node) is None:
                    self.cluster.start_node(node)
                self.cluster.thaw(node)

    # -- the whole

    def begin(self) -> None:
        """Start a worker, and wait until it knows the requests that must be known before the first event."""
        asyncio.run(ensure_topics(self.stream.settings))
        if self.seed % 2:
            self.stream.score()
        self.stream.write("privacy-requests", self.load.first)
        self.start("a")
        self.last_fault = time.monotonic()
        self.settle(len(self.load.first), _STARTS_S)
        self.stream.write("raw-events", self.load.opening)
        self.settle(len(self.load.first) + len(self.load.opening), _STARTS_S)

    def writing(self, seconds: float) -> Writer:
        """A context in which everything else is written, in about so many seconds."""
        stream = self.stream
        return Writer(stream.servers, stream.topic, self.load.rest, seconds)

    def run(self, faults: Sequence[str]) -> None:
        """Start a worker, disturb it and others while records come in, and let them come to rest."""
        self.begin()
        with self.writing(4.0 * len(faults)) as writer:
            for fault in faults:
                self.say(fault)
                self.do(fault)
                self.last_fault = time.monotonic()
                self.pause(0.0, 0.7)
            if not self.live:
                self.start(self.free_name())
            self.await_ready()
            writer.finish()
        self.rest()

    def rest(self) -> None:
        """Wait until everything that was written is accounted for, and committed."""
        self.say("at rest")
        # What was written at the end is work, not a fault.
        self.last_fault = time.monotonic()
        self.settle(sum(map(len, self.load)), LAG_S)

    def end(self) -> None:
        """Stop the workers, in good order or not: all is committed by now."""
        gently = self.random.random() < 0.5
        for name, worker in list(self.live.items()):
            if gently:
                self.terminate(name)
            else:
                worker.kill()
        self.live.clear()

    def check(self) -> None:
        """Whatever happened, the outcome is that of an undisturbed run."""
        self.end()
        stream = self.stream
        expected = stream.expected()
        assert expected.accounts.flagged > 100
        assert expected.accounts.requests > 100
        stream.check(expected)
        stream.check_accounts(expected)
        stream.check_disks()
        alerts = last_alerts([(r.key or b"", r.value) for r in stream.read(stream.topic("risk-alerts"))])
        assert alerts == expected_alerts(stream)

    def say(self, what: str) -> None:
        seconds = time.monotonic() - self.began
        self.story.append(f"{seconds:.0f} s: {what} ({', '.join(self.live) or 'nobody'})")

    # -- workers

    def start(self, name: str, kill: Sequence[str] = ()) -> Worker:
        worker = self.stream.worker(name, kill=kill)
        self.live[name] = worker
        return worker

    def free_name(self) -> str:
        return next(name for name in _NAMES if name not in self.live)

    def any_name(self) -> str:
        if not self.live:
            self.start(self.free_name())
        return self.random.choice(sorted(self.live))

    def pause(self, least: float, most: float) -> None:
        time.sleep(self.random.uniform(least, most))

    def terminate(self, name: str) -> None:
        worker = self.live.pop(name)
        seconds = worker.terminate()
        assert seconds < 10, f"worker {name} took {seconds:.1f} s to stop:\n{worker.tail()}"
        assert worker.process.exit_code == 0, f"worker {name}: {worker.process.exit_code}\n{worker.tail()}"

    def await_ready(self) -> None:
        """Until every worker has its partitions and their state."""
        self._wait(lambda: all(w.accounts() is not None for w in self.live.values()), _STARTS_S, "not ready")

    def settle(self, records: int, seconds: float) -> None:
        """Until every record is accounted for, and committed."""
        seen: dict[str, object] = {}

        def at_rest() -> bool:
            accounts = {name: worker.accounts() for name, worker in self.live.items()}
            seen.update(accounts)
            found = [account for account in accounts.values() if account is not None]
            if len(found) < len(accounts):
                return False
            read = sum(int(str(account[name])) for account in found for name in ("read", "requests"))
            if read != records or any(_sum(account["lag"]) for account in found):
                return False
            try:
                return self.stream.group_lag() == 0
            except KafkaException:
                # The coordinator of the group moves to another broker.
                return False

        self._wait(at_rest, seconds, lambda: f"{records} records are not accounted for: {seen}")
        # What is judged is committed within an interval; then the verdicts are folded into alerts, and committed.
        time.sleep(0.7)
        self._wait(at_rest, seconds, lambda: f"of rest {records} records are not: {seen}")
        time.sleep(0.7)

    def _wait(self, done: Callable[[], bool], seconds: float, what: str | Callable[[], str]) -> None:
        began = time.monotonic()
        while not done():
            self._alive()
            if time.monotonic() - max(began, self.last_fault) > seconds:
                said = what if isinstance(what, str) else what()
                tails = "\n".join(f"-- {name}\n{worker.tail()}" for name, worker in self.live.items())
                raise AssertionError(f"within {seconds:g} s {said}\n{tails}")
            time.sleep(0.1)

    def _alive(self) -> None:
        for name, worker in list(self.live.items()):
            if self.cluster is not None and worker.process.exit_code == _BROKER_MISSING:
                self.say(f"{name} gave up on a broker and is started again")
                self.start(name)
                continue
            assert not worker.is_gone, (
                f"worker {name} ended with {worker.process.exit_code}:\n{worker.tail()}"
            )

    # -- faults

    def do(self, fault: str) -> None:
        """One fault, by its name in a plan."""
        if fault.startswith("at "):
            self._die_at(fault.removeprefix("at "))
        else:
            getattr(self, f"_{fault.replace(' ', '_')}")()

    def _kill(self) -> None:
        self.pause(0.0, 1.0)
        name = self.any_name()
        self.live.pop(name).kill()
        self.start(name)

    def _terminate(self) -> None:
        self.pause(0.0, 1.0)
        name = self.any_name()
        if self.live[name].accounts() is None:
            self.await_ready()
        self.terminate(name)
        self.start(name)

    def _zombie(self) -> None:
        """One stops for longer than its session, others take over, it wakes up in the middle of what it did."""
        if len(self.live) < 2:
            self._join()
            self.await_ready()
        worker = self.live[self.any_name()]
        worker.signal(signal.SIGSTOP)
        self.pause(self.session_s + 0.5, self.session_s + 3.0)
        worker.signal(signal.SIGCONT)

    def _join(self) -> None:
        if len(self.live) < len(_NAMES):
            self.start(self.free_name())
            self.pause(0.0, 2.5)

    def _leave(self) -> None:
        if len(self.live) < 2:
            self._join()
        self.await_ready()
        self.terminate(self.any_name())

    def _twice(self) -> None:
        """Two assignments within a second."""
        self._join()
        self.await_ready()
        if len(self.live) < 2:
            self._join()
            self.await_ready()
        leaving = self.any_name()
        self.terminate(leaving)
        self.pause(0.0, 0.5)
        for worker in self.live.values():
            # A member that is replaced at once asks for two assignments in a row.
            worker.signal(signal.SIGSTOP)
            time.sleep(0.2)
            worker.signal(signal.SIGCONT)
        self.start(leaving)

    def _new_disk(self) -> None:
        """All workers are killed; another machine goes on from the changelog alone."""
        for name in list(self.live):
            self.live.pop(name).kill()
        name = self.random.choice(_NAMES)
        for path in self.stream.directory.glob("state-*"):
            shutil.rmtree(path)
        self.start(name)
        self.pause(0.0, 2.0)

    def _standby(self) -> None:
        """One of two is killed for good; where there are standbys the other has its state already."""
        if len(self.live) < 2:
            self._join()
        self.await_ready()
        self.pause(0.0, 1.0)
        self.live.pop(self.any_name()).kill()

    def _die_at(self, point: str) -> None:
        """A worker ends itself at a kill point, alone or beside others."""
        if len(self.live) == len(_NAMES) or self.random.random() < 0.5:
            name = self.any_name()
            self.live.pop(name).kill()
        else:
            name = self.free_name()
        chance = 1.0 if not point.startswith("commit:") else self.random.choice((0.05, 0.3, 1.0))
        victim = self.start(name, (point, str(chance), str(self.random.randrange(1 << 30))))
        began = time.monotonic()
        stirred = False
        while not victim.is_gone and time.monotonic() - began < _DIES_S:
            if not stirred and victim.accounts() is not None:
                stirred = True
                if point.startswith("revoke:") and len(self.live) < len(_NAMES):
                    self.start(self.free_name())
                elif point.startswith("revoke:"):
                    other = next(one for one in self.live if one != name)
                    self.live.pop(other).kill()
                    self.start(other)
                elif point.startswith("stop:"):
                    victim.signal(signal.SIGTERM)
            time.sleep(0.05)
        if not victim.is_gone:
            self.say(f"{point} was not reached")
            victim.kill()
        del self.live[name]
        victim.stop()
        if self.random.random() < 0.7 or not self.live:
            self.start(name)

    # -- faults of the broker

    def _node(self) -> int:
        assert self.cluster is not None
        return self.random.choice(self.cluster.node_ids)

    def _broker_restart(self) -> None:
        assert self.cluster is not None
        self.cluster.restart(self._node())

    def _broker_killed(self) -> None:
        assert self.cluster is not None
        node = self._node()
        self.cluster.kill(node)
        self.pause(0.0, 2.0)
        self.cluster.start_node(node)

    def _broker_frozen(self) -> None:
        assert self.cluster is not None
        node = self._node()
        self.cluster.freeze(node)
        self.pause(1.0, 8.0)
        self.cluster.thaw(node)

    def _broker_slow(self) -> None:
        assert self.cluster is not None
        with self.cluster.slowed(self._node()):
            self.pause(2.0, 6.0)


def _sum(lag: object) -> int:
    assert isinstance(lag, dict)
    return sum(lag.values())
