"""What can be asked of the verdict index, and how a reader goes on where the last page ended."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

_CURSOR: Final = re.compile(r"1\.(-?[0-9]{1,16})\.([0-9]{1,9})\.([0-9]{1,18})")


class CursorError(ValueError):
    """A cursor that no page of ours ended with."""


class Position(NamedTuple):
    """A verdict's place in the order of publication; the same on every worker.

    Attributes:
        published: the record's timestamp, milliseconds since 1970.
        partition: of the topic.
        offset: in the partition.
    """

    published: int
    partition: int
    offset: int

    def cursor(self) -> str:
        """The opaque form; a page after it holds what was published before."""
        return (
            urlsafe_b64encode(f"1.{self.published}.{self.partition}.{self.offset}".encode())
            .decode()
            .rstrip("=")
        )

    @classmethod
    def of_cursor(cls, cursor: str) -> Self:
        """The position that `cursor` made.

        Raises:
            CursorError: it is none of ours.
        """
        try:
            text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        except (Base64Error, ValueError) as error:
            raise CursorError(f"cursor {cursor!r} is not one that an answer gave as next_cursor") from error
        found = _CURSOR.fullmatch(text)
        if found is None:
            raise CursorError(f"cursor {cursor!r} is not one that an answer gave as next_cursor")
        return cls(*map(int, found.groups()))


@dataclass(frozen=True, slots=True)
class Filters:
    """Which verdicts are wanted; None wants all.

    Attributes:
        level: risk level.
        rule: id of a rule with a finding.
        region: in normal form; a bare country means its subdivisions as well.
        users: ids of users as verdicts show them (keyed hashes where a pseudonym key is configured); any of them.
        since: earliest event time, RFC 3339 as in verdicts (milliseconds, Z).
        until: event times before it.
    """

    level: str | None = None
    rule: str | None = None
    region: str | None = None
    users: tuple[str, ...] | None = None
    since: str | None = None
    until: str | None = None


class Indexed(NamedTuple):
    """A verdict as it was published, and where."""

    position: Position
    value: bytes


class Page(NamedTuple):
    """Verdicts, newest first, and the cursor of the next page; None after the last."""

    verdicts: list[Indexed]
    next_cursor: str | None


class Alerts(NamedTuple):
    """Values of `risk-alerts`, the most severe first, and how many are open, and closed lately, in all."""

    values: list[bytes]
    open: int
    closed: int
