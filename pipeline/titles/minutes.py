"""Minutes of event time: which minute an event counts in, and which minutes a watermark closes."""

from typing import Final

MINUTE_MS: Final = 60_000
WINDOW_MINUTES: Final = 60
GRACE_MS: Final = 60_000
"""A minute is judged when the watermark is this far past its end. Events that arrive later count in a later minute."""


def counted_minute(time: int, partition_time: int | None) -> int | None:
    """The minute (whole minutes since 1970) in which an event counts.

    It is the later one of the event's own minute and the minute of P - 60 s, with the partition time P before the
    event. An event more than 60 minutes behind P counts in none.
    """
    if partition_time is None:
        return time // MINUTE_MS
    if time < partition_time - WINDOW_MINUTES * MINUTE_MS:
        return None
    return max(time, partition_time - GRACE_MS) // MINUTE_MS


def last_closed(watermark: int) -> int:
    """The last minute that a watermark (milliseconds since 1970) closes."""
    return (watermark - GRACE_MS) // MINUTE_MS - 1
