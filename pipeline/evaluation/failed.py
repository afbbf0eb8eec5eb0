"""Failed events: everything needed to repair and replay an invalid message."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from pipeline.evaluation.source import Source
from pipeline.events.invalid import ErrorDetail, Reason

FAILED_SCHEMA: Final = "failed-event/1"


class FailedSource(msgspec.Struct):
    """Where the message came from."""

    topic: str | None
    partition: int
    offset: int
    timestamp: int | None
    key: str | None


class FailedError(msgspec.Struct):
    """One thing that is wrong with it."""

    path: str
    message: str
    type: str


class FailedEvent(msgspec.Struct):
    """A failed event; the fields in the order of the published JSON."""

    schema: str
    failure_id: str
    reason: Reason
    errors: list[FailedError]
    source: FailedSource
    payload: str
    payload_encoding: str
    event_schema: str
    app_version: str


def failed_event(
    reason: Reason,
    errors: Sequence[ErrorDetail],
    source: Source,
    value: bytes | None,
    event_schema: str,
    app_version: str,
) -> bytes:
    """The value of a record of `failed-events`: JSON that can be given to the evaluation again as it is."""
    payload = value or b""
    try:
        text, encoding = payload.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        text, encoding = b64encode(payload).decode("ascii"), "base64"
    return msgspec.json.encode(
        FailedEvent(
            FAILED_SCHEMA,
            blake2b(msgspec.msgpack.encode(source), digest_size=16).hexdigest(),
            reason,
            [FailedError(*error) for error in errors],
            FailedSource(*source),
            text,
            encoding,
            event_schema,
            app_version,
        )
    )
