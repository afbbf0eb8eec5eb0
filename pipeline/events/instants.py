"""Instants: RFC 3339 text to and from milliseconds since 1970-01-01T00:00:00Z."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

_FORM: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]"
    r"([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:([Zz])|([+-])([0-9]{2}):([0-9]{2}))"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS_OF_400_YEARS: Final = 146_097
_FORMATTED: Final = len("2026-01-31T20:15:00.000Z")
_MS: Final = timedelta(milliseconds=1)
EARLIEST_MS: Final = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MS
LATEST_MS: Final = (datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC) - _EPOCH) // _MS


def parse_instant(text: str) -> int:
    """Milliseconds since 1970 of an RFC 3339 date-time with `Z` or an offset.

    Digits after the millisecond are cut off. Second 60 is refused, and so is an instant whose year in UTC is not 1 to
    9999. A local year 0000 is accepted if the offset moves it into UTC year 1.

    Raises:
        ValueError: with a message for the producer.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError("must be an RFC 3339 date-time with Z or an offset, like 2026-01-31T20:15:00.000Z")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction, _, sign, offset_hour, offset_minute = found.groups()[6:]
    # `datetime` has no year 0. The calendar repeats every 400 years, so compute in year 400.
    cycles = 1 if year == 0 else 0
    try:
        local = datetime(year + 400 * cycles, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"is not a date and time: {error}") from None
    milliseconds = (local - _EPOCH) // _MS - cycles * _DAYS_OF_400_YEARS * 86_400_000
    if fraction is not None:
        milliseconds += int(fraction[:3].ljust(3, "0"))
    if sign is not None:
        hours, minutes = int(offset_hour), int(offset_minute)
        if hours > 23 or minutes > 59:  # noqa: PLR2004 - the limits of a clock
            raise ValueError(f"has no such offset: {sign}{offset_hour}:{offset_minute}")
        offset = (hours * 60 + minutes) * 60_000
        milliseconds += -offset if sign == "+" else offset
    if not EARLIEST_MS <= milliseconds <= LATEST_MS:
        raise ValueError("lies outside the UTC years 1 to 9999")
    return milliseconds


def format_instant(milliseconds: int) -> str:
    """RFC 3339 with milliseconds and Z, as in every output."""
    second, millisecond = divmod(milliseconds, 1000)
    return f"{_format_second(second)}.{millisecond:03d}Z"


def parse_formatted(text: str) -> int:
    """The inverse of `format_instant`, for texts that it made.

    Raises:
        ValueError: the text does not have that form.
    """
    if len(text) != _FORMATTED or text[19] != "." or text[23] != "Z":
        raise ValueError(f"{text!r} is not RFC 3339 with milliseconds and Z")
    return _parse_second(text[:19]) + int(text[20:23])


@lru_cache(maxsize=65_536)
def _parse_second(text: str) -> int:
    return parse_instant(f"{text}Z")


@lru_cache(maxsize=65_536)
def _format_second(second: int) -> str:
    """Date and time of a whole second since 1970.

    A bound of a window can be an hour outside the years of `datetime`. The calendar repeats every 400 years.
    """
    cycles = -1 if second * 1000 < EARLIEST_MS else 1 if second * 1000 > LATEST_MS else 0
    moment = _EPOCH + timedelta(days=-cycles * _DAYS_OF_400_YEARS, seconds=second)
    return f"{moment.year + 400 * cycles:04d}-{moment:%m-%dT%H:%M:%S}"
