"""What is known of users who stayed away is erased: a few records are looked at with each commit.

Who comes back after 30 days starts anew anyway (`UserState.idle`); who does not would be kept for ever. So this changes
no verdict, as long as nothing is erased of a user who could still send an event that is not 30 days after the last.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from pipeline.delivery.state.unit import State
from pipeline.evaluation.batch import Erased, PartitionState
from pipeline.titles.notes import Notes
from pipeline.windows.user import IDLE_MS, UserState
from tables.forms import WireError
from tables.risk import (
    PARTITION_KEY,
    USER_KEYS,
    RiskValue,
    note_erased,
    partition_state,
    user_of,
)
from tables.users import decode_without_window, last_record_time_of

MARGIN_MS: Final = 24 * 3_600_000
"""Added to the 30 days: a re-keyed record keeps its first timestamp, and may be on its way for so long."""
TOGETHER: Final = 100
"""So many records are looked at with a commit. With a commit a second 100,000 users take 17 minutes."""
_ERASED_TOGETHER: Final = 20
"""Then others have their turn. A look at a hundred records takes about 0.1 ms, and so do twenty erasures, where each
window has 60 events."""


class IdleUsers:
    """Finds and erases them.

    Time goes by the broker's timestamps on `raw-events`: a producer with a wrong clock must not erase everybody. Where
    the topic has the producers' timestamps nothing is erased before a user comes back.

    Nothing but the place where it goes on is kept between commits. The time is that of the records of this commit: one
    that was seen earlier, or is read ahead, could be later than what the state holds, after a crash or in a backlog.

    Args:
        idle_ms: so long after the last judged event.
        together: records that are looked at with a commit.
    """

    def __init__(self, idle_ms: int = IDLE_MS + MARGIN_MS, together: int = TOGETHER) -> None:
        self._idle_ms = idle_ms
        self._together = together
        self._next: dict[int, bytes] = {}

    def at_commit(self, unit: State[RiskValue], notes: Sequence[Notes]) -> Iterator[None]:
        """Look at some more users of a partition; what is erased is part of the commit.

        Args:
            unit: all that the notes are of is in it.
            notes: since the last commit.

        Yields:
            between pieces of work.
        """
        now = max([some.stamped for some in notes if some.stamped is not None], default=None)
        if now is None:
            return
        page = unit.stored(self._next.get(unit.partition, USER_KEYS), self._together)
        users = [(key, value) for key, value in page if key.startswith(USER_KEYS)]
        self._next[unit.partition] = users[-1][0] + b"\0" if len(users) == self._together else USER_KEYS
        before = now - self._idle_ms
        # The newest value may not be stored yet. By the stored one a user may seem idle, who is looked at again; or not
        # idle yet, whose turn is the next one.
        idle = [(key, value) for key, value in users if _last_record_time(value) < before]
        if not idle:
            return
        yield None
        partition = partition_state(unit)
        for number, (key, value) in enumerate(idle, 1):
            # What cannot be read stays: the next event of the user tells, as a failed one.
            with suppress(WireError):
                _erase(unit, partition, key, value, before, now)
            if not number % _ERASED_TOGETHER:
                yield None
        unit[PARTITION_KEY] = partition


def _last_record_time(value: bytes) -> float:
    """Of a stored user; infinite where there is none, or it cannot be read."""
    try:
        time = last_record_time_of(value)
    except WireError:
        return float("inf")
    return float("inf") if time < 0 else time


def _erase(
    unit: State[RiskValue], partition: PartitionState, key: bytes, value: bytes, before: int, now: int
) -> None:
    state = unit.get(key) if unit.in_memory(key) else decode_without_window(value)
    if not isinstance(state, UserState) or not 0 <= state.last_record_time < before:
        return
    place = state.last_place
    note_erased(unit, partition, Erased(user_of(key), now, None if place is None else place.region))
    rest = state.erased()
    if rest is None:
        unit.discard(key)
    else:
        unit[key] = rest
