"""The records that a handler publishes."""

from collections.abc import Sequence
from typing import Final, NamedTuple

MAX_OUTPUT_BYTES: Final = 1_000_000
"""Limit of one published record: key, value and headers. By default brokers accept 1,048,588 bytes with the framing."""

Headers = Sequence[tuple[str, bytes]]


class Output(NamedTuple):
    """One record to publish. Readers see it after the commit that contains its source record.

    Without a `partition`, the murmur2 of the key decides; a record without a key goes to partition 0.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers | None = None
    partition: int | None = None

    @property
    def size(self) -> int:
        """Its approximate size in a record batch, in bytes."""
        size = 32 + len(self.topic)
        if self.key is not None:
            size += len(self.key)
        if self.value is not None:
            size += len(self.value)
        if self.headers:
            size += sum(len(name) + len(value) + 4 for name, value in self.headers)
        return size
