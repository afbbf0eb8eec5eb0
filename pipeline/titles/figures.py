"""Figures: everything that the titles table has of one subject, in one record."""

from collections.abc import Iterable
from typing import Final

import msgspec

from pipeline.rules.finding import Severity
from pipeline.titles.minutes import WINDOW_MINUTES
from pipeline.titles.notes import Failure, Name, NameKind
from pipeline.titles.rows import FAILED, NUMBERS, ROW_BYTES, TOTAL, rows_after, sum_rows, unpack_rows

OTHER: Final = "(other)"
NAMES: Final = 64
"""The most names of a kind over a lifetime, and the most error codes and the most regions of failures in a minute."""
USERS: Final = 32
"""The most users of a device. The newest are kept."""
MINUTES_NAMES: Final = 1_500
"""So many names of failures in all minutes of a subject together are kept, however long they are."""
MINUTES_BYTES: Final = 400_000
"""More names are kept up to so many bytes, because the record must fit into a message, however many error codes
somebody makes up. The busiest titles of ordinary streams have a tenth of it. Names beyond it count as `OTHER`, and
which names these are depends on the order of arrival."""
_SUMMED_FROM: Final = 64 * ROW_BYTES
"""The rows are summed when there are at least this many new bytes."""


class Figures(msgspec.Struct, array_like=True, gc=False):
    """The figures of one title, device, region, plan or rule. They are changed in place.

    Attributes:
        level: the level by the subject rule, at the last judged minute.
        hour: the newest hour with an event (see `pipeline.titles.forgetting`).
        past: the sums of the rows that no window will need again.
        rows: the other rows (see `pipeline.titles.rows`). A minute may have several.
        summed: the length of `rows`, in bytes, when they were last summed.
        failed: the number of failed playback events over the lifetime.
        failures: by minute the counts of failures by error code and by region. Only titles and devices have them.
        names: by kind the counts by name over the lifetime.
    """

    level: Severity | None = None
    hour: int = 0
    past: list[int] = msgspec.field(default_factory=lambda: [0] * NUMBERS)
    rows: bytes = b""
    summed: int = 0
    failed: int = 0
    failures: dict[int, tuple[dict[str, int], dict[str, int]]] = {}
    names: dict[NameKind, dict[str, int]] = {}

    def add_rows(self, rows: bytes, judged_through: int | None) -> None:
        """Add rows. Where there are many new ones, sum them (`settle`)."""
        self.rows += rows
        new = len(self.rows) - self.summed
        if new >= _SUMMED_FROM and new >= self.summed:
            self.settle(judged_through)

    def settle(self, judged_through: int | None) -> None:
        """Sum the rows by minute, and move minutes that no window will need again to `past`."""
        if judged_through is not None:
            last = judged_through - WINDOW_MINUTES
            for minute, *numbers in unpack_rows(self.rows):
                if minute <= last:
                    self.past = [known + number for known, number in zip(self.past, numbers, strict=True)]
            self.rows = rows_after(self.rows, last)
            for minute in [minute for minute in self.failures if minute <= last]:
                del self.failures[minute]
        self.rows = sum_rows(self.rows)
        self.summed = len(self.rows)

    def add_failures(self, failures: Iterable[Failure], *, by_minute: bool) -> None:
        """Count failures by error code. With `by_minute`, for subjects with a rule, count them by minute too."""
        for minute, code, region, number in failures:
            self.failed += number
            add(self.names.setdefault("error_codes", {}), code, number)
            if by_minute:
                codes, regions = self.failures.setdefault(minute, ({}, {}))
                for counts, name in ((codes, code), (regions, region)):
                    if name in counts or self._has_room():
                        add_first(counts, name, number)
                    else:
                        counts[OTHER] = counts.get(OTHER, 0) + number

    def _has_room(self) -> bool:
        minutes = self.failures.values()
        if sum([len(codes) + len(regions) for codes, regions in minutes]) < MINUTES_NAMES:
            return True
        names = [name for minute in minutes for counts in minute for name in counts]
        return sum([len(name.encode()) for name in names]) < MINUTES_BYTES

    def add_names(self, names: Iterable[Name]) -> None:
        """Count names over the lifetime."""
        for kind, name, number in names:
            counts = self.names.setdefault(kind, {})
            if kind != "users":
                add(counts, name, number)
            elif counts.get(name, number - 1) < number:
                counts[name] = number
                if len(counts) > USERS:
                    del counts[min(counts, key=lambda user: (counts[user], user))]

    def totals(self) -> list[int]:
        """The six numbers of a row (see `pipeline.titles.rows`), summed over the lifetime."""
        numbers = [numbers[1:] for numbers in unpack_rows(self.rows)]
        return [sum(column) for column in zip(self.past, *numbers, strict=True)]

    def failed_and_total(self, first: int, last: int) -> tuple[int, int]:
        """Failed and all playback events of the minutes from first to last."""
        window = [row[1:] for row in unpack_rows(self.rows) if first <= row[0] <= last]
        return sum([numbers[FAILED] for numbers in window]), sum([numbers[TOTAL] for numbers in window])

    def failed_since(self, first: int) -> int:
        """Failed playback events of a minute and all later ones."""
        return sum([sum(codes.values()) for minute, (codes, _) in self.failures.items() if minute >= first])

    def failure_names(self, first: int, last: int) -> tuple[dict[str, int], dict[str, int]]:
        """Error codes and regions of the failures of the minutes from first to last, with their counts."""
        sums: tuple[dict[str, int], dict[str, int]] = ({}, {})
        for minute, names in self.failures.items():
            if first <= minute <= last:
                for counts, of_minute in zip(sums, names, strict=True):
                    for name, number in of_minute.items():
                        counts[name] = counts.get(name, 0) + number
        return sums


def add(counts: dict[str, int], name: str, number: int) -> None:
    """Add to a count by name. When there are `NAMES` names, a new one counts as `OTHER`."""
    if name not in counts and len(counts) >= NAMES:
        name = OTHER
    counts[name] = counts.get(name, 0) + number


def add_first(counts: dict[str, int], name: str, number: int) -> None:
    """Add to a count by name. The first `NAMES` names by alphabet are kept, and the rest count as `OTHER`.

    So the result does not depend on the order in which partitions report a minute. That matters because the counts are
    evidence in verdicts.
    """
    counts[name] = counts.get(name, 0) + number
    named = [known for known in counts if known != OTHER]
    if len(named) > NAMES:
        number = counts.pop(max(named))
        counts[OTHER] = counts.get(OTHER, 0) + number
