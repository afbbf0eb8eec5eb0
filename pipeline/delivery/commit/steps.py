"""Writing a commit to Kafka: records packed into record batches, all of them in one transaction."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidProducerEpoch, ProducerFenced
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from pipeline.delivery.clients import stop_producer
from pipeline.delivery.errors import FencedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from aiokafka.producer.message_accumulator import BatchBuilder
    from aiokafka.structs import RecordMetadata

    from pipeline.delivery.kill_points import Hook
    from pipeline.delivery.state.changelog import Entry
    from pipeline.delivery.state.outputs import Headers, Output
    from pipeline.delivery.state.unit import Snapshot

MAX_BATCH_BYTES = 1 << 19
_MAX_REQUEST_BYTES = 1 << 22
_YIELD_EVERY = 2_000

Sent = list[tuple[int, "asyncio.Future[RecordMetadata]"]]


def new_producer(options: Mapping[str, Any], request_timeout: float, **more: Any) -> AIOKafkaProducer:
    """A producer for whole record batches.

    Args:
        options: bootstrap servers and security, as aiokafka names them.
        request_timeout: seconds.
        more: the rest.
    """
    return AIOKafkaProducer(
        **options,
        acks="all",
        linger_ms=0,
        max_batch_size=MAX_BATCH_BYTES,
        max_request_size=_MAX_REQUEST_BYTES,
        request_timeout_ms=int(request_timeout * 1000),
        **more,
    )


async def send_outputs(
    producer: AIOKafkaProducer, outputs: Iterable[Output], partition_of: Callable[[str, bytes], int]
) -> Sent:
    """Hand outputs to the producer, packed by topic and partition in their order."""
    grouped: dict[tuple[str, int], list[Output]] = {}
    for output in outputs:
        partition = output.partition
        if partition is None:
            partition = 0 if output.key is None else partition_of(output.topic, output.key)
        group = grouped.get((output.topic, partition))
        if group is None:
            group = grouped[(output.topic, partition)] = []
        group.append(output)
    sent: Sent = []
    for (topic, partition), group in grouped.items():
        sent += await _send(
            producer, topic, partition, ((out.key, out.value, out.headers or ()) for out in group)
        )
    return sent


async def send_entries(
    producer: AIOKafkaProducer, topic: str, partition: int, entries: Sequence[Entry]
) -> Sent:
    """Hand changelog entries to the producer, in their order."""
    return await _send(producer, topic, partition, ((key, value, ()) for key, value in entries))


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
        headers = list(pairs)  # aiokafka takes no other sequence
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
    # After one failure nobody looks at the other futures of a commit, and asyncio would complain of each.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return batch.record_count(), future


async def acknowledged(sent: Sent) -> int | None:
    """Wait until all of it is acknowledged; the offset of the very last record, None if there is none.

    Raises:
        KafkaError: some of it is not.
    """
    results = await asyncio.gather(*(future for _, future in sent), return_exceptions=True)
    last: int | None = None
    for (count, _), result in zip(sent, results, strict=True):
        if isinstance(result, BaseException):
            raise result
        last = result.offset + count - 1
    return last


class Commit:
    """How a snapshot of one unit gets into Kafka: outputs, changed keys, watermarks, source offsets; one transaction.

    There is one transactional id per unit, never per worker. Initialising it ends the former owner's open transaction
    and shuts that owner out, however late it wakes up.

    A broker without transactions is for the demo only. There the same records are written without one, and a crash
    between two of them leaves an incomplete commit behind.

    Args:
        options: bootstrap servers and security.
        transactional_id: of the unit, the same on every worker; None: the broker has no transactions.
        group: the consumer group.
        changelog: topic and partition.
        partition_of: of a topic's key.
        reached: called at each kill point.
        timeout: seconds after which the brokers give up an open transaction.
        request_timeout: seconds.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        transactional_id: str | None,
        group: str,
        changelog: tuple[str, int],
        partition_of: Callable[[str, bytes], int],
        reached: Hook,
        timeout: float,
        request_timeout: float,
    ) -> None:
        transactions: dict[str, Any] = {}
        if transactional_id is not None:
            transactions = {
                "transactional_id": transactional_id,
                "transaction_timeout_ms": int(timeout * 1000),
            }
        self._producer = new_producer(options, request_timeout, **transactions)
        self._transactional = transactional_id is not None
        self._group = group
        self._topic, self._partition = changelog
        self._partition_of = partition_of
        self._reached = reached

    async def start(self) -> None:
        """Become the one writer, and shut out the former one.

        Raises:
            KafkaError: the brokers refuse.
        """
        await self._producer.start()

    async def write(self, snapshot: Snapshot) -> int | None:
        """Write a snapshot: all of it or nothing.

        Returns:
            the offset of the last record in the changelog.

        Raises:
            FencedError: another worker is the writer now.
            KafkaError: the brokers refuse.
        """
        try:
            return await self._write(snapshot)
        except (ProducerFenced, InvalidProducerEpoch) as error:
            raise FencedError("another worker has taken over, or the transaction took too long") from error

    async def _write(self, snapshot: Snapshot) -> int | None:
        """The steps of a commit, in their order; after each one stands its kill point."""
        producer, reached = self._producer, self._reached
        # 1. Begin.
        if self._transactional:
            await producer.begin_transaction()
        # 2. Outputs and changed keys, which end with the watermarks.
        outputs = await send_outputs(producer, snapshot.outputs, self._partition_of)
        entries = await send_entries(producer, self._topic, self._partition, snapshot.entries)
        await acknowledged(outputs)
        reached("commit:outputs")
        last = await acknowledged(entries)
        reached("commit:changelog")
        # 3. The source offsets, and the end of the transaction: all of it becomes visible together.
        if self._transactional:
            if snapshot.moved:
                offsets = {
                    TopicPartition(topic, self._partition): OffsetAndMetadata(offset, "")
                    for topic, offset in snapshot.moved.items()
                }
                await producer.send_offsets_to_transaction(offsets, self._group)
                reached("commit:offsets")
            await producer.commit_transaction()
        return last

    async def stop(self) -> None:
        """Close the connection, within seconds; what is under way is given up."""
        await stop_producer(self._producer)
        if not self._transactional:
            return
        # Nobody waits for the end of this transaction any more; asyncio would complain that nobody looked at it.
        ended = self._producer._txn_manager.wait_for_transaction_end()  # noqa: SLF001 - aiokafka has no public way
        if ended is not None and ended.done() and not ended.cancelled():
            ended.exception()
