"""Sends to Kafka in batches for each partition, and counts every acknowledgement."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from pipeline.errors import MissingError
from pipeline.kafka.topics import PRIVACY_REQUESTS, RAW_EVENTS, ensure_topics
from pipeline.lab.generator.labels import Position
from pipeline.lab.generator.placement import place

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from pipeline.lab.generator.ledger import Ledger
    from pipeline.lab.generator.stream import Record
    from pipeline.settings.schema import Settings

# Brokers accept a megabyte by default. An event that is too large for the contract still has to fit.
_BATCH_BYTES = 512 * 1024
# A partition may be without a leader for 8 to 18 s. Records wait for so long before the run ends.
_PATIENCE_MS = 30_000


@dataclass(slots=True)
class KafkaSink:
    """Takes records to the topics of one environment.

    Attributes:
        producer: started.
        settings: of the brokers, for messages.
        events: topic of events.
        requests: topic of privacy requests.
        partitions: of both; they are co-partitioned.
        ledger: takes note of each acknowledgement.
    """

    producer: AIOKafkaProducer
    settings: Settings
    events: str
    requests: str
    partitions: int
    ledger: Ledger

    def lane(self, record: Record, lanes: int) -> int:
        """The number by partition: a task with fewer partitions makes larger batches."""
        return place(record.who, self.partitions) % lanes

    async def send(self, records: list[Record]) -> None:
        """Sends records and waits for all acknowledgements.

        Raises:
            MissingError: the brokers did not accept them in time.
        """
        waiting: list[tuple[list[Record], str, int, asyncio.Future[Any]]] = []
        groups: dict[tuple[str, int], list[Record]] = {}
        for record in records:
            topic = self.requests if record.is_request else self.events
            groups.setdefault((topic, place(record.who, self.partitions)), []).append(record)
        try:
            for (topic, partition), group in groups.items():
                batch = self.producer.create_batch()
                batched: list[Record] = []
                for record in group:
                    if batch.append(key=record.who.key, value=record.value, timestamp=None) is None:
                        future = await self.producer.send_batch(batch, topic, partition=partition)
                        waiting.append((batched, topic, partition, future))
                        batch, batched = self.producer.create_batch(), []
                        batch.append(key=record.who.key, value=record.value, timestamp=None)
                    batched.append(record)
                batch.close()
                future = await self.producer.send_batch(batch, topic, partition=partition)
                waiting.append((batched, topic, partition, future))
            for batched, topic, partition, future in waiting:
                base = (await future).offset
                name = (RAW_EVENTS if topic == self.events else PRIVACY_REQUESTS).name
                for n, record in enumerate(batched):
                    self.ledger.took(record, Position(name, partition, base + n))
                self.ledger.advance(sum(not record.is_request for record in batched))
        except KafkaError as error:
            raise MissingError(
                f"Kafka at {self.settings.bootstrap_servers} stopped taking events after "
                f"{self.ledger.events} of them: {str(error) or type(error).__name__}"
            ) from error


@asynccontextmanager
async def kafka_sink(settings: Settings, ledger: Ledger, wait_s: float) -> AsyncIterator[KafkaSink]:
    """A sink with its producer; creates the topics that are missing.

    Raises:
        MissingError: no broker answers within `wait_s` seconds.
        RefusedError: the topics there do not fit together.
    """
    report = await ensure_topics(settings, wait_s)
    events, requests = settings.topic(RAW_EVENTS.name), settings.topic(PRIVACY_REQUESTS.name)
    # No idempotence: the embedded broker has none, and a retried batch is at worst some more duplicates.
    producer = AIOKafkaProducer(
        **settings.kafka_client_options(),
        acks="all",
        max_batch_size=_BATCH_BYTES,
        request_timeout_ms=_PATIENCE_MS,
    )
    try:
        await producer.start()
    except KafkaError as error:
        await producer.stop()
        raise MissingError(f"Kafka at {settings.bootstrap_servers}: {error}") from error
    try:
        yield KafkaSink(producer, settings, events, requests, report.partitions[events], ledger)
    finally:
        await producer.stop()
