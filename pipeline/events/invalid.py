"""What makes a message invalid: the reason, the errors, and the opt-out that was lost with it."""

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
    """One error: the `path` of the field (empty for the whole message), a `message`, and its `type`."""

    path: str
    message: str
    type: str


class InvalidMessageError(Exception):
    """A message that ends as a failed event."""

    def __init__(self, reason: Reason, errors: list[ErrorDetail]) -> None:
        super().__init__(reason, errors)
        self.reason: Reason = reason
        self.errors = errors


def opt_out_not_recorded(path: str) -> ErrorDetail:
    """The entry that says that an opt-out was in the message and is not recorded."""
    return ErrorDetail(
        path,
        "the message asks for an opt-out or a deletion, which is NOT recorded; repair it and send it again",
        "opt_out_not_recorded",
    )


def lost_opt_out(parsed: object, on_request_topic: bool) -> list[ErrorDetail]:
    """The entry for an opt-out in an invalid message, as a list of at most one.

    Args:
        parsed: the message as JSON gave it, whatever it is.
        on_request_topic: whether it came as a privacy request; elsewhere it has to call itself one.
    """
    if not isinstance(parsed, dict):
        return []
    for signal in OPT_OUT_SIGNALS:
        value = parsed.get(signal)
        # 0 == False in Python, and neither false nor null in JSON.
        if value is not None and value is not False:
            return [opt_out_not_recorded(signal)]
    kind = parsed.get("type")
    is_request = on_request_topic or parsed.get("schema") == REQUEST_SCHEMA
    if is_request and isinstance(kind, str) and kind in LOSABLE_REQUESTS:
        return [opt_out_not_recorded("type")]
    return []
