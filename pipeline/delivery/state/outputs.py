"""What a handler publishes."""

from collections.abc import Sequence
from typing import Final, NamedTuple

MAX_OUTPUT_BYTES: Final = 1_000_000
"""Of one record that is published: key, value and headers. Brokers take 1,048,588 bytes with the framing by default."""

Headers = Sequence[tuple[str, bytes]]


class Output(NamedTuple):
    """One record to publish; it becomes visible with the commit that covers its source record.

    `partition` None: that of the key by murmur2 (partition 0 for a record without a key).
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers | None = None
    partition: int | None = None

    @property
    def size(self) -> int:
        """About what it takes in a record batch, in bytes."""
        size = 32 + len(self.topic)
        if self.key is not None:
            size += len(self.key)
        if self.value is not None:
            size += len(self.value)
        if self.headers:
            size += sum(len(name) + len(value) + 4 for name, value in self.headers)
        return size
