"""Minutes of event time: in which one an event counts, and when one is judged."""

from typing import Final

MINUTE_MS: Final = 60_000
WINDOW_MINUTES: Final = 60
GRACE_MS: Final = 60_000
"""A minute is judged when the watermark is this far past its end; stragglers count in a later minute."""


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
