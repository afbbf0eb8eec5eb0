"""Where a record came from."""

from typing import Final, NamedTuple

FUTURE_MS: Final = 300_000
"""An event time may run ahead of its record's timestamp by so much: clocks of televisions are not exact."""


class Source(NamedTuple):
    """The place of a record.

    `topic` is None for a line of a file; `timestamp` is Kafka's in milliseconds, None where there is none; `key`
    is the key as text.
    """

    topic: str | None
    partition: int
    offset: int
    timestamp: int | None
    key: str | None


def key_text(key: bytes | None) -> str | None:
    """A record's key as text; bytes that are not UTF-8 are shown escaped, so that the text can be encoded."""
    return None if key is None else key.decode("utf-8", errors="backslashreplace")
