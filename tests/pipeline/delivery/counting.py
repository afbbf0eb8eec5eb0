"""The smallest application with a table: it counts its keys, and publishes each count."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition

from pipeline.delivery.app import DeliveryApp
from pipeline.delivery.clients import has_transactions
from pipeline.delivery.options import DeliveryOptions
from pipeline.delivery.state.outputs import Output
from pipeline.delivery.state.unit import State
from pipeline.delivery.table import WriteBehindTable
from tests.pipeline.delivery.counting_handler import Number, NumberCodec, count, record_failure

PARTITIONS = 2
_PATIENCE_S = 60.0


class Counting:
    """Counts records per key, on topics of its own.

    Args:
        servers: bootstrap servers.
        prefix: that no other test uses.
        directory: for the state.
        options: of the delivery.
        on_batch: called with each batch before it is processed; what it raises, the agent raises.
    """

    def __init__(
        self,
        servers: str,
        prefix: str,
        directory: Path,
        options: DeliveryOptions | None = None,
        on_batch: Callable[[Any], None] = lambda _: None,
    ) -> None:
        self.servers = servers
        self.directory = directory
        self.options = options or DeliveryOptions()
        self.on_batch = on_batch
        self.app_id = f"{prefix}counting"
        self.source, self.out, self.failed = (f"{prefix}{name}" for name in ("in", "out", "failed"))
        self.changelog = f"{self.app_id}-counts-changelog"
        self.client_options = {"bootstrap_servers": servers, "security_protocol": "PLAINTEXT"}

    async def create_topics(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers)
        await admin.start()
        names = (self.source, self.out, self.changelog, self.failed)
        await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names])
        await admin.close()

    async def send(self, records: Iterable[tuple[int, bytes, bytes]]) -> None:
        """Write (partition, key, value)."""
        producer = AIOKafkaProducer(bootstrap_servers=self.servers)
        await producer.start()
        for partition, key, value in records:
            await producer.send(self.source, value, key, partition)
        await producer.stop()

    @asynccontextmanager
    async def running(self, prepare: Callable[[DeliveryApp], object] = id) -> AsyncIterator[DeliveryApp]:
        """The application, as one worker; `prepare` may add to it before it starts."""
        transactional = await has_transactions(self.client_options, self.app_id, 30)
        app = DeliveryApp(
            self.app_id,
            client_options=self.client_options,
            transactional=transactional,
            topic_partitions={self.out: PARTITIONS, self.failed: PARTITIONS},
            options=self.options,
            datadir=self.directory,
            broker_session_timeout=6.0,
            broker_heartbeat_interval=1.0,
            broker_commit_interval=0.1,
            web_enabled=False,
            loop=asyncio.get_running_loop(),
        )
        table: WriteBehindTable[Number] = WriteBehindTable(
            app,
            name="counts",
            codec=NumberCodec(),
            topics=[self.source],
            partitions=PARTITIONS,
        )

        @app.agent(table.source, name="count")
        async def count_keys(batches):
            async for batch in batches:
                self.on_batch(batch)
                await table.process(batch, self.handle, self.poison)

        prepare(app)
        app.finalize()
        await app.maybe_start()
        try:
            yield app
        finally:
            await app.stop()

    def handle(self, state: State[Number], records: Sequence[ConsumerRecord]) -> list[Output]:
        return count(state, records, self.out, self.options.max_message_bytes + 1)

    def poison(self, _state: State[Number], record: ConsumerRecord, error: Exception) -> list[Output]:
        return record_failure(record, error, self.failed)

    # -- what came of it

    async def read(self, topic: str) -> dict[bytes, list[bytes]]:
        """Committed values by key, each partition in its order."""
        found: dict[bytes, list[bytes]] = defaultdict(list)
        for record in await self.records(topic):
            found[record.key].append(record.value)
        return found

    async def records(self, topic: str) -> list[ConsumerRecord]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.servers,
            isolation_level="read_committed",
            auto_offset_reset="none",
        )
        await consumer.start()
        try:
            tps = [TopicPartition(topic, p) for p in range(PARTITIONS)]
            consumer.assign(tps)
            for tp in tps:
                consumer.seek(tp, 0)
            found: list[ConsumerRecord] = []
            quiet = 0
            while quiet < 3:
                batch = await consumer.getmany(timeout_ms=300)
                quiet = 0 if batch else quiet + 1
                found += [record for records in batch.values() for record in records]
        finally:
            await consumer.stop()
        return found

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(_PATIENCE_S):
            while not done():  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.05)


def all_done(app: DeliveryApp, records: int) -> Callable[[], bool]:
    """Whether so many records of the source are in committed state."""

    def done() -> bool:
        units = [owned.unit for owned in app.ownership.units.values()]
        return (
            len(units) == PARTITIONS
            and sum(sum(unit.store.watermarks().values()) for unit in units) >= records
        )

    return done
