"""What is known of users who stayed away is erased: a few records are looked at with each commit.

Who comes back after 30 days starts anew anyway (`UserState.idle`); who does not would be kept for ever. So this changes
no verdict, as long as nothing is erased of a user who could still send an event that is not 30 days after the last.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from pipeline.delivery.unit import State
from pipeline.windows.user import IDLE_MS, UserState
from tables.risk import (
    PARTITION_KEY,
    USER_KEYS,
    RiskValue,
    note_erased,
    partition_state,
    user_of,
)
from tables.users import last_record_time_of

MARGIN_MS: Final = 24 * 3_600_000
"""Added to the 30 days: a re-keyed record keeps its first timestamp, and may be on its way for so long."""
TOGETHER: Final = 100
"""So many records are looked at with a commit: about 0.2 ms. With a commit a second 100,000 users take 17 minutes."""
_STAMPED_BY_BROKER: Final = 1  # Kafka: LogAppendTime


class Stamped(Protocol):
    """A record with its Kafka timestamp, and who made it."""

    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970; negative for none."""
        ...

    @property
    def timestamp_type(self) -> int:
        """0: the producer's, 1: the broker's."""
        ...


class IdleUsers:
    """Finds and erases them.

    Time goes by the broker's timestamps on `raw-events`: a producer with a wrong clock must not erase everybody. Where
    the topic has the producers' timestamps nothing is erased before a user comes back.

    Args:
        idle_ms: so long after the last judged event.
        together: records that are looked at with a commit.
    """

    def __init__(self, idle_ms: int = IDLE_MS + MARGIN_MS, together: int = TOGETHER) -> None:
        self._idle_ms = idle_ms
        self._together = together
        self._newest: dict[int, int] = {}
        self._next: dict[int, bytes] = {}

    def observe(self, partition: int, records: Sequence[Stamped]) -> None:
        """Take note of the time that records of `raw-events` tell."""
        last = records[-1]
        if last.timestamp_type == _STAMPED_BY_BROKER:
            self._newest[partition] = max(last.timestamp, self._newest.get(partition, 0))

    def at_commit(self, unit: State[RiskValue]) -> None:
        """Look at some more users of a partition; what is erased is part of the commit."""
        newest = self._newest.get(unit.partition)
        if newest is None:
            return
        page = unit.stored(self._next.get(unit.partition, USER_KEYS), self._together)
        users = [(key, value) for key, value in page if key.startswith(USER_KEYS)]
        before = newest - self._idle_ms
        # The newest value may not be stored yet; it is never older than the stored one.
        idle = [key for key, value in users if 0 <= last_record_time_of(value) < before]
        erased = sum([self._erase(unit, key, before, newest) for key in idle])
        if erased:
            partition = partition_state(unit)
            partition.counts["erased"] = partition.counts.get("erased", 0) + erased
            unit[PARTITION_KEY] = partition
        self._next[unit.partition] = users[-1][0] + b"\0" if len(users) == self._together else USER_KEYS

    def _erase(self, unit: State[RiskValue], key: bytes, before: int, now: int) -> bool:
        state = unit.get(key)
        if not isinstance(state, UserState) or not 0 <= state.last_record_time < before:
            return False
        rest = state.erased()
        if rest is None:
            unit.discard(key)
        else:
            unit[key] = rest
        place = state.last_place
        note_erased(unit, user_of(key), now, None if place is None else place.region)
        return True
