"""Why a message is invalid: the reason, the errors, and whether an opt-out is lost with it."""

from typing import Final, Literal, NamedTuple

from pipeline.events.event import LOSABLE_REQUESTS
from pipeline.events.model import REQUEST_SCHEMA

Reason = Literal[
    "too_large",
    "not_json",
    "schema_violation",
    "future_timestamp",
    "duplicate_id_conflict",
    "processing_error",
    "unreadable_batch",
]

OPT_OUT_SIGNALS: Final = ("do_not_track", "gpc", "deletion_requested")


class ErrorDetail(NamedTuple):
    """One error: the `path` of the field (empty for the whole message), a `message`, and the error's `type`."""

    path: str
    message: str
    type: str


class InvalidMessageError(Exception):
    """A message that becomes a failed event."""

    def __init__(self, reason: Reason, errors: list[ErrorDetail]) -> None:
        super().__init__(reason, errors)
        self.reason: Reason = reason
        self.errors = errors


def opt_out_not_recorded(path: str) -> ErrorDetail:
    """The entry that warns that the message asks for an opt-out, which is not recorded."""
    return ErrorDetail(
        path,
        "the message asks for an opt-out or a deletion, which is NOT recorded; repair it and send it again",
        "opt_out_not_recorded",
    )


def lost_opt_out(parsed: object, on_request_topic: bool) -> list[ErrorDetail]:
    """The entry for an opt-out in an invalid message, as a list of at most one.

    Args:
        parsed: the message as the JSON parser gave it. It may have any type.
        on_request_topic: whether it is on the topic of privacy requests. Elsewhere it is a request only if its schema
            says so.
    """
    if not isinstance(parsed, dict):
        return []
    for signal in OPT_OUT_SIGNALS:
        value = parsed.get(signal)
        # Compare by identity: 0 == False in Python, but 0 in JSON is neither false nor null.
        if value is not None and value is not False:
            return [opt_out_not_recorded(signal)]
    kind = parsed.get("type")
    is_request = on_request_topic or parsed.get("schema") == REQUEST_SCHEMA
    if is_request and isinstance(kind, str) and kind in LOSABLE_REQUESTS:
        return [opt_out_not_recorded("type")]
    return []
