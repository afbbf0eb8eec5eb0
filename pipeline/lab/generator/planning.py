"""From the options of the command line to a plan: what is not given follows from what is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.events.instants import format_instant, parse_instant
from pipeline.lab.generator.casting import EVENTS_PER_USER_HOUR, FEWEST_USERS, capacity
from pipeline.lab.generator.schedule import LiveSchedule, PastSchedule
from pipeline.lab.generator.world import HOUR_MS, MINUTE_MS

if TYPE_CHECKING:
    from pipeline.lab.generator.schedule import Schedule

DEFAULT_EVENTS = 10_000
_COMFORTABLE_PER_USER_HOUR = 6.0
_COMFORTABLE_PER_USER = 40
_DEFAULT_FEWEST_USERS = 60
_SHORTEST_DEFAULT_H = 2.0
_UNITS_MS = {"s": 1000, "m": MINUTE_MS, "h": HOUR_MS, "d": 24 * HOUR_MS}
_DURATION = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>[smhd])")


@dataclass(frozen=True, slots=True)
class Stretch:
    """When and how much, as it was asked for; None = not said.

    Attributes:
        events: number of events, 0 = without end.
        users: size of the audience.
        rate: events a second of the clock, 0 = as fast as it goes.
        start_ms: `--from`.
        until_ms: `--until`.
        duration_ms: `--duration`.
        history_ms: how far before now a live run begins.
    """

    events: int | None = None
    users: int | None = None
    rate: float = 0.0
    start_ms: int | None = None
    until_ms: int | None = None
    duration_ms: int | None = None
    history_ms: int = HOUR_MS

    @property
    def is_live(self) -> bool:
        """It follows the clock: it has a rate, and no past stretch was named."""
        return self.rate > 0 and self.start_ms is None and self.until_ms is None and self.duration_ms is None


def parse_time(option: str, text: str) -> int:
    """Milliseconds since 1970 of an RFC 3339 instant.

    Raises:
        UsageError: it is none.
    """
    try:
        return parse_instant(text)
    except ValueError as error:
        raise UsageError(f"{option} {text} {error}") from error


def parse_duration(option: str, text: str) -> int:
    """Milliseconds of a duration such as 90m, 6h or 2d.

    Raises:
        UsageError: it is none.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise UsageError(f"{option} {text} is not a duration; write it like 90m, 6h or 2d")
    return round(float(match["number"]) * _UNITS_MS[match["unit"]])


def settle(asked: Stretch, now_ms: int) -> tuple[Schedule, int]:
    """The schedule and the size of the audience.

    Args:
        asked: what the options say.
        now_ms: the clock; no event time is ever ahead of it.

    Raises:
        UsageError: the options contradict each other, or what they ask for cannot be.
    """
    if asked.users is not None and asked.users < FEWEST_USERS:
        raise UsageError(f"--users {asked.users} is too few for an audience; at least {FEWEST_USERS}")
    return _live(asked, now_ms) if asked.is_live else _past(asked, now_ms)


def _live(asked: Stretch, now_ms: int) -> tuple[Schedule, int]:
    events = asked.events or None
    wanted = asked.rate * HOUR_MS / 1000
    users = asked.users
    if users is None:
        comfortable = ceil(wanted / _COMFORTABLE_PER_USER_HOUR)
        users = max(_DEFAULT_FEWEST_USERS, comfortable if events is None else min(comfortable, events))
    elif users * EVENTS_PER_USER_HOUR < wanted and (events is None or capacity(users, 0) < events):
        enough = ceil(wanted / EVENTS_PER_USER_HOUR)
        raise UsageError(
            f"{users} users do not send {asked.rate:g} events a second all day; give --users {enough} or "
            "more, a lower --rate, or a --duration of the past to send at that rate"
        )
    return LiveSchedule(now_ms, asked.rate, asked.history_ms, events), users


def _past(asked: Stretch, now_ms: int) -> tuple[Schedule, int]:
    if asked.events == 0:
        raise UsageError(
            "--events 0 (without end) needs a --rate and neither --from, --until nor --duration: "
            "it follows the clock"
        )
    events = DEFAULT_EVENTS if asked.events is None else asked.events
    length_ms = _length(asked, events, now_ms)
    end_ms = asked.until_ms
    if end_ms is None:
        end_ms = now_ms if asked.start_ms is None else asked.start_ms + length_ms
    start_ms = end_ms - length_ms
    if end_ms > now_ms:
        raise UsageError(
            f"the stretch would end at {format_instant(end_ms)}, ahead of the clock "
            f"({format_instant(now_ms)}); no event comes from the future: choose an earlier --from or "
            "--until, or a shorter --duration"
        )
    if length_ms < MINUTE_MS:
        raise UsageError(
            f"from {format_instant(start_ms)} until {format_instant(end_ms)} is less than a minute; "
            "choose a longer stretch"
        )
    hours = length_ms / HOUR_MS
    users = asked.users
    if users is None:
        users = max(_DEFAULT_FEWEST_USERS, ceil(events / max(0.8, _COMFORTABLE_PER_USER_HOUR * hours)))
    elif capacity(users, hours) < events:
        raise UsageError(
            f"{users} users do not send {events} events in {hours:.1f} hours; give more --users, "
            "a longer --duration or fewer --events"
        )
    return PastSchedule(start_ms, end_ms, events), users


def _length(asked: Stretch, events: int, now_ms: int) -> int:
    """How long the past stretch is, in milliseconds."""
    if asked.start_ms is not None and asked.until_ms is not None:
        if asked.duration_ms is not None:
            raise UsageError("--from, --until and --duration: two of them say it all, give only two")
        if asked.until_ms <= asked.start_ms:
            raise UsageError(
                f"--until {format_instant(asked.until_ms)} is not after "
                f"--from {format_instant(asked.start_ms)}"
            )
        return asked.until_ms - asked.start_ms
    if asked.duration_ms is not None:
        return asked.duration_ms
    users = asked.users or max(_DEFAULT_FEWEST_USERS, events // _COMFORTABLE_PER_USER)
    usual_ms = round(max(_SHORTEST_DEFAULT_H, events / (users * _COMFORTABLE_PER_USER_HOUR)) * HOUR_MS)
    if asked.start_ms is None:
        return usual_ms
    return max(0, min(usual_ms, now_ms - asked.start_ms))
