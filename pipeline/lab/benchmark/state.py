"""The size of a user's state: the newest value of every key in the changelog."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Final

from pipeline.lab.benchmark.clients import read_to_end
from pipeline.lab.benchmark.load import EVENTS_PER_USER_HOUR
from tables.forms import Kind
from tables.users import decode_user

if TYPE_CHECKING:
    from pipeline.settings.schema import Settings

_NEAR: Final = 3
_USER: Final = bytes((Kind.USER,))


@dataclass(frozen=True, slots=True)
class StateSize:
    """The state in the changelog.

    Attributes:
        users: their number.
        changelog_records: records in the topic, older values included.
        bytes_per_user: key and value, on average.
        events_per_user: in the window, on average.
        bytes_at_60_events: on average of users with 57 to 63 events in the hour; None if there are none.
    """

    users: int
    changelog_records: int
    bytes_per_user: float
    events_per_user: float
    bytes_at_60_events: float | None


def measure_state(settings: Settings, changelog: str) -> StateSize:
    """Read a changelog.

    Args:
        settings: of the brokers.
        changelog: the topic's full name.

    Raises:
        MissingError: it cannot be read.
    """
    newest: dict[bytes, bytes] = {}

    def take(key: bytes, value: bytes | None) -> None:
        if value is not None and value.startswith(_USER):
            newest[key] = value

    records = read_to_end(settings, changelog, take)
    sizes = [len(key) + len(value) for key, value in newest.items()]
    events = [len(decode_user(value).window.entries) for value in newest.values()]
    full = [
        size for size, count in zip(sizes, events, strict=True) if abs(count - EVENTS_PER_USER_HOUR) <= _NEAR
    ]
    return StateSize(
        users=len(newest),
        changelog_records=records,
        bytes_per_user=fmean(sizes) if sizes else 0.0,
        events_per_user=fmean(events) if events else 0.0,
        bytes_at_60_events=fmean(full) if full else None,
    )
