"""Writing the verdict index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from pipeline.verdicts.summary import Profile

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from pipeline.verdicts.query import Position

_INSERT: Final = """
INSERT INTO verdicts (subject, verdict_id, published, partition, "offset", profile, region, event_time, value)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (subject, verdict_id) DO UPDATE SET
  profile = excluded.profile, region = excluded.region, event_time = excluded.event_time, value = excluded.value
"""
_OLDEST: Final = """
DELETE FROM verdicts WHERE id IN (SELECT id FROM verdicts ORDER BY published, partition, "offset" LIMIT ?)
"""
_SPARE: Final = 20
"""A twentieth more than the limit may stand in the file before the oldest are deleted, many at a time."""


class Published(NamedTuple):
    """A record of `flagged-events`."""

    position: Position
    value: bytes


class _Finding(msgspec.Struct):
    rule_id: str


class _Subject(msgspec.Struct):
    type: str
    id: str


class _Verdict(msgspec.Struct):
    """What is indexed of a verdict."""

    verdict_id: str
    subject: _Subject
    region: str | None
    event_time: str
    risk_level: str
    dimensions: dict[str, str]
    findings: list[_Finding]
    regulations: list[str]


class VerdictWriter:
    """Adds verdicts, and deletes the oldest; for one thread at a time.

    Args:
        db: from `open_store`.
        limit: so many verdicts are kept, and up to a twentieth more.
    """

    def __init__(self, db: sqlite3.Connection, limit: int) -> None:
        self._db = db
        self._limit = limit
        self._read = msgspec.json.Decoder(_Verdict).decode
        self._profiles: dict[tuple[object, ...], int] = {}
        self._count = self._counted()

    def close(self) -> None:
        """Nothing is written any more."""
        self._db.close()

    def next_offsets(self) -> dict[int, int]:
        """Per partition the offset after the last record that is indexed."""
        return dict(self._db.execute("SELECT partition, next FROM partitions"))

    def add(self, records: Iterable[Published], next_offsets: Mapping[int, int]) -> int:
        """Index records and remember how far that is, both or nothing.

        Of one verdict id the later record counts, at the place of the first.

        Returns:
            how many of them are no verdicts.
        """
        rows = []
        refused = 0
        for position, value in records:
            try:
                verdict = self._read(value)
                verdict_id = bytes.fromhex(verdict.verdict_id)
            except (msgspec.DecodeError, ValueError):
                refused += 1
                continue
            rows.append(
                (
                    f"{verdict.subject.type}:{verdict.subject.id}",
                    verdict_id,
                    *position,
                    self._profile(verdict),
                    verdict.region,
                    verdict.event_time,
                    value,
                )
            )
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            db.executemany(_INSERT, rows)
            db.executemany(
                "INSERT INTO partitions (partition, next) VALUES (?, ?) "
                "ON CONFLICT (partition) DO UPDATE SET next = excluded.next",
                next_offsets.items(),
            )
            self._count += len(rows)
            self._trim()
            db.execute("COMMIT")
        except BaseException:
            self._undo()
            raise
        return refused

    def skip(self, partition: int, offset: int, published: int) -> None:
        """A partition goes on at an offset; what was published before is not complete any more."""
        with self._db:
            self._db.execute(
                "INSERT INTO partitions (partition, next, complete_since) VALUES (?, ?, ?) "
                "ON CONFLICT (partition) DO UPDATE SET next = excluded.next, complete_since = excluded.complete_since",
                (partition, offset, published),
            )

    def expire(self, published: int) -> None:
        """Delete what was published before that time, milliseconds since 1970."""
        with self._db:
            self._db.execute("DELETE FROM verdicts WHERE published < ?", (published,))

    def clear(self) -> None:
        """Forget everything: the topic was made anew."""
        with self._db:
            self._db.execute("DELETE FROM verdicts")
            self._db.execute("DELETE FROM partitions")
        self._count = 0

    def _profile(self, verdict: _Verdict) -> int:
        rules = [finding.rule_id for finding in verdict.findings]
        key = (verdict.risk_level, *verdict.dimensions.items(), *rules, *verdict.regulations)
        known = self._profiles.get(key)
        if known is None:
            content = msgspec.json.encode(
                Profile(
                    verdict.risk_level,
                    tuple(verdict.dimensions.items()),
                    tuple(rules),
                    tuple(verdict.regulations),
                )
            ).decode()
            # Outside of the transaction of the verdicts, so that one that is undone leaves the number valid.
            self._db.execute(
                "INSERT OR IGNORE INTO profiles (content, level, rules) VALUES (?, ?, ?)",
                (content, verdict.risk_level, f" {' '.join(rules)} "),
            )
            (known,) = self._db.execute("SELECT id FROM profiles WHERE content = ?", (content,)).fetchone()
            self._profiles[key] = known
        return known

    def _trim(self) -> None:
        if self._count <= self._limit + self._limit // _SPARE:
            return
        # Repeated verdicts made no row.
        self._count = self._counted()
        if self._count > self._limit:
            self._db.execute(_OLDEST, (self._count - self._limit,))
            self._count = self._limit

    def _counted(self) -> int:
        (count,) = self._db.execute("SELECT count(*) FROM verdicts").fetchone()
        return int(count)

    def _undo(self) -> None:
        if self._db.in_transaction:
            self._db.rollback()
        self._count = self._counted()
