"""The forms of all records in tables and on changelogs. Start here to find the form of persisted bytes.

Every value begins with two bytes: its kind and the version of its form. Both are persisted: a new form of a record gets
a new version, and a kind is never used twice. The rest of the value is a MessagePack array. `Kind` says for each first
byte which struct the array holds; the module of the table says under which key.
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

    # "H" is taken: chunks on the topic health-partials begin with it (pipeline/titles/chunks.py).
    # Table users-v1, see tables/risk.py:
    USER = ord(
        "U"
    )  # pipeline/windows/user.py: UserState; the only form that is not the struct itself: tables/users.py
    PARTITION = ord("P")  # pipeline/evaluation/batch.py: PartitionState
    RECENT = ord("R")  # pipeline/evaluation/recent.py: RecentResults
    REQUESTS = ord("Q")  # pipeline/windows/requests.py: RequestHistory
    RULES = ord("S")  # pipeline/evaluation/rule_book.py: InForce; also in titles-v1
    MODEL = ord("M")  # pipeline/evaluation/model_book.py: ModelInForce
    # Table titles-v1, see tables/titles.py:
    FIGURES = ord("F")  # pipeline/titles/figures.py: Figures
    TITLES_PARTITION = ord("T")  # pipeline/titles/state.py: TitlesPartition
    SEEN = ord("X")  # pipeline/titles/state.py: SeenSubjects
    # Table alerts-v1, see tables/alerts.py:
    ALERT = ord("A")  # pipeline/alerting/alerts.py: Alert
    DUE_ALERTS = ord("B")  # tables/alerts.py: DueAlerts
    ALERTS_PARTITION = ord("C")  # tables/alerts.py: AlertsPartition


class WireError(ValueError):
    """Bytes in a table that this version of the program cannot read."""

    def __init__(self, kind: str, value: bytes) -> None:
        super().__init__(
            f"a {kind} record begins with {value[:2].hex() or 'nothing'}, which this version cannot read; "
            "a newer version wrote it, or the table is not one of ours"
        )


class Form(Generic[V]):
    """The codec of one kind of record: kind, version, and the fields of a msgspec struct as a MessagePack array.

    Args:
        kind: the first byte.
        version: the second byte.
        struct: the type of the values. It must be `array_like`.
        name: what errors call the record.
        sort_keys: whether dictionaries are written in the order of their keys, so that equal values have equal bytes.
            Without it a dictionary keeps its own order, which is then part of the value.
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
            WireError: the bytes are of another kind or version, or damaged.
        """
        if not value.startswith(self.head):
            raise WireError(self._name, value)
        try:
            return self._read(value[2:])
        except UnreadableError as error:
            raise WireError(self._name, value) from error


class Forms:
    """The codec of a table with several kinds of records.

    It finds the form of a value by the value's type, and the form of bytes by their first two.

    Args:
        name: what errors call a record of the table.
        forms: the forms of all its records.
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
            WireError: this version of the program does not read their form.
        """
        form = self._by_head.get(value[:2])
        if form is None:
            raise WireError(self._name, value)
        return form.decode(value)
