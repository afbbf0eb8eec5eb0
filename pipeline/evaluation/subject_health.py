"""What is kept of a title, a region, a plan or a rule: lifetime sums, and the minutes of the last hour."""

from typing import Final

import msgspec

from pipeline.evaluation.minutes import WINDOW_MINUTES
from pipeline.rules.finding import Severity

OTHER: Final = "(other)"
NAMES: Final = 64
"""So many error codes, regions, kinds of devices are counted by name over a lifetime; the others as `OTHER`."""
MINUTE_NAMES: Final = 1_000
"""The same for one minute of a title."""
_PRUNED_FROM: Final = 96
"""From so many minutes on those that nobody asks for are dropped: not at each event, and the size stays bounded."""

# Places in a minute of the series.
TOTAL: Final = 0
FAILED: Final = 1
PLAYS: Final = 2
WATCHED: Final = 3


class SubjectHealth(msgspec.Struct, array_like=True, gc=False):
    """The figures of one title, region, plan or rule. They are changed in place.

    Attributes:
        level: of the subject rule, at the last judged minute; titles only.
        newest: the newest minute with an event.
        hour: the newest hour with an event (see `pipeline.evaluation.forgetting`).
        events: all that were counted.
        playback: those of playback.
        failed: those of them that failed.
        plays: PLAY events.
        failed_starts: see `Window.only_started`.
        watched_ms: see `Window.watched`.
        error_codes: failures by code.
        regions: playback events by region; findings by region, of a rule.
        device_types: playback events by kind of device.
        rules: findings by rule, of a region.
        series: by minute the numbers that the constants above name.
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
    device_types: dict[str, int] = {}
    rules: dict[str, int] = {}
    series: dict[int, list[int]] = {}

    def minutes(self) -> set[int]:
        """The minutes with playback events that are still known."""
        return {minute for minute, numbers in self.series.items() if numbers[TOTAL]}

    def sums(self, first: int, last: int) -> tuple[int, int]:
        """Failed and all playback events of the minutes from first to last."""
        window = [numbers for minute, numbers in self.series.items() if first <= minute <= last]
        return sum([numbers[FAILED] for numbers in window]), sum([numbers[TOTAL] for numbers in window])

    def failed_since(self, first: int) -> int:
        """Failed playback events of a minute and all later ones."""
        return sum([numbers[FAILED] for minute, numbers in self.series.items() if minute >= first])

    def prune(self, judged_through: int) -> list[int]:
        """Drop the minutes that no window will hold again, if there are many, and return them."""
        if len(self.series) < _PRUNED_FROM:
            return []
        first = judged_through - WINDOW_MINUTES + 1
        old = [minute for minute in self.series if minute < first]
        for minute in old:
            del self.series[minute]
        return old


class TitleMinute(msgspec.Struct, array_like=True, gc=False):
    """One minute of one title: failures by code, playback events by region. Kept apart, as there are many names."""

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
