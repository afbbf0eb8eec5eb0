"""Pages of verdicts: which verdicts are wanted, what a page holds, and where the next one begins."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

_CURSOR: Final = re.compile(r"1\.(-?[0-9]{1,16})\.([0-9]{1,9})\.([0-9]{1,18})")


class CursorError(ValueError):
    """A cursor that was not made here."""


class PagePosition(NamedTuple):
    """The place of a verdict in the order of publication. It is the same on every worker.

    Attributes:
        published: the record's timestamp, milliseconds since 1970.
        partition: of the topic.
        offset: in the partition.
    """

    published: int
    partition: int
    offset: int

    def cursor(self) -> str:
        """The opaque text for clients. The page after it holds what was published before this position."""
        return (
            urlsafe_b64encode(f"1.{self.published}.{self.partition}.{self.offset}".encode())
            .decode()
            .rstrip("=")
        )

    @classmethod
    def of_cursor(cls, cursor: str) -> Self:
        """The position of a text that `cursor` made.

        Raises:
            CursorError: `cursor` did not make it.
        """
        try:
            text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
            found = _CURSOR.fullmatch(text)
        except ValueError:
            found = None
        if found is None:
            raise CursorError(f"cursor {cursor!r} is not one that an answer gave as next_cursor")
        return cls(*map(int, found.groups()))


@dataclass(frozen=True, slots=True)
class Filters:
    """Which verdicts are wanted. A filter that is None admits all.

    Attributes:
        level: risk level.
        rule: id of a rule with a finding.
        region: in normal form; a country stands for all of its subdivisions.
        users: ids of users as verdicts show them (keyed hashes if a pseudonym key is set).
        since: the earliest event time, RFC 3339 as in verdicts (milliseconds, Z).
        until: event times before this one.
    """

    level: str | None = None
    rule: str | None = None
    region: str | None = None
    users: tuple[str, ...] | None = None
    since: str | None = None
    until: str | None = None


class Indexed(NamedTuple):
    """A verdict as it was published, and where."""

    position: PagePosition
    value: bytes


class Page(NamedTuple):
    """Verdicts, newest first, and the cursor of the next page; None on the last page."""

    verdicts: list[Indexed]
    next_cursor: str | None


class Alerts(NamedTuple):
    """Values of `risk-alerts`, the most severe first, and how many alerts are open and recently closed in all."""

    values: list[bytes]
    open: int
    closed: int
