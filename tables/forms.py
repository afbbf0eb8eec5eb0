"""The forms of all records in tables and on changelogs: what kind of record the bytes are, in which version.

Every value begins with two bytes, its kind and the version of its form. Both are persisted: a new form of a record gets
a new version, and a kind is never used twice. The module of each table says which forms it holds, under which keys.
"""

from enum import IntEnum
from typing import Any, Final, Generic, TypeVar

import msgspec

from pipeline.events.foreign import UnreadableError, packed_reader

V = TypeVar("V")

_encode: Final = msgspec.msgpack.Encoder().encode
_encode_sorted: Final = msgspec.msgpack.Encoder(order="deterministic").encode


class Kind(IntEnum):
    """The first byte of a value, a letter."""

    # users-v1: tables/risk.py
    USER = ord("U")
    PARTITION = ord("P")
    RECENT = ord("R")
    REQUESTS = ord("Q")
    RULES = ord("S")
    # titles-v1: tables/titles.py
    FIGURES = ord("F")
    TITLES_PARTITION = ord("T")
    SEEN = ord("X")
    # alerts-v1: tables/alerts.py
    ALERT = ord("A")
    ALERTS_TO_LOOK_AT = ord("B")
    ALERTS_CLOCK = ord("C")


class WireError(ValueError):
    """Bytes in a table that this version of the program cannot read."""

    def __init__(self, kind: str, value: bytes) -> None:
        super().__init__(
            f"a {kind} record begins with {value[:2].hex() or 'nothing'}, which this version cannot read; "
            "it was written by a newer version, or the table is not one of ours"
        )


class Form(Generic[V]):
    """The form of a record that is a msgspec struct: kind, version, and its fields as a MessagePack array.

    Args:
        kind: the first byte.
        version: the second byte.
        struct: the type of the values; it is `array_like`.
        name: of the record, in errors.
        sort_keys: write dictionaries in the order of their keys. Without it they keep their own order, which is then
            part of the value.
    """

    def __init__(
        self, kind: Kind, version: int, struct: type[V], name: str, *, sort_keys: bool = False
    ) -> None:
        self.head: Final = bytes((kind, version))
        self.struct: Final = struct
        self._name = name
        self._write = _encode_sorted if sort_keys else _encode
        self._read = packed_reader(struct)

    def encode(self, value: V) -> bytes:
        """The bytes of a value; the same for equal values."""
        return self.head + self._write(value)

    def decode(self, value: bytes) -> V:
        """The value of bytes that `encode` made.

        Raises:
            WireError: they are of another kind or version, or damaged.
        """
        if not value.startswith(self.head):
            raise WireError(self._name, value)
        try:
            return self._read(value[2:])
        except UnreadableError as error:
            raise WireError(self._name, value) from error


class Forms:
    """The codec of a table: finds the form of a value by its type, and the form of bytes by their head.

    Args:
        name: of a record of the table, in errors.
        forms: of all its records.
    """

    def __init__(self, name: str, *forms: Form[Any]) -> None:
        self._name = name
        self._by_type = {form.struct: form for form in forms}
        self._by_head = {form.head: form for form in forms}

    def encode(self, value: object) -> bytes:
        """The bytes of a value; the same for equal values."""
        return self._by_type[type(value)].encode(value)

    def decode(self, value: bytes) -> Any:  # noqa: ANN401 - one of the table's types
        """The value of bytes.

        Raises:
            WireError: they are not of a form that this program reads.
        """
        form = self._by_head.get(value[:2])
        if form is None:
            raise WireError(self._name, value)
        return form.decode(value)
