"""What is kept of a title, a device, a region, a plan or a rule: lifetime sums, and the minutes of the last hour."""

from __future__ import annotations

from typing import Final

import msgspec

from pipeline.evaluation.minutes import WINDOW_MINUTES
from pipeline.rules.finding import Severity

OTHER: Final = "(other)"
NAMES: Final = 64
"""So many error codes, regions, kinds of devices are counted by name over a lifetime; the others as `OTHER`."""
USERS: Final = 32
"""So many users are kept of a device, the newest."""
_PRUNED_FROM: Final = 96
"""From so many minutes on those that nobody asks for are dropped: not at each event, and the size stays bounded."""

# Places in a minute of the series.
TOTAL: Final = 0
FAILED: Final = 1
PLAYS: Final = 2
WATCHED: Final = 3

ByMinute = dict[str, dict[int, int]]
"""Counts by name and minute."""


class SubjectHealth(msgspec.Struct, array_like=True, gc=False):
    """The figures of one subject. They are changed in place.

    Attributes:
        level: of its subject rule, at the last judged minute; titles and devices only.
        newest: the newest minute with an event.
        hour: the newest hour with an event (see `HealthJudge`, forgetting).
        events: all that were counted.
        playback: those of playback.
        failed: those of them that failed.
        plays: PLAY events.
        failed_starts: see `Window.only_started`.
        watched_ms: see `Window.watched`.
        error_codes: failures by code.
        regions: playback events by region.
        extras: playback events by kind of device; of a device its users with the newest minute of each.
        rules: findings by rule, of a region.
        series: by minute the numbers that the constants above name; not of devices.
        recent_regions: playback events of a device by region and minute.
        recent_codes: failures of a device by code and minute.
    """

    level: Severity | None = None
    newest: int = 0
    hour: int = 0
    events: int = 0
    playback: int = 0
    failed: int = 0
    plays: int = 0
    failed_starts: int = 0
    watched_ms: int = 0
    error_codes: dict[str, int] = {}
    regions: dict[str, int] = {}
    extras: dict[str, int] = {}
    rules: dict[str, int] = {}
    series: dict[int, list[int]] = {}
    recent_regions: ByMinute = {}
    recent_codes: ByMinute = {}

    def minutes(self) -> set[int]:
        """The minutes with playback events that are still known."""
        found = {minute for minute, numbers in self.series.items() if numbers[TOTAL]}
        for by_minute in self.recent_regions.values():
            found.update(by_minute)
        return found

    def sums(self, first: int, last: int) -> tuple[int, int]:
        """Failed and all playback events of the minutes from first to last."""
        if self.series:
            window = [numbers for minute, numbers in self.series.items() if first <= minute <= last]
            return sum([numbers[FAILED] for numbers in window]), sum([numbers[TOTAL] for numbers in window])
        return _sum(self.recent_codes, first, last), _sum(self.recent_regions, first, last)

    def failed_since(self, first: int) -> int:
        """Failed playback events of a minute and all later ones."""
        if self.series:
            return sum([numbers[FAILED] for minute, numbers in self.series.items() if minute >= first])
        return sum(
            [
                count
                for by_minute in self.recent_codes.values()
                for minute, count in by_minute.items()
                if minute >= first
            ]
        )

    def prune(self, judged_through: int) -> list[int]:
        """Drop the minutes that no window will hold again, if there are many; return those of the series."""
        first = judged_through - WINDOW_MINUTES + 1
        old: list[int] = []
        if len(self.series) >= _PRUNED_FROM:
            old = [minute for minute in self.series if minute < first]
            for minute in old:
                del self.series[minute]
        for by_name in (self.recent_regions, self.recent_codes):
            if by_name and max(map(len, by_name.values())) >= _PRUNED_FROM or len(by_name) > NAMES:
                for name in list(by_name):
                    kept = {minute: count for minute, count in by_name[name].items() if minute >= first}
                    if kept:
                        by_name[name] = kept
                    else:
                        del by_name[name]
        return old


def names_between(by_name: ByMinute, first: int, last: int) -> dict[str, int]:
    """The counts by name of the minutes from first to last."""
    sums = {
        name: sum([count for minute, count in by_minute.items() if first <= minute <= last])
        for name, by_minute in by_name.items()
    }
    return {name: count for name, count in sums.items() if count}


def add(counts: dict[str, int], name: str, count: int) -> None:
    """Add to a lifetime count by name; beyond `NAMES` names to that of all others."""
    known = counts.get(name)
    if known is None:
        if len(counts) >= NAMES:
            name = OTHER
        counts[name] = counts.get(name, 0) + count
    else:
        counts[name] = known + count


def _sum(by_name: ByMinute, first: int, last: int) -> int:
    return sum(
        [
            count
            for by_minute in by_name.values()
            for minute, count in by_minute.items()
            if first <= minute <= last
        ]
    )


class TitleMinute(msgspec.Struct, array_like=True, gc=False):
    """One minute of one title: failures by code, playback events by region. Kept apart, as there are many names."""

    error_codes: dict[str, int] = {}
    regions: dict[str, int] = {}


class Seen(msgspec.Struct, array_like=True, frozen=True):
    """Subjects whose newest event became one of the same hour."""

    subjects: tuple[str, ...]


class Part(msgspec.Struct, array_like=True, frozen=True):
    """One part of a unit's last chunk, as it came."""

    value: bytes


class Source(msgspec.Struct, array_like=True):
    """A source partition: its P, and when it was last heard, by the flow clock."""

    time: int | None
    heard: int


class Unit(msgspec.Struct, array_like=True):
    """A partition of the risk agent: the number of its last chunk, and how many parts of it there are."""

    sequence: int
    parts: int


class HealthPartition(msgspec.Struct, array_like=True):
    """What is kept of a partition of `health-partials` beside its subjects.

    Attributes:
        sources: by name.
        units: by number.
        flow: the flow clock, milliseconds.
        newest: the newest timestamp of a record; negative before the first.
        watermark: W.
        judged_through: the last minute that was judged.
        candidates: subjects that may have a level, or get one.
        seen: by hour how many records of `Seen` there are.
        counts: `too_late` events, `verdicts`, `left_out` minutes, `unreadable` messages.
    """

    sources: dict[str, Source] = {}
    units: dict[int, Unit] = {}
    flow: int = 0
    newest: int = -1
    watermark: int | None = None
    judged_through: int | None = None
    candidates: dict[str, None] = {}
    seen: dict[int, int] = {}
    counts: dict[str, int] = {}


HealthValue = SubjectHealth | TitleMinute | HealthPartition | Seen | Part
