"""A driver for one unit without Faust and without a broker, as TopologyTestDriver is for Kafka Streams.

Everything that keeps the laws of delivery is the real thing: unit, cache, RocksDB store, restore, commit steps,
processing, scheduler. Only the ends are in memory: `Log` takes the place of the topics. It knows what matters about
them, and no more: transactions, markers that take offsets, readers of committed records, and fencing.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaTimeoutError, ProducerFenced
from faust.types import TP

from pipeline.delivery.assignment.restore import StoreTarget
from pipeline.delivery.commit.owned_unit import Listeners, OwnedUnit
from pipeline.delivery.flow.batches import Batch, Chunk
from pipeline.delivery.flow.gate import Gate
from pipeline.delivery.flow.processing import Processing
from pipeline.delivery.metrics import Metrics
from pipeline.delivery.options import DeliveryOptions, Limits
from pipeline.delivery.scheduler import Scheduler
from pipeline.delivery.state.changelog import WATERMARKS, decode_watermarks
from pipeline.delivery.state.outputs import Output
from pipeline.delivery.state.store import PartitionStore, StoreCache, StoreOptions
from pipeline.delivery.state.unit import State, Unit
from tests.pipeline.delivery.counting_handler import Number, NumberCodec, count, record_failure

SOURCE, OUT, FAILED, NOTES, CHANGELOG = "in", "out", "failed", "notes", "changelog"
_TP = TP(SOURCE, 0)
_CACHE = StoreCache(StoreOptions(write_buffer_bytes=1 << 20))
_PAUSES_OF_A_SNAPSHOT = 3


class Crashed(BaseException):
    """The process ends at a kill point; no handler of errors may catch it."""


@dataclass(eq=False)
class Transaction:
    """Records are visible to readers of committed records once it is committed."""

    committed: bool = False
    offsets: dict[str, int] = field(default_factory=dict)


class Log:
    """All topics, each with one partition, and the group's committed offsets."""

    def __init__(self, source: Sequence[tuple[bytes, bytes]]) -> None:
        self.source = [
            ConsumerRecord(SOURCE, 0, n, 0, 0, key, value, None, len(key), len(value), ())
            for n, (key, value) in enumerate(source)
        ]
        self.topics: dict[str, list[tuple[bytes | None, bytes | None, Transaction]]] = defaultdict(list)
        self.group: dict[str, int] = {}
        self.epoch = 0

    def append(self, topic: str, key: bytes | None, value: bytes | None, transaction: Transaction) -> int:
        self.topics[topic].append((key, value, transaction))
        return len(self.topics[topic]) - 1

    def end(self, transaction: Transaction, *, commit: bool) -> None:
        """Commit or abort; the marker takes an offset in each topic, as Kafka's does."""
        transaction.committed = commit
        if commit:
            self.group |= transaction.offsets
            watermarks = {key: value for _, key, value in self.committed(CHANGELOG)}[WATERMARKS]
            assert decode_watermarks(watermarks) == self.group
        for records in self.topics.values():
            records.append((None, None, Transaction()))

    def committed(self, topic: str) -> list[tuple[int, bytes | None, bytes | None]]:
        """What a reader of committed records sees: offset, key, value."""
        records = enumerate(self.topics[topic])
        return [(n, key, value) for n, (key, value, transaction) in records if transaction.committed]


class LogWriter:
    """Takes the place of `TransactionWriter`. A new one fences the former one and aborts its open transaction."""

    def __init__(self, log: Log) -> None:
        log.epoch += 1
        self._log, self._epoch = log, log.epoch
        self._transaction = Transaction()
        self.fails_at_the_end = False

    def _check(self) -> None:
        if self._epoch != self._log.epoch:
            raise ProducerFenced

    async def begin(self) -> None:
        self._check()
        self._transaction = Transaction()

    async def send_outputs(self, outputs: Sequence[Output]) -> list:
        return await self._send([(output.topic, output.key, output.value) for output in outputs])

    async def send_changelog(self, entries: Sequence[tuple[bytes, bytes | None]]) -> list:
        return await self._send([(CHANGELOG, key, value) for key, value in entries])

    async def _send(self, records: list[tuple[str, bytes | None, bytes | None]]) -> list:
        self._check()
        sent = []
        for topic, key, value in records:
            acknowledged = asyncio.get_running_loop().create_future()
            offset = self._log.append(topic, key, value, self._transaction)
            acknowledged.set_result(SimpleNamespace(offset=offset))
            sent.append((1, acknowledged))
        await asyncio.sleep(0)
        return sent

    async def add_offsets(self, next_offsets: Mapping[str, int]) -> None:
        self._check()
        self._transaction.offsets = dict(next_offsets)

    async def end(self) -> None:
        self._check()
        await asyncio.sleep(0)
        self._check()
        if self.fails_at_the_end:
            raise KafkaTimeoutError
        self._log.end(self._transaction, commit=True)

    async def stop(self) -> None: ...


class Worker:
    """One worker that owns the unit; implements `Runtime` and `Positions`.

    Args:
        log: the topics.
        directory: of the local state.
        limits: on uncommitted work.
        cache_keys: decoded values in memory.
    """

    def __init__(self, log: Log, directory: Path, limits: Limits, cache_keys: int) -> None:
        self.log = log
        self.metrics = Metrics()
        self.scheduler = Scheduler()
        self.options = DeliveryOptions(limits=limits, max_message_bytes=1_000)
        self.consumer = self
        self.crash_at: str | None = None
        self.crashed = False
        self.lost = False
        self.error: BaseException | None = None
        self._epoch = 0
        self._current: int | None = None
        self._position = 0
        self._rewinds = 0
        store = PartitionStore(directory / "unit.db", "driver", _CACHE)
        self.writer = LogWriter(log)  # before the changelog is read, as in recovery
        _restore(log, store)
        self.unit: Unit[Number] = Unit(
            "counts", 0, store, NumberCodec(), lambda _: 0, cache_keys, 1_000, self.metrics, _note_offsets
        )
        if SOURCE not in self.unit.next_offsets:
            self.unit.begin_at(SOURCE, 0)
        self.gate = Gate()
        self.processing = Processing(self, self.gate)
        listeners = Listeners(self._lose, self._not_encodable, self._committed)
        self.owned = OwnedUnit(self.unit, self.writer, (SOURCE,), self, listeners)

    # -- what a test does

    async def start(self) -> None:
        await self.place({_TP: self.unit.next_offsets[SOURCE]})

    async def deliver(self, count_of_records: int, shift: int = 0) -> None:
        """Fetch and process so many records; with a shift, records again or behind a gap, which must be noticed."""
        if self._current is None or self.unit.closed:
            return
        start = max(0, self._position + shift)
        end = min(start + count_of_records, len(self.log.source))
        records = self.log.source[start:end]
        if records:
            chunk = Chunk(self._current, start, end, records)
            self._position = end
            batch = Batch(SOURCE, 0, chunk, lambda _: None)
            await self.processing.process(self.owned, batch, _handle, record_failure_in_log)

    async def commit(self) -> None:
        """Commit what is processed by now, or crash at `crash_at`."""
        await self.owned.settled()
        self.owned.start()
        await self.owned.settled()

    async def finish(self) -> None:
        """Process and commit everything."""
        while not self.unit.closed and self.unit.committed_offsets[SOURCE] < len(self.log.source):
            await self.deliver(50)
            await self.commit()

    def close(self) -> None:
        """Close the store. A crash does the same to it, since every write of it is atomic."""
        self.unit.closed = True
        self.unit.store.close()

    # -- as in `Runtime` and `Positions`

    def reached(self, point: str) -> None:
        if self.crashed or point == self.crash_at:
            self.crashed = self.unit.closed = True
            raise Crashed

    async def crash(self, reason: BaseException) -> None:
        self.error = reason
        self.unit.closed = True

    def is_current(self, _tp: TP, epoch: int) -> bool:
        return self._current == epoch

    def stop_reading(self, _tps: Iterator[TP]) -> None:
        self._current = None

    async def place(self, positions: Mapping[TP, int]) -> None:
        if self.metrics.rewinds > self._rewinds:
            self._rewinds = self.metrics.rewinds
            self._check_rollback()
        self._epoch += 1
        self._current, self._position = self._epoch, positions[_TP]

    def _check_rollback(self) -> None:
        """A unit that went back shows what the last commit wrote, and nothing of what came after it."""
        committed = state_in(self.log)
        for key in {record.key for record in self.log.source}:
            number = self.unit.peek(key)
            assert (None if number is None else number.value) == committed.get(key)

    # -- outcomes of commits

    def _lose(self, _owned: OwnedUnit, _error: BaseException) -> None:
        self.lost = self.unit.closed = True

    async def _not_encodable(self, owned: OwnedUnit, _error: Exception) -> None:
        await self.processing.go_back(owned, {})

    async def _committed(self, owned: OwnedUnit, moved: dict[str, int]) -> None: ...


def _restore(log: Log, store: PartitionStore) -> None:
    target = StoreTarget(TP(CHANGELOG, 0), store)
    reached = target.reached()
    if reached is None:
        target.start_over()
    first = 0 if reached is None else reached + 1
    records = [
        ConsumerRecord(CHANGELOG, 0, n, 0, 0, key, value, None, 0, 0, ())
        for n, key, value in log.committed(CHANGELOG)
        if n >= first
    ]
    if records:
        target.apply(records)
    if log.topics[CHANGELOG]:
        target.complete(len(log.topics[CHANGELOG]))


def state_in(log: Log) -> dict[bytes, int]:
    """The counts that the changelog contains."""
    last = {key: value for _, key, value in log.committed(CHANGELOG) if key and not key.startswith(b"\xff")}
    return {key: int(value) for key, value in last.items() if value is not None}


def _handle(state: State[Number], records: Sequence[ConsumerRecord]) -> list[Output]:
    return count(state, records, OUT, too_large=1_001)


def record_failure_in_log(_state: State[Number], record: ConsumerRecord, error: Exception) -> list[Output]:
    return record_failure(record, error, FAILED)


def _note_offsets(state: State[Number], notes: list[int]) -> Iterator[Output | None]:
    """Publish the notes. A snapshot takes several turns, and the unit must not change in them."""
    before = dict(state.next_offsets), set(state.dirty)
    for _ in range(_PAUSES_OF_A_SNAPSHOT):
        yield None
        assert (dict(state.next_offsets), set(state.dirty)) == before
        assert state.notes == []
    yield Output(NOTES, None, b" ".join(b"%d" % note for note in notes))
