"""What `ott model` reads from and writes to topics: models on `model-config`, events to train on from `raw-events`."""

from __future__ import annotations

import getpass
import os
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.anomaly.artefact import ModelError
from pipeline.coordination.model_config import PARTITION
from pipeline.errors import MissingError
from pipeline.evaluation.model_book import (
    IN_FORCE_KEY,
    NONE,
    Publication,
    publication_of,
    read_version,
    records_of,
    time_of,
    version_of_key,
)
from pipeline.events.foreign import shown
from pipeline.events.instants import format_instant
from pipeline.kafka.brokers import broker_trouble
from pipeline.kafka.follower import Follower, TopicMissingError, follow, from_time
from pipeline.kafka.topics import MODEL_CONFIG, RAW_EVENTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from aiokafka.structs import ConsumerRecord

    from pipeline.settings.schema import Settings

    Record = ConsumerRecord[bytes, bytes]

_LONGEST_NAME: Final = 100
_PATIENCE_S: Final = 30.0


class Listed(NamedTuple):
    """A model on the topic.

    Attributes:
        written: timestamp of its record, which is that of its last publication, in milliseconds since 1970.
        trained_on: what its card says of that; None if the model cannot be used.
        refused: why it cannot be used; None if it can.
    """

    written: int
    trained_on: str | None
    refused: str | None


class Models(NamedTuple):
    """What is on the topic.

    Attributes:
        listed: the models by version; the one that was published last comes last.
        in_force: the newest publication; None where no model is in force, or the newest one cannot be used.
        refused: why the newest publication cannot be used; None if it can.
    """

    listed: dict[str, Listed]
    in_force: Publication | None
    refused: str | None

    @property
    def version(self) -> str:
        """The version in force; `NONE` without one."""
        return NONE if self.in_force is None else self.in_force.version

    def before(self) -> str | None:
        """The version that was published before the one in force and can be used; None if there is none."""
        others = [
            version
            for version, model in self.listed.items()
            if version != self.version and model.refused is None
        ]
        return others[-1] if others else None


async def read_models(settings: Settings, wait: float) -> Models:
    """Read the topic to its end.

    Args:
        settings: where the brokers are.
        wait: how long to wait for a broker, in seconds.

    Raises:
        MissingError: the topic cannot be read.
    """
    listed: dict[str, Listed] = {}
    publication: bytes | None = None
    async for record in _records(settings, wait):
        version = version_of_key(record.key)
        if version is not None:
            # The place in the dictionary is that of the last record.
            listed.pop(version, None)
            if record.value is not None:
                listed[version] = _listed(version, record.value, time_of(record.timestamp))
        elif record.key == IN_FORCE_KEY:
            publication = record.value
    return Models(listed, *_in_force(listed, publication))


async def read_file(settings: Settings, version: str, wait: float) -> bytes | None:
    """The bytes of a model on the topic; None if it is not there.

    Raises:
        MissingError: the topic cannot be read.
    """
    found: bytes | None = None
    async for record in _records(settings, wait):
        if version_of_key(record.key) == version:
            found = record.value
    return found


async def put_in_force(settings: Settings, version: str, data: bytes) -> None:
    """Publish a model. All workers score with it from their next batches on.

    Raises:
        MissingError: the brokers do not acknowledge it.
    """
    now = format_instant(time.time_ns() // 1_000_000)
    await _write(settings, records_of(version, data, by=_me(), at=now))


async def put_none_in_force(settings: Settings) -> None:
    """Let no model score any more.

    Raises:
        MissingError: the brokers do not acknowledge it.
    """
    await _write(settings, [(IN_FORCE_KEY, None)])


async def read_events(settings: Settings, since: int, until: int) -> AsyncIterator[list[Record]]:
    """The records of `raw-events` of a time, by the broker's timestamps; each list is of one partition, in its order.

    Args:
        settings: where the brokers are; one answers.
        since: the first timestamp, in milliseconds since 1970.
        until: the timestamp after the last one.

    Raises:
        MissingError: the topic cannot be read.
    """
    topic = settings.topic(RAW_EVENTS.name)
    try:
        async with Follower(settings.kafka_client_options(), [topic], from_time(since)) as follower:
            await follower.connect()
            unread = set(follower.positions)
            async for batches in _polled(settings, follower):
                for tp, records in batches.items():
                    yield [record for record in records if since <= record.timestamp < until]
                    if records[-1].timestamp >= until:
                        unread.discard(tp)
                unread -= {tp for tp, end in follower.ends.items() if follower.positions[tp] >= end}
                if not unread:
                    return
    except TopicMissingError as error:
        raise MissingError(f"{error} at {settings.bootstrap_servers}") from error
    except KafkaError as error:
        raise broker_trouble(settings, error) from error


async def _records(settings: Settings, wait: float) -> AsyncIterator[Record]:
    topic = settings.topic(MODEL_CONFIG.name)
    async with follow(settings, [topic], from_oldest=True, timeout_s=wait) as follower:
        async for batches in _polled(settings, follower):
            for record in batches.get(TopicPartition(topic, PARTITION), ()):
                yield record
            if follower.at_end:
                return


async def _polled(
    settings: Settings, follower: Follower
) -> AsyncIterator[dict[TopicPartition, list[Record]]]:
    """What the polls of a follower give, until the caller has enough.

    Raises:
        MissingError: no broker has sent anything for `_PATIENCE_S` seconds.
    """
    heard = time.monotonic()
    while True:
        batches = await follower.poll()
        if batches:
            heard = time.monotonic()
        elif time.monotonic() - heard > _PATIENCE_S:
            raise MissingError(
                f"Kafka at {settings.bootstrap_servers} has sent nothing for {_PATIENCE_S:g} s"
            )
        yield batches


def _in_force(listed: Mapping[str, Listed], value: bytes | None) -> tuple[Publication | None, str | None]:
    """The newest publication, and why it cannot be used."""
    if value is None:
        return None, None
    try:
        publication = publication_of(value)
    except ModelError as error:
        return None, str(error)
    model = listed.get(publication.version)
    if model is None:
        return None, f"model {shown(publication.version)} was put in force, and is not on the topic"
    return (publication, None) if model.refused is None else (None, model.refused)


def _listed(version: str, data: bytes, written: int) -> Listed:
    try:
        return Listed(written, read_version(data, version).card.data, None)
    except ModelError as error:
        return Listed(written, None, str(error))


async def _write(settings: Settings, records: list[tuple[bytes, bytes]] | list[tuple[bytes, None]]) -> None:
    topic = settings.topic(MODEL_CONFIG.name)
    try:
        async with AIOKafkaProducer(**settings.kafka_client_options(), acks="all") as producer:
            for key, value in records:
                await producer.send_and_wait(topic, value, key, partition=PARTITION)
    except (KafkaError, OSError) as error:
        raise broker_trouble(settings, error) from error


def _me() -> str:
    try:
        return getpass.getuser()[:_LONGEST_NAME]
    except (KeyError, OSError, ImportError):
        # A container may run with a number that has no name.
        return f"user {os.getuid()}"
