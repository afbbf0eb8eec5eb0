"""Writing to the file of the verdict index.

Rows go into a statement as one JSON array. SQLite gives up Python's global lock at each step of a statement, so at each
row, and has to wait for it again while the event loop is busy. That takes both threads longer than the step itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple

import msgspec

from pipeline.alerting.alerts import PublishedAlert
from pipeline.bounded import BoundedDict
from pipeline.evaluation.verdict import RiskLevel  # noqa: TC001 - msgspec evaluates the annotation
from pipeline.events.foreign import json_reader
from pipeline.events.instants import parse_formatted
from pipeline.rules.finding import POINTS, Severity
from pipeline.verdict_index.store import HALF, subject_number
from pipeline.verdict_index.summary import CountKey

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from pipeline.verdict_index.pages import PagePosition


def _rows(rows: object) -> str:
    """Rows for `json_each`. Values must be text, not bytes."""
    return msgspec.json.encode(rows).decode()


NextOffsets = Mapping[tuple[str, int], int]
"""The offset after the last record, by topic and partition."""


def _members(count: int) -> str:
    """The first members of a row as SQL expressions."""
    return ", ".join(f"json_extract(value, '$[{number}]')" for number in range(count))


_INSERT: Final = f"""
INSERT INTO verdicts (subject, verdict, published, partition, "offset", profile, region, event_time, value)
SELECT {_members(8)}, CAST(json_extract(value, '$[8]') AS BLOB) FROM json_each(?) WHERE true
ON CONFLICT (subject, verdict) DO UPDATE SET
  profile = excluded.profile, region = excluded.region, event_time = excluded.event_time, value = excluded.value
"""  # noqa: S608 - made of constants only
_OLDEST: Final = """
DELETE FROM verdicts WHERE id IN (SELECT id FROM verdicts ORDER BY published, partition, "offset" LIMIT ?)
"""
_REPLACE_ALERTS: Final = f"""
INSERT OR REPLACE INTO alerts (closed, points, last_at, key, value)
SELECT {_members(3)}, CAST(json_extract(value, '$[3]') AS BLOB), CAST(json_extract(value, '$[4]') AS BLOB)
FROM json_each(?)
"""  # noqa: S608 - made of constants only
_DELETE_ALERTS: Final = "DELETE FROM alerts WHERE key IN (SELECT CAST(value AS BLOB) FROM json_each(?))"
_SET_NEXT: Final = f"""
INSERT INTO partitions (topic, partition, next) SELECT {_members(3)} FROM json_each(?) WHERE true
ON CONFLICT (topic, partition) DO UPDATE SET next = excluded.next
"""  # noqa: S608 - made of constants only
_SPARE: Final = 20
"""The file may hold a twentieth more than the limit, so that the oldest verdicts are deleted many at a time."""


_MOST_POINTS: Final = 1_000
"""Far beyond any score."""


_KNOWN_PROFILES: Final = 10_000


class Published(NamedTuple):
    """A record of `flagged-events`."""

    position: PagePosition
    value: bytes


class _Finding(msgspec.Struct):
    rule_id: str
    dimension: str
    severity: Severity
    regulations: list[str]
    summary: str
    evidence: dict[str, msgspec.Raw]


class _Subject(msgspec.Struct):
    type: Literal["user", "content", "device"]
    id: str


class _Verdict(msgspec.Struct):
    """A verdict with everything that the views promise, because they give its bytes without another check."""

    schema: Literal["risk-verdict/1"]
    verdict_id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    subject: _Subject
    event_id: str | None
    user_id: str | None
    device_id: str | None
    content_id: str | None
    region: str | None
    event_type: str | None
    event_time: str
    risk_level: RiskLevel
    score: Annotated[int, msgspec.Meta(ge=-_MOST_POINTS, le=_MOST_POINTS)]
    dimensions: dict[str, str]
    findings: list[_Finding]
    regulations: list[str]
    late: bool


class IndexWriter:
    """Adds verdicts and alerts, and deletes the oldest verdicts. Only one thread at a time may use it.

    Args:
        db: from `open_store`.
        limit: so many verdicts are kept, and up to a twentieth more.
    """

    def __init__(self, db: sqlite3.Connection, limit: int) -> None:
        self._db = db
        self._limit = limit
        self._read = json_reader(_Verdict)
        self._read_alert = json_reader(PublishedAlert)
        self._profiles: BoundedDict[tuple[object, ...], int] = BoundedDict(_KNOWN_PROFILES)
        self._count = self._counted()

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def next_offsets(self) -> dict[tuple[str, int], int]:
        """By topic and partition, the offset after the last indexed record."""
        found = self._db.execute("SELECT topic, partition, next FROM partitions")
        return {(topic, partition): offset for topic, partition, offset in found}

    def add(self, records: Iterable[Published], next_offsets: NextOffsets) -> int:
        """Index verdicts and their next offsets in one transaction.

        If a verdict id comes twice, the later record replaces the first one, and keeps its position.

        Returns:
            the number of records that are no verdicts.
        """
        rows = []
        refused = 0
        for position, value in records:
            try:
                text, verdict = value.decode(), self._read(value)
                parse_formatted(verdict.event_time)
                number = int(verdict.verdict_id[-16:], 16) - HALF
            except ValueError:
                refused += 1
                continue
            rows.append(
                (
                    subject_number(verdict.subject.type, verdict.subject.id),
                    number,
                    *position,
                    self._profile(verdict),
                    verdict.region,
                    verdict.event_time,
                    text,
                )
            )
        with self._transaction(next_offsets):
            before = self._newest_id()
            self._db.execute(_INSERT, (_rows(rows),))
            # Each new row gets the next id; a verdict that was there keeps its id.
            self._count += self._newest_id() - before
            self._trim()
        return refused

    def fold(self, records: Iterable[tuple[bytes, bytes | None]], next_offsets: NextOffsets) -> int:
        """Keep the newest alert of each key, and the next offsets, in one transaction. A tombstone deletes an alert.

        Returns:
            the number of records that are no alerts.
        """
        rows: dict[str, tuple[object, ...]] = {}
        deleted: list[str] = []
        refused = 0
        for key, value in records:
            try:
                name = key.decode()
                rows.pop(name, None)
                if value is None:
                    deleted.append(name)
                    continue
                text, alert = value.decode(), self._read_alert(value)
                parse_formatted(alert.last_at)
            except ValueError:
                refused += 1
                continue
            rows[name] = (int(alert.status == "closed"), POINTS[alert.severity], alert.last_at, name, text)
        with self._transaction(next_offsets):
            self._db.execute(_DELETE_ALERTS, (_rows(deleted),))
            self._db.execute(_REPLACE_ALERTS, (_rows(list(rows.values())),))
        return refused

    def skip(self, topic: str, partition: int, offset: int, published: int) -> None:
        """Note that a partition goes on at an offset, so that the index is complete only since `published`."""
        self._db.execute(
            "INSERT INTO partitions VALUES (?, ?, ?, ?) ON CONFLICT (topic, partition) "
            "DO UPDATE SET next = excluded.next, complete_since = excluded.complete_since",
            (topic, partition, offset, published),
        )

    def expire(self, published: int) -> None:
        """Delete the verdicts that were published before a time, in milliseconds since 1970."""
        with self._transaction({}):
            self._count -= self._db.execute("DELETE FROM verdicts WHERE published < ?", (published,)).rowcount

    def clear(self) -> None:
        """Delete everything, because the topic was made anew."""
        with self._transaction({}):
            self._db.execute("DELETE FROM verdicts")
            self._db.execute("DELETE FROM alerts")
            self._db.execute("DELETE FROM partitions")
            self._count = 0

    def _profile(self, verdict: _Verdict) -> int:
        rules = [finding.rule_id for finding in verdict.findings]
        key = (verdict.risk_level, *verdict.dimensions.items(), *rules, *verdict.regulations)
        known = self._profiles.get(key)
        if known is None:
            content = msgspec.json.encode(
                CountKey(
                    verdict.risk_level,
                    tuple(verdict.dimensions.items()),
                    tuple(rules),
                    tuple(verdict.regulations),
                )
            ).decode()
            # This is not part of the transaction of the verdicts, so the number stays valid if that is rolled back.
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
        self._db.execute(_OLDEST, (self._count - self._limit,))
        self._count = self._limit

    def _counted(self) -> int:
        (count,) = self._db.execute("SELECT verdicts FROM source").fetchone()
        return int(count)

    def _newest_id(self) -> int:
        (newest,) = self._db.execute("SELECT max(id) FROM verdicts").fetchone()
        return newest or 0

    @contextmanager
    def _transaction(self, next_offsets: NextOffsets) -> Iterator[None]:
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            yield
            db.execute(_SET_NEXT, (_rows([(*place, offset) for place, offset in next_offsets.items()]),))
            db.execute("UPDATE source SET verdicts = ?", (self._count,))
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.rollback()
            self._count = self._counted()
            raise
