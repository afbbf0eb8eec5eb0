"""The benchmark's own way to Kafka: librdkafka, which takes the least of the shared cores."""

from __future__ import annotations

import time
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from pipeline.errors import MissingError

PARTITION_UA: Final = -1
"""Stands for the partition of the key (librdkafka's name: unassigned)."""

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from confluent_kafka import Message

    from pipeline.settings.schema import Settings

_TIMEOUT_S: Final = 30.0
_BATCH: Final = 5_000
_POLL_EVERY: Final = 1_000
_PACE_S: Final = 0.002

Options = dict[str, str | int | float | bool]


def client_options(settings: Settings) -> Options:
    """The settings' brokers and security, as librdkafka names them."""
    options: Options = {
        "bootstrap.servers": settings.bootstrap_servers,
        "security.protocol": settings.kafka_security_protocol,
        # Errors are raised; its notes about connections that come and go are nobody's business here.
        "log_level": 2,
    }
    if settings.kafka_security_protocol.startswith("SASL_") and settings.kafka_sasl_password is not None:
        options["sasl.mechanism"] = settings.kafka_sasl_mechanism
        options["sasl.username"] = settings.kafka_sasl_username or ""
        options["sasl.password"] = settings.kafka_sasl_password.get_secret_value()
    for name, value in (
        ("ssl.ca.location", settings.kafka_ssl_cafile),
        ("ssl.certificate.location", settings.kafka_ssl_certfile),
        ("ssl.key.location", settings.kafka_ssl_keyfile),
    ):
        if value is not None:
            options[name] = str(value)
    if settings.kafka_ssl_password is not None:
        options["ssl.key.password"] = settings.kafka_ssl_password.get_secret_value()
    return options


class Sender:
    """Sends records to one topic, to the partitions of their keys by murmur2, or to one partition."""

    def __init__(self, settings: Settings, topic: str, partition: int = PARTITION_UA) -> None:
        self._topic = topic
        self._partition = partition
        self._failure: KafkaError | None = None
        self._servers = settings.bootstrap_servers
        self._producer = Producer(
            {
                **client_options(settings),
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                # A second request under way could overtake one that is sent again, and the order is part of the load.
                "max.in.flight": 1,
                "queue.buffering.max.messages": 500_000,
                "queue.buffering.max.kbytes": 512 * 1024,
                "delivery.report.only.error": True,
                "on_delivery": self._on_failure,
            }
        )

    def send_all(self, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Send as fast as it goes; returns when the broker has all.

        Raises:
            MissingError: the broker does not take them.
        """
        for number, (key, value) in enumerate(records):
            self._send(key, value)
            if number % _POLL_EVERY == 0:
                self._producer.poll(0)
        self._finish()

    def send_paced(self, records: Iterable[tuple[bytes, bytes]], per_second: float) -> tuple[float, float]:
        """Send at an even pace; returns when the broker has all.

        Returns:
            when the first record was due, by `time.perf_counter`, and how many a second were really sent.

        Raises:
            MissingError: the broker does not take them.
        """
        waiting, sent = iter(records), 0
        begin = time.perf_counter()
        while True:
            due = int((time.perf_counter() - begin) * per_second) + 1
            part = list(islice(waiting, due - sent))
            for key, value in part:
                self._send(key, value)
            if sent + len(part) < due:
                break
            sent = due
            self._producer.poll(0)
            time.sleep(_PACE_S)
        rate = (sent + len(part)) / max(time.perf_counter() - begin, 1e-9)
        self._finish()
        return begin, rate

    def _send(self, key: bytes, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(self._topic, value, key, self._partition)
            except BufferError:
                self._producer.poll(0.1)
                self._check()
            else:
                return

    def _finish(self) -> None:
        left = self._producer.flush(_TIMEOUT_S)
        self._check()
        if left:
            raise MissingError(f"Kafka at {self._servers} has not taken {left} records in {_TIMEOUT_S:g} s")

    def _check(self) -> None:
        if self._failure is not None:
            raise MissingError(f"Kafka at {self._servers} does not take records: {self._failure.str()}")

    def _on_failure(self, error: KafkaError | None, _: Message) -> None:
        self._failure = self._failure or error


class CommittedRecords:
    """How many records of a topic a group has behind it; asks the broker without joining the group.

    The offsets of a topic that was written without transactions count its records.
    """

    def __init__(self, settings: Settings, group: str, topic: str) -> None:
        self._partitions = [TopicPartition(topic, number) for number in range(settings.partitions)]
        self._consumer = Consumer(
            {**client_options(settings), "group.id": group, "enable.auto.commit": False}
        )

    def count(self) -> int:
        """The sum of the committed offsets."""
        found = self._consumer.committed(self._partitions, timeout=_TIMEOUT_S)
        return sum(max(0, partition.offset) for partition in found)

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()


@contextmanager
def reader(settings: Settings, topic: str, *, ends: bool) -> Iterator[Consumer]:
    """A consumer of all partitions of a topic, from the beginning, of what is committed.

    Args:
        settings: of the brokers.
        topic: its full name.
        ends: whether the ends of partitions are told, as records with an error.
    """
    consumer = Consumer(
        {
            **client_options(settings),
            "group.id": f"{topic}-reader",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": ends,
            "fetch.wait.max.ms": 50,
        }
    )
    try:
        described = consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic]
        # 0 and not "beginning": these topics are new, and a list of offsets is one question less.
        consumer.assign([TopicPartition(topic, number, 0) for number in described.partitions])
        yield consumer
    except KafkaException as error:
        raise MissingError(
            f"topic {topic} at {settings.bootstrap_servers} cannot be read: {error}"
        ) from error
    finally:
        consumer.close()


def read_to_end(settings: Settings, topic: str, take: Callable[[bytes, bytes | None], None]) -> int:
    """Give every key and value of a topic to `take`; how many there were.

    Raises:
        MissingError: the broker does not give them.
    """
    count = 0
    with reader(settings, topic, ends=True) as consumer:
        open_partitions = {partition.partition for partition in consumer.assignment()}
        heard = time.monotonic()
        while open_partitions:
            for message in consumer.consume(_BATCH, 0.5):
                heard = time.monotonic()
                error, partition = message.error(), message.partition()
                if error is None:
                    count += 1
                    key, value = message.key(), message.value()
                    take(as_bytes(key) or b"", as_bytes(value))
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name in librdkafka's binding
                    open_partitions.discard(partition if partition is not None else -1)
                else:
                    raise KafkaException(error)
            if time.monotonic() - heard > _TIMEOUT_S:
                raise MissingError(
                    f"topic {topic} at {settings.bootstrap_servers} has no end after {_TIMEOUT_S:g} s"
                )
    return count


def as_bytes(value: str | bytes | None) -> bytes | None:
    """A key or value, which the binding types as text or bytes."""
    return value.encode() if isinstance(value, str) else value


def topics_with(settings: Settings, text: str) -> list[str]:
    """The names of the cluster's topics that contain a text."""
    found = AdminClient(client_options(settings)).list_topics(timeout=_TIMEOUT_S)
    return sorted(name for name in found.topics if text in name)


def delete_topics(settings: Settings, names: list[str]) -> None:
    """Delete topics; one that is gone already is none to worry about."""
    if names:
        admin = AdminClient(client_options(settings))
        for future in admin.delete_topics(names).values():
            future.exception(_TIMEOUT_S)
