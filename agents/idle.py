"""Erases idle users: each commit looks at a few stored users and erases those without an event for 31 days.

A user who comes back after 30 days starts anew anyway (`UserState.idle`), so the erasure changes no verdict. Without it
users who never come back would be stored for ever. Decision 46 has the reasons.
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
    partition_state,
    record_erasure,
    user_of,
)
from tables.users import decode_without_window, last_record_time_of

MARGIN_MS: Final = 24 * 3_600_000
"""Added to the 30 days, because a re-keyed record keeps its first timestamp and may arrive this much later."""
PAGE: Final = 100
"""The number of users that one commit looks at. With one commit a second, 100,000 users take 17 minutes."""
_ERASURES: Final = 20
"""The number of erasures without a break. Looking at 100 users takes about 0.1 ms; so do 20 erasures of users with 60
events in their window."""


class IdleUsers:
    """Finds and erases idle users. The delivery calls `at_commit` before each commit of a partition.

    Time is the newest timestamp that the broker made on `raw-events` among the records of this commit:

    * The broker's timestamp, because a producer with a wrong clock must not erase everybody. Where the topic has the
      producers' timestamps, nothing is erased here.
    * Of this commit only, because a timestamp that was seen earlier or fetched ahead may be later than the state, after
      a crash or in a backlog.

    So nothing is remembered between commits but the key at which the next page begins.

    Args:
        idle_ms: how long after the last judged event a user is erased.
        page: the number of users that one commit looks at.
    """

    def __init__(self, idle_ms: int = IDLE_MS + MARGIN_MS, page: int = PAGE) -> None:
        self._idle_ms = idle_ms
        self._page = page
        self._next: dict[int, bytes] = {}

    def at_commit(self, unit: State[RiskValue], notes: Sequence[Notes]) -> Iterator[None]:
        """Look at the next page of a partition's users. The erasures become part of the commit.

        Args:
            unit: the partition. It must hold the effect of every record that the notes are about.
            notes: the notes since the last commit.

        Yields:
            None between pieces of work, so that the event loop can run other tasks.
        """
        now = max([some.stamped for some in notes if some.stamped is not None], default=None)
        if now is None:
            return
        page = unit.stored(self._next.get(unit.partition, USER_KEYS), self._page)
        users = [(key, value) for key, value in page if key.startswith(USER_KEYS)]
        self._next[unit.partition] = users[-1][0] + b"\0" if len(users) == self._page else USER_KEYS
        before = now - self._idle_ms
        # The stored copy may be stale: a false "idle" is checked again in `_erase`, a false "active" is found when the
        # pages come round again.
        idle = [(key, value) for key, value in users if _last_record_time(value) < before]
        if not idle:
            return
        yield None
        partition = partition_state(unit)
        for number, (key, value) in enumerate(idle, 1):
            # A record that cannot be read stays. The next event of its user becomes a failed event, which says so.
            with suppress(WireError):
                _erase(unit, partition, key, value, before, now)
            if not number % _ERASURES:
                yield None
        unit[PARTITION_KEY] = partition


def _last_record_time(value: bytes) -> float:
    """The record time of a stored user's last event; infinite where there is none or the value cannot be read."""
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
    record_erasure(unit, partition, Erased(user_of(key), now, None if place is None else place.region))
    rest = state.erased()
    if rest is None:
        unit.discard(key)
    else:
        unit[key] = rest
