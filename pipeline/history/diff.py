"""The difference between two lots of verdicts: which are only in one, and which differ.

Both lots go into a temporary SQLite database, because their orders may differ and their size has no limit. Verdicts are
matched by what they are on: a source record, or a subject and a minute. A verdict's id is a hash of that place and of
what was judged, so verdicts of one id match, and beside them those on one record under other rules. Where one lot has
several verdicts on a place, the last one counts, as it does for readers of the topic.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from pipeline.errors import MissingError
from pipeline.history.verdicts import Found, Place, read_verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_TOGETHER: Final = 5_000
Side = Literal["a", "b"]

_DIFFERENT: Final = """
select place, a.value, b.value from a left join b using (place) where b.value is not a.value
union all
select place, null, b.value from b where place not in (select place from a)
order by 1
"""


class Example(NamedTuple):
    """One difference. A side is None where that lot has no verdict on the place."""

    before: Found | None
    after: Found | None


@dataclass
class Difference:
    """How two lots of verdicts differ.

    Attributes:
        first: the number of verdicts in the first lot.
        second: the number of verdicts in the second lot.
        same: verdicts with the same bytes in both.
        added: verdicts on places that only the second lot has.
        removed: verdicts on places that only the first lot has.
        changed: places with different verdicts.
        unreadable: values in both lots that are no verdicts.
        rules: by rule, how many of these verdicts gained it, lost it, or have it with other verdicts around it.
        levels: by level before and after, the number of added, removed and changed verdicts; NONE for no verdict.
        examples: by kind of difference, the first ones in the order of their places.
    """

    first: int = 0
    second: int = 0
    same: int = 0
    added: int = 0
    removed: int = 0
    changed: int = 0
    unreadable: int = 0
    rules: dict[str, Counter[str]] = field(default_factory=dict)
    levels: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[str, list[Example]] = field(default_factory=dict)

    @property
    def none(self) -> bool:
        """Whether both lots are the same."""
        return not (self.added or self.removed or self.changed or self.unreadable)

    def take(self, example: Example, examples: int) -> None:
        """Count a difference."""
        before, after = example
        if before is None:
            kind = "added"
            self.added += 1
        elif after is None:
            kind = "removed"
            self.removed += 1
        else:
            kind = "changed"
            self.changed += 1
        kept = self.examples.setdefault(kind, [])
        if len(kept) < examples:
            kept.append(example)
        had, has = set(before.rules if before else ()), set(after.rules if after else ())
        for rules, what in ((has - had, "added"), (had - has, "removed"), (had & has, "changed")):
            for rule in rules:
                self.rules.setdefault(rule, Counter())[what] += 1
        self.levels[before.level if before else "NONE", after.level if after else "NONE"] += 1

    def add(self, other: Difference, examples: int) -> None:
        """Add the difference of other verdicts, such as those of another partition."""
        for name in ("first", "second", "same", "added", "removed", "changed", "unreadable"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for rule, counts in other.rules.items():
            self.rules.setdefault(rule, Counter()).update(counts)
        self.levels.update(other.levels)
        for kind, found in other.examples.items():
            kept = self.examples.setdefault(kind, [])
            kept += found[: examples - len(kept)]


class Lots:
    """Two lots of verdicts in a database. `comparing` gives one."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._unreadable = 0
        for side in ("a", "b"):
            database.execute(f"create table {side} (place text primary key, value blob not null)")

    def add(self, side: Side, values: Iterable[bytes], wanted: Callable[[Place], bool]) -> None:
        """Add values to one lot, "a" or "b". Verdicts on places that are not wanted are left out."""
        rows: list[tuple[str, bytes]] = []
        for value in values:
            found = read_verdict(value)
            if found is None:
                self._unreadable += 1
            elif wanted(found.place):
                rows.append((str(found.place), value))
            if len(rows) >= _TOGETHER:
                self._insert(side, rows)
        self._insert(side, rows)

    def _insert(self, side: Side, rows: list[tuple[str, bytes]]) -> None:
        self._database.executemany(f"insert or replace into {side} values (?, ?)", rows)  # noqa: S608 - a or b
        rows.clear()

    def compare(self, examples: int) -> Difference:
        """Compare the lots. `examples` is the largest number of examples of each kind."""
        query = self._database.execute
        found = Difference(unreadable=self._unreadable)
        found.first = query("select count(*) from a").fetchone()[0]
        found.second = query("select count(*) from b").fetchone()[0]
        found.same = query("select count(*) from a join b using (place) where a.value = b.value").fetchone()[
            0
        ]
        for _, before, after in query(_DIFFERENT):
            found.take(Example(_read(before), _read(after)), examples)
        return found


def _read(value: bytes | None) -> Found | None:
    return None if value is None else read_verdict(value)


@contextmanager
def comparing() -> Iterator[Lots]:
    """An empty pair of lots, on the disk for temporary files.

    Raises:
        MissingError: the disk is full, or cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="ott-diff-") as directory:
        try:
            with closing(sqlite3.connect(Path(directory) / "verdicts.db", isolation_level=None)) as database:
                database.execute("pragma journal_mode = off")
                database.execute("pragma synchronous = off")
                # Nothing of it is needed after a crash.
                database.execute("begin")
                yield Lots(database)
        except sqlite3.OperationalError as error:
            raise MissingError(
                f"{directory} cannot hold the verdicts of both sides: {error}; name a larger disk with TMPDIR"
            ) from error
