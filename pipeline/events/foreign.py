"""Reading bytes that somebody else wrote.

Every reader of a topic, a request or a file that others can write goes through this module. Whatever the bytes are
(nesting, size, types, encoding), a reader either gives a value or raises `UnreadableError`. The parsers by themselves
do not keep that promise: besides their own errors they raise UnicodeDecodeError, OverflowError, and RecursionError,
which is no ValueError and ended workers.
"""

import reprlib
import tomllib
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from pipeline.events import strict_json
from pipeline.events.strict_json import MAX_DEPTH

T = TypeVar("T")

UNREADABLE: Final = (ValueError, RecursionError, OverflowError)
"""What a parser raises on bytes that it cannot read (msgspec's, pydantic's and tomllib's errors are ValueErrors)."""

MAX_TOML_DOTS: Final = 100
"""The dots in one line of TOML. The parser needs quadratic time for a key of very many parts."""

_SHOWN: Final = 200


class UnreadableError(ValueError):
    """These bytes are not what they should be; the message says why, in a bounded length."""


def json_reader(kind: type[T]) -> Callable[[bytes | None], T]:
    """A reader of JSON documents of a type.

    Documents that are nested deeper than the contract allows are refused also where the type ignores the member,
    because other readers of the same bytes have lower limits.
    """
    decode = msgspec.json.Decoder(kind).decode

    def read(data: bytes | None) -> T:
        value = b"" if data is None else data
        try:
            found = decode(value)
            if value.count(b"[") + value.count(b"{") > MAX_DEPTH:
                _check_depth(value)
        except UNREADABLE as error:
            raise UnreadableError(shortened(str(error))) from None
        return found

    return read


def packed_reader(kind: type[T]) -> Callable[[bytes], T]:
    """A reader of MessagePack of a type."""
    decode = msgspec.msgpack.Decoder(kind).decode

    def read(data: bytes) -> T:
        try:
            return decode(data)
        except UNREADABLE as error:
            raise UnreadableError(shortened(str(error))) from None

    return read


def read_object(data: bytes | None) -> dict[str, Any]:
    """A JSON object of any members, by the strict rules of the event contract.

    Raises:
        UnreadableError: it is none.
    """
    try:
        reading = strict_json.read_json(data or b"")
    except UNREADABLE as error:
        raise UnreadableError(shortened(str(error))) from None
    if reading.violation is not None:
        raise UnreadableError(reading.violation.message)
    if not isinstance(reading.value, dict):
        raise UnreadableError("is not a JSON object")
    return reading.value


def read_text(data: bytes) -> str:
    """Text in UTF-8.

    Raises:
        UnreadableError: it is none.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"is not UTF-8 at byte {error.start}") from None


def read_toml(text: str) -> dict[str, Any]:
    """A TOML document.

    Raises:
        UnreadableError: it is none.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > MAX_TOML_DOTS and not line.lstrip().startswith("#"):
            raise UnreadableError(f"line {number} has more than {MAX_TOML_DOTS} dots")
    try:
        return tomllib.loads(text)
    except UNREADABLE as error:
        raise UnreadableError(shortened(str(error))) from None


def shortened(text: str, length: int = _SHOWN) -> str:
    """The text, or its beginning; for messages about what others wrote."""
    return text if len(text) <= length else f"{text[:length]}..."


_repr: Final = reprlib.Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = _SHOWN


def shown(value: object) -> str:
    """A value for a message: its repr in a bounded length and depth."""
    if isinstance(value, int) and value.bit_length() > _SHOWN:
        # Python refuses to write very long integers.
        return f"an integer of {value.bit_length()} bits"
    return shortened(_repr.repr(value))


def _check_depth(value: bytes) -> None:
    if strict_json.depth(value.decode("utf-8")) > MAX_DEPTH:
        raise UnreadableError(f"is nested deeper than {MAX_DEPTH} levels")
