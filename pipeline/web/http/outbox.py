"""Writes records of the web views to Kafka. A record is acknowledged by all in-sync replicas, or the request fails."""

from __future__ import annotations

import asyncio
import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from pipeline.delivery.clients import stop_producer
from pipeline.delivery.state.outputs import MAX_OUTPUT_BYTES, Output
from pipeline.web.http.problems import Problem, unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiokafka.structs import RecordMetadata

    from pipeline.delivery.partitioner import Partitioner

_REQUEST_TIMEOUT_MS: Final = 5_000
_GIVE_UP_S: Final = 8.0
_TRY_AGAIN_S: Final = 2.0
_MAX_REQUEST_BYTES: Final = 8 << 20
_AT_A_TIME: Final = 100
_LOG_APPEND_TIME: Final = 1
_CLOCKS_DIFFER_S: Final = 600.0
_LOG: Final = logging.getLogger(__name__)


class Written(NamedTuple):
    """Where a record was written."""

    partition: int
    offset: int


class Outbox:
    """One producer for all views, started when a view first writes.

    Args:
        client_options: bootstrap servers and security, as aiokafka names them.
        partitioners: by topic; each uses murmur2 of the key, as Kafka's own clients do.
    """

    def __init__(self, client_options: Mapping[str, Any], partitioners: Mapping[str, Partitioner]) -> None:
        self._options = dict(client_options)
        self._partitioners = partitioners
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._failed_at = float("-inf")
        self._closed = False

    async def write(self, topic: str, key: bytes | None, value: bytes | None) -> Written:
        """Write a record, and wait until the brokers acknowledge it.

        Args:
            topic: its full name.
            key: of the message.
            value: of the message; None for a tombstone.

        Raises:
            Problem: the brokers do not acknowledge it in time; it may be written nevertheless.
        """
        return (await self.write_all(topic, [(key, value)]))[0]

    async def write_all(
        self, topic: str, records: Sequence[tuple[bytes | None, bytes | None]]
    ) -> list[Written]:
        """Write records, and wait until the brokers acknowledge all of them.

        Args:
            topic: its full name.
            records: keys and values.

        Raises:
            Problem: a record is too large, and nothing was written. Or the brokers do not acknowledge all records in
                time; some or all of them may be written nevertheless.
        """
        for key, value in records:
            size = Output(topic, key, value).size
            if size > MAX_OUTPUT_BYTES:
                raise Problem(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    f"a record of {topic} would take {size} bytes; {MAX_OUTPUT_BYTES} are allowed",
                )
        partition_of = self._partitioners[topic]
        try:
            async with asyncio.timeout(_GIVE_UP_S):
                producer = await self._started()
                acknowledgements = []
                for number, (key, value) in enumerate(records, 1):
                    partition = 0 if key is None else partition_of(key)
                    acknowledgements.append(await producer.send(topic, value, key, partition=partition))
                    if number % _AT_A_TIME == 0:
                        # `send` does not wait while its buffer has room, so many records would block the event loop.
                        await asyncio.sleep(0)
                places = await asyncio.gather(*acknowledgements)
        except (KafkaError, TimeoutError, OSError) as error:
            _LOG.warning("nothing can be written to %s: %s", topic, str(error) or type(error).__name__)
            raise unavailable(
                f"the brokers have not acknowledged it ({type(error).__name__}); send it again"
            ) from None
        _compare_clocks(places[-1], time.time())
        return [Written(place.partition, place.offset) for place in places]

    async def _started(self) -> AIOKafkaProducer:
        """The producer.

        Raises:
            KafkaError: no broker answers, or none did a moment ago.
        """
        async with self._starting:
            if self._producer is not None:
                return self._producer
            if self._closed:
                raise KafkaError("the worker is stopping")
            if time.monotonic() - self._failed_at < _TRY_AGAIN_S:
                raise KafkaError("no broker answered a moment ago")
            producer = AIOKafkaProducer(
                **self._options,
                acks="all",
                linger_ms=0,
                request_timeout_ms=_REQUEST_TIMEOUT_MS,
                max_request_size=_MAX_REQUEST_BYTES,
            )
            try:
                await producer.start()
            except BaseException:
                self._failed_at = time.monotonic()
                await stop_producer(producer)
                raise
            self._producer = producer
            return producer

    async def close(self, *_: object) -> None:
        """Finish the writes in flight, within seconds, and accept no more."""
        self._closed = True
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop_producer(producer)


def _compare_clocks(place: RecordMetadata, now: float) -> None:
    """Warn if the broker's timestamp of a new record differs from this machine's clock by minutes."""
    if place.timestamp_type != _LOG_APPEND_TIME or place.timestamp is None:
        return
    ahead = now - place.timestamp / 1000
    if abs(ahead) > _CLOCKS_DIFFER_S:
        _LOG.warning(
            "the clock of this worker is %.0f s %s that of the Kafka broker; set both by NTP: tokens, certificates "
            "and times in answers go by this one, judging goes by the broker's",
            abs(ahead),
            "ahead of" if ahead > 0 else "behind",
        )
