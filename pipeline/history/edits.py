"""Declared edits that make failed events valid. A file of edits is data: it names members and values, and no code.

    [[edit]]
    reason = "schema_violation"
    path = "user_age"
    steps = [{ op = "cast", path = "/user_age", to = "integer" }]

Paths of steps are JSON Pointers (RFC 6901).
"""

from copy import deepcopy
from math import isfinite
from typing import Annotated, Any, Final, Literal

import msgspec

from pipeline.errors import UsageError
from pipeline.evaluation.failed import FailedEvent
from pipeline.events.foreign import UnreadableError, read_text, read_toml

_Pointer = Annotated[str, msgspec.Meta(pattern=r"^(/([^~/]|~[01])*)+$")]


class _Step(msgspec.Struct, forbid_unknown_fields=True, tag_field="op"):
    path: _Pointer


class Set(_Step, tag="set"):
    """Give a member a value, whether it is there or not. The object that has it must be there."""

    value: Any


class Remove(_Step, tag="remove"):
    """Take a member away, if it is there."""


class Cast(_Step, tag="cast"):
    """Write a value as another type, where that loses nothing; else it stays."""

    to: Literal["string", "integer", "number", "boolean"]


class Rename(_Step, tag="rename"):
    """Give a member another name, if it is there and the name is free."""

    to: _Pointer


class Edit(msgspec.Struct, forbid_unknown_fields=True):
    """One edit: which failed events it is for, and what is done with them.

    Attributes:
        steps: in their order; none to publish the event as it is, for one that failed by an error of ours.
        reason: of the failed events.
        path: the path of one of their errors.
        app_version: that wrote them.
    """

    steps: list[Set | Remove | Cast | Rename]
    reason: str | None = None
    path: str | None = None
    app_version: str | None = None

    def matches(self, failed: FailedEvent) -> bool:
        """Whether the edit is for a failed event."""
        return (
            (self.reason is None or self.reason == failed.reason)
            and (self.app_version is None or self.app_version == failed.app_version)
            and (self.path is None or any(self.path == error.path for error in failed.errors))
        )


class Edits(msgspec.Struct, forbid_unknown_fields=True):
    """A file of edits. The first that matches an event is applied."""

    edit: Annotated[list[Edit], msgspec.Meta(min_length=1)]


def parse_edits(data: bytes, name: str) -> Edits:
    """The edits of a TOML file.

    Raises:
        UsageError: it is none. The message begins with `name`.
    """
    if len(data) > MAX_EDITS_BYTES:
        raise UsageError(
            f"{name}: has more than {MAX_EDITS_BYTES:,} bytes, which is too long for a file of edits"
        )
    try:
        return msgspec.convert(read_toml(read_text(data)), Edits)
    except (UnreadableError, msgspec.ValidationError) as error:
        raise UsageError(f"{name}: {error}") from None


def edited(document: dict[str, Any], edit: Edit) -> dict[str, Any]:
    """A document after an edit. The given one stays as it is."""
    found = deepcopy(document)
    for step in edit.steps:
        _apply(found, step)
    return found


def _apply(document: dict[str, Any], step: Set | Remove | Cast | Rename) -> None:
    holder, name = _holder(document, step.path)
    if holder is None:
        return
    match step:
        case Set():
            holder[name] = step.value
        case Remove():
            holder.pop(name, None)
        case Cast():
            if name in holder:
                holder[name] = _cast(holder[name], step.to)
        case Rename():
            target, new = _holder(document, step.to)
            if target is not None and name in holder and new not in target:
                target[new] = holder.pop(name)


def _holder(document: dict[str, Any], pointer: str) -> tuple[dict[str, Any] | None, str]:
    """The object that has, or would have, the member of a pointer; None where there is none. Arrays are not entered."""
    *way, name = [part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")]
    holder: Any = document
    for part in way:
        holder = holder.get(part) if isinstance(holder, dict) else None
    return (holder if isinstance(holder, dict) else None), name


MAX_EDITS_BYTES: Final = 1 << 20
_TYPES: Final = {"integer": int, "number": float, "boolean": bool}


def _cast(value: Any, to: str) -> Any:  # noqa: ANN401 - values of JSON
    """A value as another type; unchanged where that is not possible, or would lose something."""
    if to == "string":
        return msgspec.json.encode(value).decode() if isinstance(value, int | float) else value
    try:
        found: int | float | bool = msgspec.convert(value, _TYPES[to], strict=False)
    except msgspec.ValidationError:
        return value
    exact = not isinstance(found, float) or (
        isfinite(found) and (not isinstance(value, int) or found == value)
    )
    return found if exact else value
