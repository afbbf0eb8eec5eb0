"""Minutes of event time: in which one an event counts, and when one is judged."""

from itertools import takewhile
from typing import Any, Final

MINUTE_MS: Final = 60_000
WINDOW_MINUTES: Final = 60
GRACE_MS: Final = 60_000
"""A minute is judged when the watermark is this far past its end; stragglers count in a later minute."""


_PRUNED_FROM: Final = 96
"""From so many minutes on those that no window will hold again are dropped from a series: not at each event."""


def counted_minute(time: int, partition_time: int | None) -> int | None:
    """The minute (whole minutes since 1970) in which an event counts.

    The later of its own and that of P - 60 s, with P as it stood before the event; None for one that is more
    than 60 minutes behind P.
    """
    if partition_time is None:
        return time // MINUTE_MS
    if time < partition_time - WINDOW_MINUTES * MINUTE_MS:
        return None
    return max(time, partition_time - GRACE_MS) // MINUTE_MS


def last_closed(watermark: int) -> int:
    """The last minute that a watermark (milliseconds since 1970) closes."""
    return (watermark - GRACE_MS) // MINUTE_MS - 1


def prune(series: dict[int, Any], judged_through: int) -> None:
    """Drop the oldest minutes of a long series that no window will hold again.

    One that came after newer ones goes with them: the time of this is that of the minutes that go.
    """
    if len(series) >= _PRUNED_FROM:
        first = judged_through - WINDOW_MINUTES + 1
        for minute in list(takewhile(lambda minute: minute < first, series)):
            del series[minute]
