"""Records as the evaluation takes them, and the source that outputs name."""

from typing import Final, NamedTuple, Protocol

FUTURE_MS: Final = 300_000
"""How far an event time may be ahead of its record's timestamp. The clocks of televisions are not exact."""


class Record(Protocol):
    """A record as Kafka clients give it."""

    @property
    def topic(self) -> str | None:
        """The topic, or None for a line of a file."""
        ...

    @property
    def partition(self) -> int:
        """The partition of the topic."""
        ...

    @property
    def offset(self) -> int:
        """The offset in the partition."""
        ...

    @property
    def timestamp(self) -> int:
        """Kafka's timestamp in milliseconds; negative for none."""
        ...

    @property
    def key(self) -> bytes | None:
        """The key as it was sent."""
        ...

    @property
    def value(self) -> bytes | None:
        """The value as it was sent."""
        ...


class PlainRecord(NamedTuple):
    """A record that no Kafka client gave: a line of a file, or a re-keyed record as it was where it came from."""

    topic: str | None
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


NO_TIMESTAMP: Final = -1


class Source(NamedTuple):
    """Topic, partition and offset of a record, as outputs show them; `timestamp` is None where there is none."""

    topic: str | None
    partition: int
    offset: int
    timestamp: int | None
    key: str | None


MAX_KEY_BYTES: Final = 1_024
"""The longest user id has fewer bytes. Outputs have only the beginning of a longer key."""


def bounded_key(key: bytes | None) -> bytes | None:
    """The key of a record, cut to `MAX_KEY_BYTES` for outputs. Producers can send keys of any length."""
    return key if key is None or len(key) <= MAX_KEY_BYTES else key[:MAX_KEY_BYTES]


def source_of(record: Record) -> Source:
    """The source of a record. Bytes of the key that are not UTF-8 are escaped."""
    key, timestamp = bounded_key(record.key), record.timestamp
    return Source(
        record.topic,
        record.partition,
        record.offset,
        timestamp if timestamp >= 0 else None,
        None if key is None else key.decode("utf-8", errors="backslashreplace"),
    )
