"""Records in the wrong partition: forwarding them once, with where they came from.

State lives where a key's partition is. A record that a producer wrote elsewhere (no key, or another partitioner) is
sent on, unchanged, to the right partition of a co-partitioned topic; headers keep its origin, which counts everywhere.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from pipeline.delivery.outputs import Header, Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.delivery.metrics import Metrics

_log = logging.getLogger(__name__)
_TELL_AGAIN_AFTER: Final = 10
"""Times as many."""

TOPIC: Final = "origin-topic"
PARTITION: Final = "origin-partition"
OFFSET: Final = "origin-offset"
TIMESTAMP: Final = "origin-timestamp"
_NAMES: Final = frozenset((TOPIC, PARTITION, OFFSET, TIMESTAMP))


class SourceRecord(Protocol):
    """What is read of a consumed record (aiokafka's ConsumerRecord has it)."""

    @property
    def topic(self) -> str: ...  # noqa: D102 - Kafka's own words
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
    def headers(self) -> Sequence[Header]: ...  # noqa: D102


class Origin(NamedTuple):
    """Where a record was first written; `timestamp` in milliseconds, -1 for none."""

    topic: str
    partition: int
    offset: int
    timestamp: int


def origin_of(record: SourceRecord) -> Origin:
    """Where a record was first written: its own place, or that in the headers of a forwarded one.

    Headers that are incomplete or no numbers (not ours) count as absent.
    """
    if record.headers:
        found = {name: value for name, value in record.headers if name in _NAMES}
        if len(found) == len(_NAMES):
            try:
                return Origin(
                    found[TOPIC].decode(),
                    int(found[PARTITION]),
                    int(found[OFFSET]),
                    int(found[TIMESTAMP]),
                )
            except (ValueError, AttributeError):
                pass
    return Origin(record.topic, record.partition, record.offset, record.timestamp)


def forwarded(record: SourceRecord, topic: str, partition: int) -> Output:
    """The record, unchanged, for another partition; its headers and where it was first written go with it.

    Args:
        record: what was read.
        topic: the co-partitioned topic for such records.
        partition: where the record's key belongs.
    """
    origin = origin_of(record)
    headers = [header for header in record.headers or () if header[0] not in _NAMES]
    headers += [
        (TOPIC, origin.topic.encode()),
        (PARTITION, b"%d" % origin.partition),
        (OFFSET, b"%d" % origin.offset),
        (TIMESTAMP, b"%d" % origin.timestamp),
    ]
    return Output(topic, record.key, record.value, headers, partition)


class Misplaced:
    """Counts records that had to be forwarded, and tells about them: at once, and then ever more rarely.

    Args:
        metrics: of the worker.
        key: what the key of a record must be, in words.
    """

    def __init__(self, metrics: Metrics, key: str) -> None:
        self._rekeyed = metrics.rekeyed
        self._key = key
        self._tell_at: Counter[str] = Counter()

    def count(self, topic: str, records: int) -> None:
        """So many records of a topic were in the wrong partition."""
        self._rekeyed[topic] += records
        total = self._rekeyed[topic]
        if total > self._tell_at[topic]:
            self._tell_at[topic] = total * _TELL_AGAIN_AFTER
            _log.warning(
                "%s: %s records so far were in the wrong partition, and were forwarded: each is delivered twice, "
                "and not in order with others; producers must send the %s as the key, and partition by its murmur2 "
                "(librdkafka: partitioner=murmur2_random)",
                topic,
                f"{total:,}",
                self._key,
            )
