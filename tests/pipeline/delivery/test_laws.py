"""The laws of delivery, on the real parts but without a broker.

    source      0 1 2 3 4 5 6 7 ...
    deliver     [0 1 2] [3] [4 5 6 7]       batches of any size
    commit               ^         ^        at any time, also in the middle of a batch (limits)
    crash                ^         ^        at any kill point; then recovery, with or without the local disk

Whatever happens: every record counts exactly once and in order, a bad one alone is recorded as failed, and the state in
Kafka, on the disk and in memory is the same.
"""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import count as numbers
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.delivery.kill_points import POINTS
from pipeline.delivery.options import Limits
from tests.pipeline.delivery.counting_handler import BAD, GOOD, NOT_ENCODABLE, POISON, TOO_LARGE
from tests.pipeline.delivery.driver import FAILED, NOTES, OUT, SOURCE, Log, Worker, state_in

COMMIT_POINTS = [point for point in POINTS if point.startswith("commit:")]
MEMORY = Path("/dev/shm")  # opening a store there takes a third of the time
LIMITS = Limits(outputs=40, dirty_keys=20)

KEYS = st.sampled_from([b"a", b"b", b"c", b"d", b"e", b"f"])
VALUES = st.sampled_from([GOOD] * 12 + list(BAD))
SOURCES = st.lists(st.tuples(KEYS, VALUES), max_size=120)


class Machines:
    """Workers one after the other, each with a directory that it inherits or not."""

    def __init__(self, log: Log, limits: Limits = LIMITS, cache_keys: int = 4) -> None:
        self.root = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.log, self.limits, self.cache_keys = log, limits, cache_keys
        self._directories = (self.root / str(n) for n in numbers())
        self._zombies: list[Worker] = []
        self.worker = self._new(next(self._directories))

    def _new(self, directory: Path) -> Worker:
        self._directory = directory
        return Worker(self.log, directory, self.limits, self.cache_keys)

    async def restart(self, *, disk_lost: bool = False) -> None:
        self.worker.close()
        self.worker = self._new(next(self._directories) if disk_lost else self._directory)
        await self.worker.start()

    # -- what may happen, each with a number

    async def deliver(self, records: int) -> None:
        await self.worker.deliver(records)

    async def deliver_from_elsewhere(self, shift: int) -> None:
        """Records that were delivered already, or that lie behind a gap."""
        await self.worker.deliver(30, shift=shift - 30)

    async def commit(self, _number: int) -> None:
        await self.worker.commit()

    async def deliver_during_a_commit(self, records: int) -> None:
        self.worker.owned.start()
        for _ in range(6):  # the snapshot takes several turns, which the batches may not use
            await self.worker.deliver(1 + records // 6)

    async def crash(self, number: int) -> None:
        await self.restart(disk_lost=number % 2 == 0)

    async def crash_in_a_commit(self, number: int) -> None:
        worker = self.worker
        worker.crash_at = COMMIT_POINTS[number % len(COMMIT_POINTS)]
        commit = asyncio.create_task(worker.commit())
        await worker.deliver(number)  # processing continues during a commit
        await commit
        await self.restart()

    async def lose_a_transaction(self, _number: int) -> None:
        """The brokers do not answer at the end of a transaction, so the unit is given up and assigned anew."""
        worker = self.worker
        worker.writer.fails_at_the_end = True
        await worker.commit()
        assert worker.lost or not worker.unit.changed
        await self.restart()

    async def be_replaced(self, records: int) -> None:
        """Another machine takes over. The old worker wakes up later, continues, and must not change anything."""
        zombie = self.worker
        await zombie.deliver(records)
        self._zombies.append(zombie)
        self.worker = self._new(next(self._directories))
        await self.worker.start()
        before = {topic: list(entries) for topic, entries in self.log.topics.items()}
        await zombie.deliver(records)
        await zombie.commit()
        assert zombie.lost or not zombie.unit.changed
        assert {topic: self.log.topics[topic] for topic in before} == before

    def close(self) -> None:
        for worker in (self.worker, *self._zombies):
            worker.close()
        shutil.rmtree(self.root)


EVENTS = st.sampled_from(
    [
        Machines.deliver,
        Machines.deliver_from_elsewhere,
        Machines.commit,
        Machines.deliver_during_a_commit,
        Machines.crash,
        Machines.crash_in_a_commit,
        Machines.lose_a_transaction,
        Machines.be_replaced,
    ]
)


def check(machines: Machines, source: list[tuple[bytes, bytes]]) -> None:
    """Everything is processed and committed; compare with what a list and a counter say."""
    log, worker = machines.log, machines.worker
    assert worker.error is None
    counts: Counter[bytes] = Counter()
    outputs, failed, noted = [], [], []
    for offset, (key, value) in enumerate(source):
        if value == GOOD:
            counts[key] += 1
            outputs.append((key, b"%d" % counts[key]))
            noted.append(offset)
        else:
            failed.append((key, b"%d %s" % (offset, BAD[value])))
    assert [(key, value) for _, key, value in log.committed(OUT)] == outputs
    assert [(key, value) for _, key, value in log.committed(FAILED)] == failed
    assert [int(note) for _, _, value in log.committed(NOTES) for note in (value or b"").split()] == noted
    assert state_in(log) == counts
    assert {key: int(value) for key, value in worker.unit.store.items()} == counts
    assert {key: number.value for key in counts if (number := worker.unit.peek(key))} == counts
    if source:
        assert log.group[SOURCE] == worker.unit.store.watermarks()[SOURCE] == len(source)


def run(
    source: list[tuple[bytes, bytes]],
    scenario: Callable[[Machines], Awaitable[None]],
    limits: Limits = LIMITS,
    cache_keys: int = 4,
) -> None:
    """Run a scenario, then process the rest undisturbed, and check the laws."""

    async def all_of_it() -> None:
        # A task that crashed is never awaited by anybody: that is what a crash means.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        machines = Machines(Log(source), limits, cache_keys)
        try:
            await machines.worker.start()
            await scenario(machines)
            machines.worker.crash_at = None
            await machines.worker.finish()
            check(machines, source)
        finally:
            machines.close()

    asyncio.run(all_of_it())


@given(SOURCES, st.lists(st.tuples(EVENTS, st.integers(1, 60)), max_size=8), st.integers(2, 12))
def test_every_record_counts_exactly_once_and_in_order_whatever_happens(
    source: list[tuple[bytes, bytes]],
    events: list[tuple[Callable[[Machines, int], Awaitable[None]], int]],
    cache_keys: int,
) -> None:
    async def scenario(machines: Machines) -> None:
        for event, number in events:
            await event(machines, number)

    run(source, scenario, cache_keys=cache_keys)


SOURCE_WITH_BAD_RECORDS = [
    (b"k%d" % (n % 5), {31: POISON, 32: TOO_LARGE, 70: NOT_ENCODABLE, 71: POISON}.get(n, GOOD))
    for n in range(100)
]


@pytest.mark.parametrize("disk_lost", [False, True])
@pytest.mark.parametrize("point", COMMIT_POINTS)
def test_a_crash_between_any_two_steps_of_a_commit_loses_and_doubles_nothing(
    point: str, disk_lost: bool
) -> None:
    crashes = Counter[str]()

    async def scenario(machines: Machines) -> None:
        for _ in range(3):
            for _ in range(4):  # the second batch has bad records, so both are delivered once more
                await machines.worker.deliver(20)
            machines.worker.crash_at = point
            await machines.worker.commit()
            crashes["crashed"] += machines.worker.crashed
            await machines.restart(disk_lost=disk_lost)

    run(SOURCE_WITH_BAD_RECORDS, scenario)
    assert crashes["crashed"] == 3


@pytest.mark.parametrize("shift", [-25, 10])
def test_records_again_and_records_behind_a_gap_change_nothing(shift: int) -> None:
    async def scenario(machines: Machines) -> None:
        await machines.worker.deliver(30)
        await machines.worker.deliver(30, shift=shift)

    run(SOURCE_WITH_BAD_RECORDS, scenario)


def test_processing_during_a_commit_does_not_change_its_snapshot() -> None:
    async def scenario(machines: Machines) -> None:
        await machines.worker.deliver(20)
        await machines.deliver_during_a_commit(10)

    run([(b"k%d" % (n % 5), GOOD) for n in range(100)], scenario, Limits())


def test_a_transaction_that_fails_at_its_end_leaves_no_trace_on_the_disk() -> None:
    async def scenario(machines: Machines) -> None:
        await machines.worker.deliver(20)
        await machines.lose_a_transaction(0)
        assert list(machines.worker.unit.store.items()) == []

    run(SOURCE_WITH_BAD_RECORDS, scenario)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_the_size_of_batches_changes_nothing(size: int) -> None:
    async def scenario(machines: Machines) -> None:
        for _ in range(0, len(SOURCE_WITH_BAD_RECORDS), size):
            await machines.worker.deliver(size)

    run(SOURCE_WITH_BAD_RECORDS, scenario)


def test_little_may_be_uncommitted_and_still_nothing_is_missing() -> None:
    commits = []

    async def scenario(machines: Machines) -> None:
        await machines.worker.deliver(100)
        await machines.worker.finish()
        commits.append(machines.worker.metrics.commits)

    run(SOURCE_WITH_BAD_RECORDS, scenario, Limits(outputs=5, dirty_keys=2), cache_keys=2)
    assert commits[0] >= 2


@pytest.mark.parametrize("bad", list(BAD))
def test_a_bad_record_alone_fails_and_the_others_are_processed_once_more(bad: bytes) -> None:
    seen = []

    async def scenario(machines: Machines) -> None:
        await machines.worker.finish()
        seen.append(machines.worker.metrics)

    run([(b"k%d" % (n % 5), bad if n == 31 else GOOD) for n in range(60)], scenario)
    assert (seen[0].rewinds, seen[0].poisoned) == (1, 1)


def test_a_closed_gate_lets_one_record_pass_for_each_step() -> None:
    async def scenario(machines: Machines) -> None:
        worker, gate = machines.worker, machines.worker.gate
        gate.close([SOURCE], [SOURCE])
        assert await gate.step(0.01) is None, "nothing was fetched"
        delivering = asyncio.create_task(worker.deliver(10))
        assert [await gate.step(5) for _ in range(3)] == [(SOURCE, 0, n) for n in range(3)]
        assert worker.unit.next_offsets[SOURCE] == 3
        gate.open()
        await delivering
        assert worker.unit.next_offsets[SOURCE] == 10
        assert not gate.closed

    run(SOURCE_WITH_BAD_RECORDS, scenario)


def test_a_step_waits_until_a_bad_record_has_failed_for_good() -> None:
    async def scenario(machines: Machines) -> None:
        worker = machines.worker
        worker.gate.close([SOURCE], [SOURCE])
        step = asyncio.create_task(worker.gate.step(5))
        await asyncio.sleep(0)
        await worker.deliver(1)
        assert not step.done(), "the handler failed, and the unit went back"
        await worker.deliver(1)
        assert await step == (SOURCE, 0, 0)
        worker.gate.open()

    run([(b"a", POISON), (b"a", GOOD)], scenario)
