"""Processing a batch: slices in one synchronous call each; record by record where a handler failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from pipeline.delivery.errors import PoisonError, StoreError
from pipeline.delivery.plugin.fetched import UnreadableBatch
from pipeline.delivery.state.outputs import Output

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    from pipeline.delivery.app import DeliveryApp
    from pipeline.delivery.commit.owned_unit import OwnedUnit
    from pipeline.delivery.flow.batches import Batch
    from pipeline.delivery.state.unit import State

V = TypeVar("V")

Handler = Callable[["State[V]", Sequence["ConsumerRecord[bytes, bytes]"]], Iterable[Output]]
Poison = Callable[["State[V]", "ConsumerRecord[bytes, bytes]", Exception], Iterable[Output]]

SLICE = 250
_CAREFUL_YIELD_EVERY = 50


class OutputTooLargeError(Exception):
    """An output is larger than the brokers take."""


async def process(app: DeliveryApp, table: str, batch: Batch, handler: Handler[V], poison: Poison[V]) -> None:
    """Process a batch; see `WriteBehindTable.process`."""
    owned = app.ownership.find(table, batch.partition)
    if owned is None or not app.consumer.is_current(batch):
        batch.finish()
        return
    unit, topic, chunk = owned.unit, batch.topic, batch.chunk
    expected = unit.next_offsets[topic]
    if chunk.start > expected:
        # Something between was read and got lost; it cannot be skipped.
        app.log.warning("%s/%d: going back to offset %d", topic, batch.partition, expected)
        app.consumer.stop_reading(app.topic_partitions_of(owned, (topic,)))
        batch.finish()
        await app.ownership.read_on(owned, topic)
        return
    records: Sequence[ConsumerRecord[bytes, bytes]] = chunk.records
    if records[0].offset < expected:
        records = [record for record in records if record.offset >= expected]
        app.metrics.replayed += len(chunk.records) - len(records)
    app.metrics.batches += 1
    position = 0
    while position < len(records) or unit.next_offsets[topic] < chunk.end:
        size, step = await app.valve.admit(topic, SLICE) if position < len(records) else (SLICE, None)
        part = _readable(records[position : position + size])
        position += len(part)
        end = chunk.end if position >= len(records) else part[-1].offset + 1
        await owned.admit()
        if unit.closed or not app.consumer.is_current(batch):
            app.valve.settle(step, None)
            break
        went_well = True
        if not part:
            unit.advance(topic, end, [])
        elif isinstance(part[0], UnreadableBatch):
            went_well = await _skip_unreadable(app, owned, topic, part[0], end, poison)
        elif part[0].offset < unit.careful_until.get(topic, -1):
            await _one_by_one(app, owned, batch, part, end, handler, poison)
        else:
            went_well = await _at_once(app, owned, topic, part, end, handler)
        app.valve.settle(step, (topic, batch.partition, part[0].offset) if went_well and part else None)
        if not went_well:
            break
        unit.evict()
    batch.finish()


def _readable(part: Sequence[ConsumerRecord[bytes, bytes]]) -> Sequence[ConsumerRecord[bytes, bytes]]:
    """The records up to a batch that could not be read; that one alone where it comes first."""
    for number, record in enumerate(part):
        if record.__class__ is UnreadableBatch:
            return part[: max(1, number)]
    return part


async def _at_once(
    app: DeliveryApp,
    owned: OwnedUnit[V],
    topic: str,
    records: Sequence[ConsumerRecord[bytes, bytes]],
    end: int,
    handler: Handler[V],
) -> bool:
    unit = owned.unit
    try:
        outputs = _checked(app, handler(unit, records))
    except StoreError as error:
        unit.broken = True
        await app.crash(error)
        return False
    except Exception as error:  # noqa: BLE001 - whatever a handler fails on is found record by record
        # The handler may have changed values in place: only the last commit is known to be right.
        unit.broken = True
        app.log.warning(
            "the handler failed on one of %d records of %s/%d from offset %d on (%r); they are processed one by one, "
            "from the last commit on",
            len(records),
            topic,
            unit.partition,
            records[0].offset,
            error,
        )
        await app.ownership.go_back(owned, {topic: end})
        return False
    except BaseException:
        unit.broken = True
        raise
    unit.advance(topic, end, outputs)
    app.metrics.processed(topic, len(records))
    return True


async def _skip_unreadable(
    app: DeliveryApp, owned: OwnedUnit[V], topic: str, batch: UnreadableBatch, end: int, poison: Poison[V]
) -> bool:
    """Record that a batch cannot be read, and go on behind it; whether that went well."""
    app.metrics.unreadable += batch.count
    app.log.error("%s; they are recorded as failed, and the stream goes on behind them", batch)
    outputs = await _recorded_as_failed(app, owned, batch, ValueError(batch.reason), poison)
    if outputs is None:
        return False
    owned.unit.advance(topic, end, outputs)
    app.metrics.processed(topic, batch.count)
    return True


async def _recorded_as_failed(
    app: DeliveryApp,
    owned: OwnedUnit[V],
    record: ConsumerRecord[bytes, bytes],
    error: Exception,
    poison: Poison[V],
) -> list[Output] | None:
    """What is published instead of a record that cannot be processed; None: nothing can go on."""
    try:
        trial = owned.unit.trial()
        outputs = _checked(app, poison(trial, record, error))
        trial.keep()
    except Exception as second:  # noqa: BLE001 - neither way leads on
        owned.unit.broken = True
        await app.crash(
            PoisonError(
                f"{record.topic}/{record.partition} offset {record.offset} can neither be processed ({error!r}) "
                f"nor recorded as failed ({second!r})"
            )
        )
        return None
    return outputs


async def _one_by_one(
    app: DeliveryApp,
    owned: OwnedUnit[V],
    batch: Batch,
    records: Sequence[ConsumerRecord[bytes, bytes]],
    end: int,
    handler: Handler[V],
    poison: Poison[V],
) -> None:
    unit, topic = owned.unit, batch.topic
    for number, record in enumerate(records, 1):
        trial = unit.trial()
        try:
            outputs = _checked(app, handler(trial, [record]))
            trial.keep()
        except StoreError as error:
            await app.crash(error)
            return
        except Exception as error:  # noqa: BLE001 - it becomes the poison handler's
            app.metrics.poisoned += 1
            app.log.warning("%s/%d offset %d: %r", topic, record.partition, record.offset, error)
            instead = await _recorded_as_failed(app, owned, record, error, poison)
            if instead is None:
                return
            outputs = instead
        unit.advance(topic, end if number == len(records) else record.offset + 1, outputs)
        app.metrics.processed(topic, 1)
        if not number % _CAREFUL_YIELD_EVERY:
            await owned.admit()
            if unit.closed or not app.consumer.is_current(batch):
                return


def _checked(app: DeliveryApp, outputs: Iterable[Output]) -> list[Output]:
    found = outputs if isinstance(outputs, list) else list(outputs)
    limit = app.options.max_message_bytes
    for output in found:
        if output.size > limit:
            raise OutputTooLargeError(
                f"an output for {output.topic} takes {output.size} bytes; {limit} are allowed"
            )
    return found
