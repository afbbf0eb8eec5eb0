"""The failures that the evaluation itself finds, each with the message that its failed event shows."""

import traceback
from typing import Final

from pipeline.evaluation.source import FUTURE_MS
from pipeline.events import strict_json
from pipeline.events.event import Event
from pipeline.events.invalid import ErrorDetail, InvalidMessageError, lost_opt_out, opt_out_not_recorded

_REPAIR_BATCH: Final = (
    "none of them is judged, and an opt-out in them is NOT recorded; read them with another client while the topic "
    "keeps them, and send them again"
)


def future_timestamp(time: int, timestamp: int) -> InvalidMessageError:
    """The event time is too far ahead of the record's timestamp.

    It is never compared with the wall clock, so that a replay decides in the same way.
    """
    message = (
        f"lies {(time - timestamp) / 1000:.3f} s after the record's timestamp; "
        f"at most {FUTURE_MS // 1000} s are allowed"
    )
    return InvalidMessageError("future_timestamp", [ErrorDetail("timestamp", message, "future_timestamp")])


def duplicate_id_conflict(event: Event) -> InvalidMessageError:
    """The event's id stands in the user's window with other content."""
    message = f"event_id {event.event_id!r} stands in the user's window with other content; the first stays"
    return InvalidMessageError(
        "duplicate_id_conflict", [ErrorDetail("event_id", message, "duplicate_id_conflict")]
    )


def unreadable_batch(message: str) -> InvalidMessageError:
    """A batch of records cannot be read; `message` says which offsets, and what is wrong with them."""
    error = ErrorDetail("", f"{message}; {_REPAIR_BATCH}", "unreadable_batch")
    return InvalidMessageError("unreadable_batch", [error])


def processing_error(error: Exception) -> InvalidMessageError:
    """Our own code failed. The message names the error and the line, never a value from the record."""
    frames = traceback.extract_tb(error.__traceback__)
    # An error that was never raised has no frames.
    line = "".join(f" at {at.filename.rpartition('/')[2]}:{at.lineno} in {at.name}" for at in frames[-1:])
    message = f"{type(error).__name__}{line}"
    return InvalidMessageError("processing_error", [ErrorDetail("", message, "processing_error")])


def opt_out_lost_with(value: bytes | None, *, on_request_topic: bool) -> list[ErrorDetail]:
    """The entry for an opt-out in a message that did not fail in the decoder, as a list of at most one.

    It never raises. If reading the message is what our code fails on, a message on the topic of privacy requests counts
    as one that may have asked for a deletion.
    """
    try:
        parsed = strict_json.read_json(value or b"").value
    except Exception:  # noqa: BLE001 - this makes the failed event for whatever our code failed on
        return [opt_out_not_recorded("")] if on_request_topic else []
    return lost_opt_out(parsed, on_request_topic)
