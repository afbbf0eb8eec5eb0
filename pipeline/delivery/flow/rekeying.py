"""Records in the wrong partition: forwarding them once, together with their origin.

A key's state is in the key's partition. A producer without keys, or with another partitioner, writes a record
elsewhere. Such a record is forwarded unchanged to the right partition of a co-partitioned topic. Its headers contain
its origin, with a proof that a worker wrote them. The origin is used wherever topic, partition, offset or timestamp of
the record matter.
"""

from __future__ import annotations

import logging
from collections import Counter
from hashlib import blake2b
from hmac import compare_digest
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from pipeline.delivery.state.outputs import MAX_OUTPUT_BYTES, Headers, Output

if TYPE_CHECKING:
    from pipeline.delivery.metrics import Metrics

_log = logging.getLogger(__name__)
_WARN_AGAIN_FACTOR: Final = 10
"""The next warning comes after this many times as many records."""

TOPIC: Final = "origin-topic"
PARTITION: Final = "origin-partition"
OFFSET: Final = "origin-offset"
TIMESTAMP: Final = "origin-timestamp"
PROOF: Final = "origin-proof"
_NAMES: Final = frozenset((TOPIC, PARTITION, OFFSET, TIMESTAMP, PROOF))
_LONGEST_TOPIC: Final = 249
"""Kafka's limit for the length of a topic name."""


class SourceRecord(Protocol):
    """The attributes of a consumed record that are used; aiokafka's ConsumerRecord has them."""

    @property
    def topic(self) -> str: ...  # noqa: D102 - Kafka's own terms
    @property
    def partition(self) -> int: ...  # noqa: D102
    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def timestamp(self) -> int: ...  # noqa: D102
    @property
    def timestamp_type(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Headers: ...  # noqa: D102


class Origin(NamedTuple):
    """Where a record was first written. `timestamp` is in milliseconds, -1 for none."""

    topic: str
    partition: int
    offset: int
    timestamp: int


class Origins:
    """Finds out where records were first written, and forwards them with a proof of it.

    Anybody who may write to a topic can set headers. So a forwarded record has a keyed hash (MAC) over its origin, key
    and value among its headers. Only an origin with a valid hash counts, whatever topic the record is on. All workers
    of an application share the key.

    Args:
        key: of the application; 16 to 64 bytes.
        metrics: of the worker.
        accept_unproven: whether origins without a proof count, too. This is for the time in which workers of a
            version that wrote no proof are still running.
    """

    def __init__(self, key: bytes, metrics: Metrics, *, accept_unproven: bool = False) -> None:
        self._key = key
        self._metrics = metrics
        self._accept_unproven = accept_unproven

    def of(self, record: SourceRecord) -> Origin:
        """Where a record was first written: the proven origin if it was forwarded, else its own place."""
        if record.headers:
            found = {name: value for name, value in record.headers if name in _NAMES}
            if found:
                origin = self._proven(record, found)
                if origin is not None:
                    return origin
                self._count_unproven(record)
        return Origin(record.topic, record.partition, record.offset, record.timestamp)

    def forward(self, record: SourceRecord, origin: Origin, topic: str, partition: int) -> Output:
        """The record, unchanged, for another partition, with its headers and its origin.

        If the producer's headers would make it larger than the brokers accept, they are left out.

        Args:
            record: as it was read.
            origin: where it was first written.
            topic: the co-partitioned topic for such records.
            partition: where the record's key belongs.
        """
        ours = [
            (TOPIC, origin.topic.encode()),
            (PARTITION, b"%d" % origin.partition),
            (OFFSET, b"%d" % origin.offset),
            (TIMESTAMP, b"%d" % origin.timestamp),
            (PROOF, self._proof(origin, record)),
        ]
        foreign = [header for header in record.headers or () if header[0] not in _NAMES]
        output = Output(topic, record.key, record.value, [*foreign, *ours], partition)
        return output if output.size <= MAX_OUTPUT_BYTES else output._replace(headers=ours)

    def _proven(self, record: SourceRecord, found: dict[str, bytes]) -> Origin | None:
        try:
            origin = Origin(
                found[TOPIC].decode(),
                int(found[PARTITION]),
                int(found[OFFSET]),
                int(found[TIMESTAMP]),
            )
        except (KeyError, ValueError, TypeError, AttributeError):
            return None
        proof = found.get(PROOF)
        if proof is None:
            return origin if self._accept_unproven and _is_place(origin) else None
        return origin if compare_digest(proof, self._proof(origin, record)) else None

    def _proof(self, origin: Origin, record: SourceRecord) -> bytes:
        digest = blake2b(key=self._key, person=b"ott.origin", digest_size=16)
        place = b"%d %d %d" % (origin.partition, origin.offset, origin.timestamp)
        for part in (origin.topic.encode(), place, record.key, record.value):
            # The length comes first, so that no other split of the parts gives the same bytes. -1 stands for null.
            digest.update(b"%d " % (-1 if part is None else len(part)))
            digest.update(part or b"")
        return digest.digest()

    def _count_unproven(self, record: SourceRecord) -> None:
        number = self._metrics.unproven_origins = self._metrics.unproven_origins + 1
        if number.bit_count() == 1:  # 1, 2, 4, 8 ...
            _log.warning(
                "%s/%d offset %d names an origin that no worker of this application proved (%d records so far): it "
                "is ignored; see SECURITY.md, who may write to which topic",
                record.topic,
                record.partition,
                record.offset,
                number,
            )


def _is_place(origin: Origin) -> bool:
    return (
        0 <= origin.partition < 1 << 31
        and 0 <= origin.offset < 1 << 63
        and -1 <= origin.timestamp < 1 << 63
        and len(origin.topic) <= _LONGEST_TOPIC
    )


class Misplaced:
    """Counts forwarded records and warns about them: at once, and then at ten times the count of the last warning.

    Args:
        metrics: of the worker.
        key: what producers must use as the key, in words.
    """

    def __init__(self, metrics: Metrics, key: str) -> None:
        self._rekeyed = metrics.rekeyed
        self._key = key
        self._warn_at: Counter[str] = Counter()

    def count(self, topic: str, records: int) -> None:
        """Count records of a topic that were in the wrong partition."""
        self._rekeyed[topic] += records
        total = self._rekeyed[topic]
        if total > self._warn_at[topic]:
            self._warn_at[topic] = total * _WARN_AGAIN_FACTOR
            _log.warning(
                "%s: %s records so far were in the wrong partition, and were forwarded: each is delivered twice, "
                "and not in order with others; producers must send the %s as the key, and partition by its murmur2 "
                "(librdkafka: partitioner=murmur2_random)",
                topic,
                f"{total:,}",
                self._key,
            )
