"""What is kept of a title, a region, a plan or a rule: lifetime sums, and the minutes of the last hour."""

from typing import Final

import msgspec

from pipeline.evaluation.minutes import prune
from pipeline.evaluation.row_log import ACCOUNT, FLAGGED, PLAY, START_FAILED, Row, kept_rows
from pipeline.rules.finding import Severity

OTHER: Final = "(other)"
NAMES: Final = 64
"""So many error codes, regions, kinds of devices are counted by name over a lifetime; the others as `OTHER`."""
MINUTE_NAMES: Final = 1_000
"""The same for one minute of a title."""
_FRESH: Final = 128
"""From so many fresh rows on they are summed."""

# Places in a minute of the series.
TOTAL: Final = 0
FAILED: Final = 1
PLAYS: Final = 2
WATCHED: Final = 3


class SubjectHealth(msgspec.Struct, array_like=True, gc=False):
    """The figures of one title, region, plan or rule. They are changed in place.

    Attributes:
        level: of the subject rule, at the last judged minute; titles only.
        hour: the newest hour with an event (see `pipeline.evaluation.forgetting`).
        fresh: rows that are not in the sums yet, see `pipeline.evaluation.row_log`.
        count: of them.
        segments: of a title numbers and last minutes of the segments with its other rows (see
            `pipeline.evaluation.segments`).
        sealed: the number of the next one.
        by_minute: of a title the minutes whose names have a record of their own, `TitleMinute`.
        events: all that were counted, but for the fresh ones; this holds for the following, too. Findings, of a rule.
        playback: those of playback.
        failed: those of them that failed.
        plays: PLAY events.
        failed_starts: see `Window.only_started`.
        watched_ms: see `Window.watched`.
        error_codes: failures by code.
        regions: playback events by region, of a title; findings by region, of a rule.
        device_types: playback events by kind of device.
        rules: findings by rule, of a region.
        series: by minute the numbers that the constants above name.
    """

    level: Severity | None = None
    hour: int = 0
    fresh: bytes = b""
    count: int = 0
    segments: list[tuple[int, int]] = []
    sealed: int = 0
    by_minute: list[int] = []
    events: int = 0
    playback: int = 0
    failed: int = 0
    plays: int = 0
    failed_starts: int = 0
    watched_ms: int = 0
    error_codes: dict[str, int] = {}
    regions: dict[str, int] = {}
    device_types: dict[str, int] = {}
    rules: dict[str, int] = {}
    series: dict[int, list[int]] = {}

    @property
    def is_full(self) -> bool:
        """Whether the fresh rows are many."""
        return self.count >= _FRESH

    def settle(self, judged_through: int | None) -> list[Row]:
        """Sum the fresh rows, and return them; drop minutes that no window will hold again."""
        rows = self.fresh_rows()
        for row in rows:
            self._sum(row)
        self.fresh, self.count = b"", 0
        if judged_through is not None:
            prune(self.series, judged_through)
        return rows

    def _sum(self, row: Row) -> None:  # noqa: C901 - one row, from top to bottom
        minute, region, error, kind, extra, number, played = row
        if kind == START_FAILED:
            self.failed_starts += number
            return
        if kind == FLAGGED and extra is not None:
            add(self.rules, extra, number)
            return
        numbers = self.series.get(minute)
        if numbers is None:
            numbers = self.series[minute] = [0, 0, 0, 0]
        if played:
            self.watched_ms += played
            numbers[WATCHED] += played
        self.events += number
        if kind == ACCOUNT:
            return
        numbers[TOTAL] += number
        if region is not None:
            add(self.regions, region, number)
        if kind == FLAGGED:
            return
        self.playback += number
        if extra is not None:
            add(self.device_types, extra, number)
        if kind == PLAY:
            self.plays += number
            numbers[PLAYS] += number
        if error is not None:
            self.failed += number
            numbers[FAILED] += number
            add(self.error_codes, error, number)

    def failed_since(self, first: int) -> int:
        """Failed playback events of a minute and all later ones."""
        series = sum([numbers[FAILED] for minute, numbers in self.series.items() if minute >= first])
        return series + sum([row[5] for row in self.fresh_rows() if row[2] is not None and row[0] >= first])

    def totals(self) -> tuple[int, int]:
        """Plays and milliseconds of playing, of the fresh rows too."""
        rows = self.fresh_rows()
        plays = sum([row[5] for row in rows if row[3] == PLAY])
        return self.plays + plays, self.watched_ms + sum([row[6] for row in rows])

    def fresh_rows(self) -> list[Row]:
        """The rows that are not in the sums yet."""
        return kept_rows(self.count, self.fresh)


class TitleMinute(msgspec.Struct, array_like=True, gc=False):
    """One minute of one title: failures by code, playback events by region. Kept apart where there are many names."""

    error_codes: dict[str, int] = {}
    regions: dict[str, int] = {}


def add(counts: dict[str, int], name: str, count: int, names: int = NAMES) -> None:
    """Add to a count by name; beyond so many names to that of all others."""
    known = counts.get(name)
    if known is None:
        if len(counts) >= names:
            name = OTHER
        counts[name] = counts.get(name, 0) + count
    else:
        counts[name] = known + count
