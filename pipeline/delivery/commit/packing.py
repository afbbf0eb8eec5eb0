"""Packing records into record batches and waiting for their acknowledgements.

One batch per topic and partition is about 25 times faster than one call of `send` per record.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from aiokafka import AIOKafkaProducer
    from aiokafka.producer.message_accumulator import BatchBuilder
    from aiokafka.structs import RecordMetadata

    from pipeline.delivery.state.changelog import Entry
    from pipeline.delivery.state.outputs import Headers, Output

_YIELD_EVERY: Final = 2_000

Sent = list[tuple[int, "asyncio.Future[RecordMetadata]"]]
"""Per record batch: its number of records, and a future with the offset of its first record."""


async def send_outputs(
    producer: AIOKafkaProducer, outputs: Iterable[Output], partition_of: Callable[[str, bytes], int]
) -> Sent:
    """Give outputs to the producer, grouped by topic and partition, in their order within each partition."""
    grouped: defaultdict[tuple[str, int], list[Output]] = defaultdict(list)
    for output in outputs:
        partition = output.partition
        if partition is None:
            partition = 0 if output.key is None else partition_of(output.topic, output.key)
        grouped[output.topic, partition].append(output)
    sent: Sent = []
    for (topic, partition), group in grouped.items():
        records = ((output.key, output.value, output.headers or ()) for output in group)
        sent += await _send(producer, topic, partition, records)
    return sent


async def send_entries(
    producer: AIOKafkaProducer, topic: str, partition: int, entries: Sequence[Entry]
) -> Sent:
    """Give changelog entries to the producer, in their order."""
    return await _send(producer, topic, partition, ((key, value, ()) for key, value in entries))


async def acknowledged(sent: Sent) -> int | None:
    """Wait until all batches are acknowledged; the offset of the very last record, or None if there is none.

    Raises:
        KafkaError: one of the batches was not acknowledged.
    """
    results = await asyncio.gather(*(future for _, future in sent), return_exceptions=True)
    last: int | None = None
    for (count, _), result in zip(sent, results, strict=True):
        if isinstance(result, BaseException):
            raise result
        last = result.offset + count - 1
    return last


async def _send(
    producer: AIOKafkaProducer,
    topic: str,
    partition: int,
    records: Iterable[tuple[bytes | None, bytes | None, Headers]],
) -> Sent:
    sent: Sent = []
    now = int(time.time() * 1000)
    batch = producer.create_batch()
    for number, (key, value, pairs) in enumerate(records, 1):
        headers = list(pairs)  # aiokafka accepts no other sequence
        if batch.append(timestamp=now, key=key, value=value, headers=headers) is None:
            sent.append(await _send_batch(producer, topic, partition, batch))
            batch = producer.create_batch()
            batch.append(timestamp=now, key=key, value=value, headers=headers)
        if not number % _YIELD_EVERY:
            await asyncio.sleep(0)
    if batch.record_count():
        sent.append(await _send_batch(producer, topic, partition, batch))
    return sent


async def _send_batch(
    producer: AIOKafkaProducer, topic: str, partition: int, batch: BatchBuilder
) -> tuple[int, asyncio.Future[RecordMetadata]]:
    future: asyncio.Future[RecordMetadata] = await producer.send_batch(batch, topic, partition=partition)
    # After a failure nobody awaits the other futures of a commit. Without this, asyncio would log each of them.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return batch.record_count(), future
