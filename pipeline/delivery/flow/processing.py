"""Processing batches: a slice of records per handler call; record by record after a handler failed.

It also takes a unit back to its last commit, and delivers again what an agent left unprocessed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from aiokafka.errors import IllegalStateError
from faust.types import TP

from pipeline.delivery.errors import PoisonError, StoreError
from pipeline.delivery.flow.fetched import UnreadableBatch
from pipeline.delivery.state.outputs import Output

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka import ConsumerRecord

    from pipeline.delivery.commit.owned_unit import OwnedUnit
    from pipeline.delivery.flow.batches import Batch
    from pipeline.delivery.flow.gate import Gate
    from pipeline.delivery.runtime import Runtime
    from pipeline.delivery.state.unit import State

_log = logging.getLogger(__name__)

V = TypeVar("V")

Handler = Callable[["State[V]", Sequence["ConsumerRecord[bytes, bytes]"]], Iterable[Output]]
Poison = Callable[["State[V]", "ConsumerRecord[bytes, bytes]", Exception], Iterable[Output]]

SLICE: Final = 250
_YIELD_EVERY: Final = 50
_REDELIVERY_SECONDS: Final = 1.0


class OutputTooLargeError(Exception):
    """An output is larger than the brokers accept."""


@dataclass(frozen=True, slots=True)
class _Work(Generic[V]):
    """A batch, the unit that it belongs to, and what processes it."""

    owned: OwnedUnit[V]
    batch: Batch
    handler: Handler[V]
    poison: Poison[V]


class Processing:
    """Processes the batches of all tables of one application.

    Args:
        runtime: the application.
        gate: in front of the processing; it may hold records back.
    """

    def __init__(self, runtime: Runtime, gate: Gate) -> None:
        self._runtime = runtime
        self._gate = gate

    async def process(
        self, owned: OwnedUnit[V] | None, batch: Batch, handler: Handler[V], poison: Poison[V]
    ) -> None:
        """Process a batch; `WriteBehindTable.process` says what an agent may rely on.

        Args:
            owned: the unit of the batch's partition; None if this worker does not own it (any more).
            batch: finished when this returns.
            handler: (state, records) to outputs.
            poison: (state, record, error) to the outputs that take the place of a failed record's.
        """
        if owned is not None and self._is_current(batch):
            await self._process(_Work(owned, batch, handler, poison))
        batch.finish()

    def _is_current(self, batch: Batch) -> bool:
        return self._runtime.consumer.is_current(batch.tp, batch.chunk.epoch)

    async def _process(self, work: _Work[V]) -> None:
        owned, batch, gate, metrics = work.owned, work.batch, self._gate, self._runtime.metrics
        unit, topic, chunk = owned.unit, batch.topic, batch.chunk
        expected = unit.next_offsets[topic]
        if chunk.start > expected:
            # Records in between were fetched and got lost. They must not be skipped.
            _log.warning("%s/%d: reading again from offset %d", topic, batch.partition, expected)
            self._runtime.consumer.stop_reading((batch.tp,))
            batch.finish()
            await self.read_on(owned, (topic,))
            return
        records: Sequence[ConsumerRecord[bytes, bytes]] = chunk.records
        if records[0].offset < expected:
            records = [record for record in records if record.offset >= expected]
            metrics.replayed += len(chunk.records) - len(records)
        metrics.batches += 1
        position = 0
        while position < len(records) or unit.next_offsets[topic] < chunk.end:
            size, step = await gate.admit(topic, SLICE) if position < len(records) else (SLICE, None)
            part = _readable(records[position : position + size])
            position += len(part)
            end = chunk.end if position >= len(records) else part[-1].offset + 1
            await owned.admit()
            if unit.closed or not self._is_current(batch):
                gate.settle(step, None)
                return
            went_well = await self._process_part(work, part, end)
            gate.settle(step, (topic, batch.partition, part[0].offset) if went_well and part else None)
            if not went_well:
                return
            unit.evict()

    async def _process_part(
        self, work: _Work[V], part: Sequence[ConsumerRecord[bytes, bytes]], end: int
    ) -> bool:
        """Process some records, up to the offset `end`; return whether the batch can go on."""
        unit, topic = work.owned.unit, work.batch.topic
        if not part:
            unit.advance(topic, end, [])
            return True
        if isinstance(part[0], UnreadableBatch):
            return await self._skip_unreadable(work, part[0], end)
        if part[0].offset < unit.careful_until.get(topic, -1):
            return await self._one_by_one(work, part, end)
        return await self._at_once(work, part, end)

    async def _at_once(
        self, work: _Work[V], records: Sequence[ConsumerRecord[bytes, bytes]], end: int
    ) -> bool:
        unit, topic = work.owned.unit, work.batch.topic
        try:
            outputs = self._checked(work.handler(unit, records))
        except StoreError as error:
            unit.broken = True
            await self._runtime.crash(error)
            return False
        except Exception as error:  # noqa: BLE001 - any failure of a handler is looked for record by record
            # The handler may have changed values in place, so only the last commit is known to be right.
            unit.broken = True
            _log.warning(
                "the handler failed on one of %d records of %s/%d from offset %d on (%r); they are processed one by "
                "one, from the last commit on",
                len(records),
                topic,
                unit.partition,
                records[0].offset,
                error,
            )
            await self.go_back(work.owned, {topic: end})
            return False
        except BaseException:
            unit.broken = True
            raise
        unit.advance(topic, end, outputs)
        self._runtime.metrics.processed(topic, len(records))
        return True

    async def _skip_unreadable(self, work: _Work[V], batch: UnreadableBatch, end: int) -> bool:
        """Record an unreadable batch as failed, and continue behind it."""
        metrics, topic = self._runtime.metrics, work.batch.topic
        metrics.unreadable += batch.count
        _log.error("%s; they are recorded as failed, and reading continues behind them", batch)
        outputs = await self._recorded_as_failed(work, batch, ValueError(batch.reason))
        if outputs is None:
            return False
        work.owned.unit.advance(topic, end, outputs)
        metrics.processed(topic, batch.count)
        return True

    async def _one_by_one(
        self, work: _Work[V], records: Sequence[ConsumerRecord[bytes, bytes]], end: int
    ) -> bool:
        """Process each record on copies of the values, so that a failing one leaves no trace."""
        owned, metrics, topic = work.owned, self._runtime.metrics, work.batch.topic
        unit = owned.unit
        for number, record in enumerate(records, 1):
            trial = unit.trial()
            try:
                outputs: list[Output] | None = self._checked(work.handler(trial, [record]))
                trial.keep()
            except StoreError as error:
                await self._runtime.crash(error)
                return False
            except Exception as error:  # noqa: BLE001 - the poison handler gets it
                metrics.poisoned += 1
                _log.warning("%s/%d offset %d: %r", topic, record.partition, record.offset, error)
                outputs = await self._recorded_as_failed(work, record, error)
            if outputs is None:
                return False
            unit.advance(topic, end if number == len(records) else record.offset + 1, outputs)
            metrics.processed(topic, 1)
            if not number % _YIELD_EVERY:
                await owned.admit()
                if unit.closed or not self._is_current(work.batch):
                    return False
        return True

    async def _recorded_as_failed(
        self, work: _Work[V], record: ConsumerRecord[bytes, bytes], error: Exception
    ) -> list[Output] | None:
        """The outputs that take the place of a failed record's; None if the worker must end."""
        try:
            trial = work.owned.unit.trial()
            outputs = self._checked(work.poison(trial, record, error))
            trial.keep()
        except Exception as second:  # noqa: BLE001 - the record can neither be processed nor recorded
            work.owned.unit.broken = True
            await self._runtime.crash(
                PoisonError(
                    f"{record.topic}/{record.partition} offset {record.offset} can neither be processed ({error!r}) "
                    f"nor recorded as failed ({second!r})"
                )
            )
            return None
        return outputs

    def _checked(self, outputs: Iterable[Output]) -> list[Output]:
        found = outputs if isinstance(outputs, list) else list(outputs)
        limit = self._runtime.options.max_message_bytes
        for output in found:
            if output.size > limit:
                raise OutputTooLargeError(
                    f"an output for {output.topic} takes {output.size} bytes; {limit} are allowed"
                )
        return found

    # -- reading again

    async def go_back(self, owned: OwnedUnit[Any], until: Mapping[str, int]) -> None:
        """Drop everything of a unit since its last commit, and process its records since then one by one.

        Args:
            owned: the unit; it must be broken, so that no commit begins.
            until: per topic the offset before which records are processed one by one, beside those already reached.
        """
        unit = owned.unit
        self._runtime.metrics.rewinds += 1
        self._runtime.consumer.stop_reading(TP(topic, unit.partition) for topic in owned.topics)
        await owned.settled()
        if unit.closed or unit.in_flight is not None:
            return
        unit.back_to_last_commit(dict(until))
        await self.read_on(owned, owned.topics)

    async def redeliver(self, owned: OwnedUnit[Any] | None, batch: Batch) -> None:
        """Deliver a batch again that an agent did not process because it raised; after a second."""
        self._runtime.metrics.redelivered += 1
        _log.error("an agent failed on %s; they are delivered again in %g s", batch, _REDELIVERY_SECONDS)
        if owned is None or not self._is_current(batch):
            batch.finish()
            return
        self._runtime.consumer.stop_reading((batch.tp,))
        batch.finish()
        await asyncio.sleep(_REDELIVERY_SECONDS)
        await self.read_on(owned, (batch.topic,))

    async def read_on(self, owned: OwnedUnit[Any], topics: Iterable[str]) -> None:
        """Read topics of a unit from what is processed of them."""
        unit = owned.unit
        if unit.closed:
            return
        try:
            await self._runtime.consumer.place(
                {TP(topic, unit.partition): unit.next_offsets[topic] for topic in topics}
            )
        except IllegalStateError:
            _log.info("%s was taken away meanwhile", unit)


def _readable(part: Sequence[ConsumerRecord[bytes, bytes]]) -> Sequence[ConsumerRecord[bytes, bytes]]:
    """The records before the first unreadable batch; if that comes first, the unreadable batch alone."""
    for number, record in enumerate(part):
        if record.__class__ is UnreadableBatch:
            return part[: max(1, number)]
    return part
