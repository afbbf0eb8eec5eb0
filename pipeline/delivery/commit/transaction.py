"""Writing a commit to Kafka, in one transaction of the unit's own producer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka.structs import OffsetAndMetadata, TopicPartition

from pipeline.delivery.clients import new_producer, stop_producer
from pipeline.delivery.commit.packing import Sent, send_entries, send_outputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.delivery.runtime import Runtime
    from pipeline.delivery.state.changelog import Entry
    from pipeline.delivery.state.outputs import Output


class TransactionWriter:
    """The one writer of a unit. Its methods from `begin` to `end` are called by `commit/steps.py`, in this order.

    The transactional id is the unit's, never the worker's. Starting the producer aborts the former owner's open
    transaction and fences that owner, however late it wakes up.

    A broker without transactions is for the demo only. There the same records are written without a transaction, so
    a crash between two of them leaves an incomplete commit.

    Args:
        runtime: the application.
        table: its name.
        changelog: topic of the table's changelog.
        partition: of the source topics and of the changelog.
    """

    def __init__(self, runtime: Runtime, table: str, changelog: str, partition: int) -> None:
        conf = runtime.conf
        transactions: dict[str, Any] = {}
        if runtime.transactional:
            transactions = {
                "transactional_id": f"{conf.id}-{table}-{partition}",
                "transaction_timeout_ms": int(runtime.options.transaction_timeout * 1000),
            }
        self._producer = new_producer(runtime.client_options, conf.broker_request_timeout, **transactions)
        self._transactional = runtime.transactional
        self._group = conf.id
        self._changelog = changelog
        self._partition = partition
        self._partition_of = runtime.partition_of

    async def start(self) -> None:
        """Become the one writer, and fence the former one.

        Raises:
            KafkaError: the brokers refuse.
        """
        await self._producer.start()

    async def begin(self) -> None:
        """Begin a transaction."""
        if self._transactional:
            await self._producer.begin_transaction()

    async def send_outputs(self, outputs: Sequence[Output]) -> Sent:
        """Send outputs to their topics."""
        return await send_outputs(self._producer, outputs, self._partition_of)

    async def send_changelog(self, entries: Sequence[Entry]) -> Sent:
        """Send changed keys and watermarks to the changelog."""
        return await send_entries(self._producer, self._changelog, self._partition, entries)

    async def add_offsets(self, next_offsets: Mapping[str, int]) -> None:
        """Make the group's offsets of the source topics part of the transaction."""
        if self._transactional and next_offsets:
            offsets = {
                TopicPartition(topic, self._partition): OffsetAndMetadata(offset, "")
                for topic, offset in next_offsets.items()
            }
            await self._producer.send_offsets_to_transaction(offsets, self._group)

    async def end(self) -> None:
        """Commit the transaction: all of it becomes visible to readers of committed records at once."""
        if self._transactional:
            await self._producer.commit_transaction()

    async def stop(self) -> None:
        """Close the connection within seconds, and drop what was not acknowledged."""
        await stop_producer(self._producer)
        if not self._transactional:
            return
        # Nobody awaits the end of an open transaction any more. Without this, asyncio would log its error.
        ended = self._producer._txn_manager.wait_for_transaction_end()  # noqa: SLF001 - aiokafka has no public way
        if ended is not None and ended.done() and not ended.cancelled():
            ended.exception()
