"""The SQLite file of the verdict index: a column for each filter, and the next offset of each partition.

The file is a copy of what `flagged-events` and `risk-alerts` hold. So one that cannot be used is deleted, and filled
again.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

import xxhash

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_log: Final = logging.getLogger(__name__)

HALF: Final = 1 << 63
"""Half of the range of 64 bits. It is subtracted from hashes, because SQLite's integers have a sign."""

FILE_NAME: Final = "verdicts.sqlite3"
VERSION: Final = 4
"""The version of the tables below, kept as SQLite's `user_version`. A file of another version is filled again."""

_TABLES: Final = f"""
CREATE TABLE profiles (id INTEGER PRIMARY KEY, content TEXT NOT NULL UNIQUE, level TEXT NOT NULL, rules TEXT NOT NULL);
CREATE TABLE verdicts (
  id INTEGER PRIMARY KEY,
  subject INTEGER NOT NULL, verdict INTEGER NOT NULL,
  published INTEGER NOT NULL, partition INTEGER NOT NULL, "offset" INTEGER NOT NULL,
  profile INTEGER NOT NULL, region TEXT, event_time TEXT NOT NULL,
  value BLOB NOT NULL, UNIQUE (subject, verdict)
);
CREATE INDEX newest ON verdicts (published, partition, "offset", profile, region, event_time);
CREATE TABLE alerts (key BLOB PRIMARY KEY, closed INTEGER NOT NULL, points INTEGER NOT NULL, last_at TEXT NOT NULL,
  value BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX most_severe ON alerts (closed, points DESC, last_at DESC);
CREATE TABLE partitions (
  topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL, complete_since INTEGER,
  PRIMARY KEY (topic, partition)
) WITHOUT ROWID;
CREATE TABLE source (topics TEXT NOT NULL, verdicts INTEGER NOT NULL DEFAULT 0);
PRAGMA user_version = {VERSION};
"""


def subject_number(kind: str, name: str) -> int:
    """The number of a subject in the index: 64 bits of a hash, because they take less space than its id."""
    return xxhash.xxh3_64_intdigest(f"{kind}:{name}".encode()) - HALF


def open_store(path: Path, topics: Sequence[str]) -> sqlite3.Connection:
    """A connection for writing. It makes the file if there is none that can be used.

    Args:
        path: of the file.
        topics: full names of the indexed topics; a file of other topics is filled again.

    Raises:
        sqlite3.Error: the file can neither be used nor made.
    """
    try:
        return _opened(path, " ".join(topics))
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        _log.warning("the verdict index %s is damaged (%s); it is filled again", path, error)
        _delete(path)
        return _opened(path, " ".join(topics))


def connect(path: Path) -> sqlite3.Connection:
    """A connection to a file that `open_store` made."""
    # `index` sees to it that only one thread at a time uses a connection. Transactions are begun explicitly.
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    # A power cut may undo the last transactions. Their offsets are undone with them, so their records are read again.
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA cache_size = -16384")
    return db


def _opened(path: Path, topics: str) -> sqlite3.Connection:
    db = connect(path)
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == VERSION and db.execute("SELECT topics FROM source").fetchone() == (topics,):
        return db
    db.close()
    if version:
        _log.info("the verdict index %s is of another version or other topics; it is filled again", path)
    _delete(path)
    db = connect(path)
    with closing(db.cursor()) as cursor:
        cursor.executescript(f"BEGIN; {_TABLES} COMMIT;")
        cursor.execute("INSERT INTO source (topics) VALUES (?)", (topics,))
    return db


def _delete(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
