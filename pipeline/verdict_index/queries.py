"""Reading the file of the verdict index: one method for each question."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from pipeline.verdict_index.pages import Alerts, Filters, Indexed, Page, PagePosition
from pipeline.verdict_index.store import subject_number
from pipeline.verdict_index.summary import CountKey, Span, Tally

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

T = TypeVar("T")


class IndexQueries:
    """Answers as of the last write. Only one thread at a time may use it.

    Args:
        db: from `connect`.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def page(self, filters: Filters, after: PagePosition | None, size: int) -> Page:
        """The newest verdicts that were published before a position, or the very newest for None."""
        conditions, values = _conditions(filters)
        if after is not None:
            conditions.append('(published, partition, "offset") < (?, ?, ?)')
            values += after
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        rows = self._rows(
            f'SELECT published, partition, "offset", value FROM verdicts {where} '  # noqa: S608 - conditions are ours
            'ORDER BY published DESC, partition DESC, "offset" DESC LIMIT ?',
            'published, partition, "offset", CAST(value AS TEXT)',
            (*values, size + 1),
            tuple[int, int, int, str],
        )
        verdicts = [Indexed(PagePosition(*row[:3]), row[3].encode()) for row in rows[:size]]
        return Page(verdicts, verdicts[-1].position.cursor() if len(rows) > size else None)

    def _rows(self, select: str, columns: str, values: Iterable[object], row: type[T]) -> list[T]:
        """The rows of a SELECT, read in one step for the reason that `writer` gives.

        Args:
            select: the statement.
            columns: expressions over its columns whose values JSON can hold.
            values: for its parameters.
            row: the type of a row, a tuple.
        """
        (text,) = self._db.execute(
            f"SELECT json_group_array(json_array({columns})) FROM ({select})",  # noqa: S608 - ours
            tuple(values),
        ).fetchone()
        return msgspec.json.decode(text, type=list[row])  # type: ignore[valid-type]  # mypy: a variable, not a type

    def newest_of(self, user: str) -> bytes | None:
        """The newest verdict on a user."""
        # A user's verdicts come in the order of one partition, so the row with the largest id is the newest one. SQLite
        # finds it in the index on subjects, and reads only this row.
        row = self._db.execute(
            "SELECT value FROM verdicts WHERE id = (SELECT max(id) FROM verdicts WHERE subject = ?)",
            (subject_number("user", user),),
        ).fetchone()
        return None if row is None else row[0]

    def alerts(self, size: int) -> Alerts:
        """The most severe alerts, the open ones first."""
        rows = self._rows(
            "SELECT value FROM alerts ORDER BY closed, points DESC, last_at DESC LIMIT ?",
            "CAST(value AS TEXT)",
            (size,),
            tuple[str],
        )
        counted = dict(self._db.execute("SELECT closed, count(*) FROM alerts GROUP BY closed"))
        return Alerts([value.encode() for (value,) in rows], counted.get(0, 0), counted.get(1, 0))

    def tallies(self) -> list[Tally]:
        """All verdicts, counted by profile and region."""
        profiles = {
            number: msgspec.json.decode(content, type=CountKey)
            for number, content in self._rows(
                "SELECT id, content FROM profiles", "id, content", (), tuple[int, str]
            )
        }
        counted = self._rows(
            "SELECT profile, region, count(*) AS verdicts FROM verdicts INDEXED BY newest GROUP BY profile, region",
            "profile, region, verdicts",
            (),
            tuple[int, str | None, int],
        )
        return [Tally(profiles[profile], region, count) for profile, region, count in counted]

    def span(self, limit: int, behind: int) -> Span:
        """What is indexed."""
        (count,) = self._db.execute("SELECT verdicts FROM source").fetchone()
        # SQLite finds each of them with one look-up in an index. In one statement both would be a scan.
        (first,) = self._db.execute("SELECT min(published) FROM verdicts").fetchone()
        (last,) = self._db.execute("SELECT max(published) FROM verdicts").fetchone()
        (since,) = self._db.execute("SELECT max(complete_since) FROM partitions").fetchone()
        if first is not None and since is not None:
            first = max(first, since)
        return Span(count, first, last, limit, behind)


def _conditions(filters: Filters) -> tuple[list[str], list[object]]:
    conditions: list[str] = []
    values: list[object] = []
    if filters.level is not None:
        conditions.append("profile IN (SELECT id FROM profiles WHERE level = ?)")
        values.append(filters.level)
    if filters.rule is not None:
        conditions.append("profile IN (SELECT id FROM profiles WHERE instr(rules, ?))")
        values.append(f" {filters.rule} ")
    if filters.region is not None:
        # The full stop follows the hyphen in ASCII, so this range holds all subdivisions of a country.
        conditions.append("(region = ? OR (region > ? AND region < ?))")
        values += [filters.region, f"{filters.region}-", f"{filters.region}."]
    if filters.users is not None:
        conditions.append(f"subject IN ({', '.join('?' * len(filters.users))})")
        values += [subject_number("user", user) for user in filters.users]
    if filters.since is not None:
        conditions.append("event_time >= ?")
        values.append(filters.since)
    if filters.until is not None:
        conditions.append("event_time < ?")
        values.append(filters.until)
    return conditions, values
