"""What the health agent keeps of a device: lifetime sums, and its events of the last hour.

There are about as many devices as users, and an event changes one: its rows are read only when they are many, or when
it fails.
"""

from typing import Final

import msgspec

from pipeline.evaluation.minutes import WINDOW_MINUTES, prune
from pipeline.evaluation.row_log import ACCOUNT, Row, kept_rows
from pipeline.rules.finding import Severity

USERS: Final = 32
"""So many users are kept of a device, the newest."""
FAILURES: Final = 64
"""So many minutes of failures are kept, the newest: enough to know that there are many."""
_FRESH: Final = 32
"""From so many fresh rows on they are summed."""


class DeviceHealth(msgspec.Struct, array_like=True, gc=False):
    """The figures of one device. They are changed in place.

    Attributes:
        level: of the subject rule, at the last judged minute.
        hour: the newest hour with an event (see `pipeline.evaluation.forgetting`).
        fresh: rows that are not in the sums yet, see `pipeline.evaluation.row_log`.
        count: of them.
        segments: numbers and last minutes of the segments with its other rows (see `pipeline.evaluation.segments`).
        sealed: the number of the next one.
        events: all that were counted, but for the fresh ones; this holds for the following, too.
        playback: those of playback.
        failed: those of them that failed.
        failures: the minutes of those of the last hour.
        users: the newest minute of each.
        series: by minute failed and all events of playback, but for the fresh ones; only while it may have a level.
    """

    level: Severity | None = None
    hour: int = 0
    fresh: bytes = b""
    count: int = 0
    segments: list[tuple[int, int]] = []
    sealed: int = 0
    events: int = 0
    playback: int = 0
    failed: int = 0
    failures: list[int] = []
    users: dict[str, int] = {}
    series: dict[int, list[int]] | None = None

    @property
    def is_full(self) -> bool:
        """Whether the fresh rows are many."""
        return self.count >= _FRESH

    def fresh_rows(self) -> list[Row]:
        """The rows that are not in the sums yet."""
        return kept_rows(self.count, self.fresh)

    def settle(self, judged_through: int | None) -> list[Row]:
        """Sum the fresh rows, and return them; drop minutes that no window will hold again."""
        users, series, rows = self.users, self.series, self.fresh_rows()
        events = playback = 0
        for minute, _, error, kind, user, number, _ in rows:
            events += number
            if kind != ACCOUNT:
                playback += number
                if error is not None:
                    self.failed += number
                    self._note_failure(minute, number)
                if series is not None:
                    count_in(series, minute, number, failed=error is not None)
            if user is not None and users.get(user, -1) < minute:
                users[user] = minute
        self.events += events
        self.playback += playback
        while len(users) > USERS:
            del users[min(users, key=lambda name: (users[name], name))]
        self.fresh, self.count = b"", 0
        if judged_through is not None:
            first = judged_through - WINDOW_MINUTES + 1
            if self.failures:
                self.failures = [minute for minute in self.failures if minute >= first]
            if series is not None:
                prune(series, judged_through)
        return rows

    def _note_failure(self, minute: int, number: int) -> None:
        if number > 0:
            # Sorted: a partition that is behind must not push out the minutes of one that is ahead.
            self.failures = sorted([*self.failures, *[minute] * number])[-FAILURES:]
        elif minute in self.failures:
            self.failures = self.failures.copy()
            self.failures.remove(minute)

    def failed_since(self, first: int) -> int:
        """Failed playback events of a minute and all later ones; of very many the newest."""
        fresh = sum([row[5] for row in self.fresh_rows() if row[2] is not None and row[0] >= first])
        return fresh + len([minute for minute in self.failures if minute >= first])


def count_in(series: dict[int, list[int]], minute: int, number: int, *, failed: bool) -> None:
    """Count events of playback in a series."""
    numbers = series.setdefault(minute, [0, 0])
    numbers[1] += number
    if failed:
        numbers[0] += number
