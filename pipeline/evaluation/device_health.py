"""What the health agent keeps of a device: lifetime sums, and the events of the last hour as they came.

There are about as many devices as users, and an event changes one: its rows are read only when they are many, or when
it fails.
"""

from typing import Final

import msgspec

from pipeline.evaluation.minutes import WINDOW_MINUTES
from pipeline.evaluation.row_log import ACCOUNT, PLAYBACK, Row, decode_rows, encode_row
from pipeline.evaluation.subject_health import OTHER
from pipeline.rules.finding import Severity

USERS: Final = 32
"""So many users are kept of a device, the newest."""
_FRESH: Final = 64
"""From so many fresh rows on they are summed."""
_SEGMENTS: Final = 4
"""From so many segments on they are made into one."""

_NAMED: Final = 2_000
"""So many different rows of an hour are kept with their regions and codes; more of them without."""

Segment = tuple[int, int, bytes]
"""The last minute of its rows, how many they are, and the rows."""


class DeviceHealth(msgspec.Struct, array_like=True, gc=False):
    """The figures of one device. They are changed in place.

    Attributes:
        level: of the subject rule, at the last judged minute.
        hour: the newest hour with an event (see `pipeline.evaluation.forgetting`).
        fresh: rows that are not in the sums yet, see `pipeline.evaluation.row_log`.
        count: of them.
        events: all that were counted, but for the fresh ones; this holds for the following, too.
        playback: those of playback.
        failed: those of them that failed.
        users: the newest minute of each.
        segments: summed rows that the hour may still hold.
    """

    level: Severity | None = None
    hour: int = 0
    fresh: bytes = b""
    count: int = 0
    events: int = 0
    playback: int = 0
    failed: int = 0
    users: dict[str, int] = {}
    segments: list[Segment] = []

    @property
    def is_full(self) -> bool:
        """Whether the fresh rows are many."""
        return self.count >= _FRESH

    def settle(self, judged_through: int | None) -> None:
        """Sum the fresh rows; drop what no window will hold again."""
        if self.count:
            self._sum()
        first = 0 if judged_through is None else judged_through - WINDOW_MINUTES + 1
        segments = [segment for segment in self.segments if segment[0] >= first]
        if len(segments) > _SEGMENTS:
            segments = _joined(segments, first)
        self.segments = segments

    def _sum(self) -> None:
        users, last = self.users, 0
        for minute, _, error, kind, user, number, _ in self.fresh_rows():
            self.events += number
            if kind != ACCOUNT:
                self.playback += number
                if error is not None:
                    self.failed += number
            last = max(last, minute)
            if user is not None and users.get(user, -1) < minute:
                users[user] = minute
        while len(users) > USERS:
            del users[min(users, key=lambda name: (users[name], name))]
        self.segments = [*self.segments, (last, self.count, self.fresh)]
        self.fresh, self.count = b"", 0

    def fresh_rows(self) -> list[Row]:
        """The rows that are not in the sums yet."""
        return decode_rows(self.count, self.fresh)

    def segment_rows(self) -> list[Row]:
        """The rows that are in the sums, and that the hour may still hold."""
        return [row for _, count, data in self.segments for row in decode_rows(count, data)]

    def rows(self) -> list[Row]:
        """The rows of playback that are kept; those of the same minute, region and error code may be several."""
        return [row for row in self.segment_rows() + self.fresh_rows() if row[3] != ACCOUNT]

    def minutes(self) -> set[int]:
        """The minutes with playback events that are still known."""
        return {row[0] for row in self.rows()}

    def sums(self, first: int, last: int) -> tuple[int, int]:
        """Failed and all playback events of the minutes from first to last."""
        failed = total = 0
        for minute, _, error, _, _, number, _ in self.rows():
            if first <= minute <= last:
                total += number
                if error is not None:
                    failed += number
        return failed, total

    def failed_since(self, first: int) -> int:
        """Failed playback events of a minute and all later ones."""
        return sum([row[5] for row in self.rows() if row[2] is not None and row[0] >= first])

    def names(self, first: int, last: int) -> tuple[dict[str, int], dict[str, int]]:
        """Error codes and regions of the minutes from first to last, with their counts."""
        return names_of(self.rows(), first, last)


def names_of(rows: list[Row], first: int, last: int) -> tuple[dict[str, int], dict[str, int]]:
    """Error codes and regions of the minutes from first to last, with their counts."""
    codes: dict[str, int] = {}
    regions: dict[str, int] = {}
    for minute, region, error, _, _, number, _ in rows:
        if first <= minute <= last:
            if region is not None:
                regions[region] = regions.get(region, 0) + number
            if error is not None:
                codes[error] = codes.get(error, 0) + number
    return codes, regions


def _joined(segments: list[Segment], first: int) -> list[Segment]:
    """One segment with the sums of these by minute, region and error code."""
    sums: dict[tuple[int, str | None, str | None], int] = {}
    for _, count, data in segments:
        for minute, region, error, kind, _, number, _ in decode_rows(count, data):
            if minute >= first and kind != ACCOUNT:
                key = (minute, region, error)
                sums[key] = sums.get(key, 0) + number
    if len(sums) > _NAMED:
        unnamed: dict[tuple[int, str | None, str | None], int] = {}
        for (minute, _, error), number in sums.items():
            key = (minute, OTHER, None if error is None else OTHER)
            unnamed[key] = unnamed.get(key, 0) + number
        sums = unnamed
    rows = [encode_row((*key, PLAYBACK, None, number, 0)) for key, number in sums.items() if number]
    return [(max(key[0] for key in sums), len(rows), b"".join(rows))] if rows else []
