"""Failed events, our dead letters: everything needed to repair and replay an invalid message.

A failed event is never larger than `MAX_BYTES`. The message may be larger than that, because compressed records can
expand far beyond what brokers take, and JSON may need six bytes for one. Then the failed event has only its beginning,
with the length and digest of the whole message, which can be read where `source` says.
"""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b, sha256
from typing import Final

import msgspec

from pipeline.evaluation.source import Source
from pipeline.events.invalid import ErrorDetail, Reason

FAILED_SCHEMA: Final = "failed-event/1"

MAX_BYTES: Final = 950_000
"""Leaves room for the key and the record's overhead below 1 MiB, the brokers' default limit."""
_LONGEST_CHARACTER: Final = 4
"""Bytes, in UTF-8."""
BEGINNING: Final = 65_536
"""The number of bytes that are kept of a message that does not fit. A valid message is not longer."""


class FailedSource(msgspec.Struct):
    """The record that the message was read from."""

    topic: str | None
    partition: int
    offset: int
    timestamp: int | None
    key: str | None


class FailedError(msgspec.Struct):
    """One thing that is wrong with the message."""

    path: str
    message: str
    type: str


class FailedEvent(msgspec.Struct):
    """A failed event; the fields in the order of the published JSON.

    `payload_bytes` and `payload_sha256` describe the whole message. They are absent where `payload` has all of it.
    """

    schema: str
    failure_id: str
    reason: Reason
    errors: list[FailedError]
    source: FailedSource
    payload: str
    payload_encoding: str
    event_schema: str
    app_version: str
    payload_bytes: int | msgspec.UnsetType = msgspec.UNSET
    payload_sha256: str | msgspec.UnsetType = msgspec.UNSET


def failed_event(
    reason: Reason,
    errors: Sequence[ErrorDetail],
    source: Source,
    value: bytes | None,
    event_schema: str,
    app_version: str,
) -> bytes:
    """The value of a record of `failed-events`. `ott judge` reads it as an envelope around the message."""
    payload = value or b""
    event = FailedEvent(
        FAILED_SCHEMA,
        blake2b(msgspec.msgpack.encode(source), digest_size=16).hexdigest(),
        reason,
        [FailedError(*error) for error in errors],
        FailedSource(*source),
        "",
        "utf-8",
        event_schema,
        app_version,
    )
    if len(payload) <= MAX_BYTES:
        for event.payload, event.payload_encoding in _forms(payload):
            whole = msgspec.json.encode(event)
            if len(whole) <= MAX_BYTES:
                return whole
    event.payload_bytes, event.payload_sha256 = len(payload), sha256(payload).hexdigest()
    event.payload, event.payload_encoding = next(_forms(_beginning(payload)))
    return msgspec.json.encode(event)


def _forms(payload: bytes) -> Iterator[tuple[str, str]]:
    """The payload as text, with the name of its encoding: first as UTF-8 where it is that, then as base64."""
    with suppress(UnicodeDecodeError):
        yield payload.decode("utf-8"), "utf-8"
    yield b64encode(payload).decode("ascii"), "base64"


def _beginning(payload: bytes) -> bytes:
    """The first bytes. A character that would be cut in two is left out."""
    cut = BEGINNING
    while cut > BEGINNING - _LONGEST_CHARACTER and payload[cut : cut + 1] and payload[cut] & 0xC0 == 0x80:  # noqa: PLR2004 - bytes 10xxxxxx continue a character
        cut -= 1
    return payload[:cut]
