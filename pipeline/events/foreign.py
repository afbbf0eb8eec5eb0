"""Reading bytes that somebody else wrote.

Every reader of a topic, a request or a file that others can write goes through this module. Whatever the bytes are
(nesting, size, types, encoding), a reader either returns a value or raises `UnreadableError`. The parsers alone do not
keep that promise: they also raise UnicodeDecodeError, OverflowError and RecursionError. The last is no ValueError, and
once ended workers.
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
"""The errors of parsers on bytes that they cannot read. Those of msgspec, pydantic and tomllib are ValueErrors."""

MAX_TOML_DOTS: Final = 100
"""The most dots in one line of TOML. The parser takes quadratic time for a key with very many parts."""

_SHOWN: Final = 200


class UnreadableError(ValueError):
    """Bytes that cannot be read. The message says why and has a bounded length."""


def json_reader(kind: type[T]) -> Callable[[bytes | None], T]:
    """A reader of JSON documents of a type. It raises UnreadableError.

    It also refuses documents that are nested deeper than the contract allows in members that the type ignores, because
    other readers of the same bytes have lower limits.
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
    """A reader of MessagePack of a type. It raises UnreadableError."""
    decode = msgspec.msgpack.Decoder(kind).decode

    def read(data: bytes) -> T:
        try:
            return decode(data)
        except UNREADABLE as error:
            raise UnreadableError(shortened(str(error))) from None

    return read


def read_object(data: bytes | None) -> dict[str, Any]:
    """Read a JSON object with any members, by the strict rules of the event contract.

    Raises:
        UnreadableError: the data is no such object.
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
    """Read text in UTF-8.

    Raises:
        UnreadableError: the data is not UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"is not UTF-8 at byte {error.start}") from None


def read_toml(text: str) -> dict[str, Any]:
    """Read a TOML document.

    Raises:
        UnreadableError: the text is no TOML.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > MAX_TOML_DOTS and not line.lstrip().startswith("#"):
            raise UnreadableError(f"line {number} has more than {MAX_TOML_DOTS} dots")
    try:
        return tomllib.loads(text)
    except UNREADABLE as error:
        raise UnreadableError(shortened(str(error))) from None


def shortened(text: str, length: int = _SHOWN) -> str:
    """The text, cut to a length. Use it in messages about what others wrote."""
    return text if len(text) <= length else f"{text[:length]}..."


_repr: Final = reprlib.Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = _SHOWN


def shown(value: object) -> str:
    """The repr of a value, in a bounded length and depth. Use it in messages about what others wrote."""
    if isinstance(value, int) and value.bit_length() > _SHOWN:
        # Python refuses to convert very long integers to text.
        return f"an integer of {value.bit_length()} bits"
    return shortened(_repr.repr(value))


def _check_depth(value: bytes) -> None:
    if strict_json.depth(value.decode("utf-8")) > MAX_DEPTH:
        raise UnreadableError(f"is nested deeper than {MAX_DEPTH} levels")
