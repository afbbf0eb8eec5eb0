"""The sliding hour of one user, as a value.

The window is (S - 3600 s, S], where S is the user's stream time: the largest event time accepted. Unless it is
saturated, it depends on the set of accepted events and not on their order. It keeps counts beside the entries, so that
a rule's query costs the same for every size of the window.

         S - 3600 s                          S
              |    e1   e2       e3   e4     e5        e1 ... e5 are in the window
    e0        |                                        e0 is expired: it left when S moved past e0 + 3600 s
              |         ^ e6                           e6 arrives out of order and is inserted by time
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from itertools import takewhile
from operator import itemgetter
from typing import Final

from pipeline.windows.entry import (
    FAILS,
    FAILS_LOGIN,
    NEUTRAL,
    PLAYING,
    PLAYS,
    RELEASES,
    ROLES,
    START_FAILS,
    STARTS,
    Entry,
)
from pipeline.windows.tally import Tally

WINDOW_MS: Final = 3_600_000
PLAYING_MS: Final = 900_000
"""A device that is silent for 15 minutes, which is 15 missed heartbeats, no longer plays."""
MAX_ENTRIES: Final = 4_096
"""Limits what one user can cost. 4,096 events are more than one event a second for the whole hour."""

_SIGNS: Final = frozenset({PLAYS, RELEASES, STARTS, START_FAILS, FAILS})
"""The roles that concern playing."""


_time = itemgetter(0)


class Window:
    """The window of one user and its counts. Times are in milliseconds since 1970."""

    __slots__ = (
        "_by_identity",
        "_played",
        "_released",
        "entries",
        "left_early",
        "login_failures",
        "networks",
        "regions",
        "tally",
    )

    def __init__(self, entries: Iterable[Entry] = (), left_early: int | None = None) -> None:
        """Make a window of entries that are ordered by time, then by arrival."""
        self.entries = list(entries)
        self.left_early = left_early
        """The latest time of an entry that left because the window was full; None where none did."""
        self.regions: dict[str, int] = {}
        self.networks: dict[str, int] = {}
        self.login_failures = 0
        self.tally: Tally | None = None
        """The counts for the anomaly model; None until `tallied` is called for the first time."""
        self._by_identity: dict[int, Entry] = {}
        self._played: dict[str, int] = {}
        self._released: dict[str, int] = {}
        if self.entries:
            self.rebuild()

    def rebuild(self) -> None:
        """Compute the counts from the entries."""
        entries = self.entries
        self.regions = dict(Counter(entry.region for entry in entries))
        self.networks = dict(Counter(entry.network for entry in entries))
        self.login_failures = sum(entry.role == FAILS_LOGIN for entry in entries)
        self.tally = None
        self._by_identity = {entry.identity: entry for entry in entries}
        # The entries are ordered by time, so the last one of a device is its newest.
        self._played = {entry.device: entry.time for entry in entries if entry.role in PLAYING}
        self._released = {entry.device: entry.time for entry in entries if entry.role == RELEASES}

    def __len__(self) -> int:
        return len(self.entries)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Window):
            return NotImplemented
        return self.entries == other.entries and self.left_early == other.left_early

    __hash__ = None  # type: ignore[assignment]  # a window changes

    def find(self, identity: int, stream_time: int) -> Entry | None:
        """The entry with this identity that is in the window at `stream_time`."""
        entry = self._by_identity.get(identity)
        return entry if entry is not None and entry.time > stream_time - WINDOW_MS else None

    def tallied(self) -> Tally:
        """The counts for the anomaly model. From the first call on, `observe` keeps them up to date."""
        if self.tally is None:
            self.tally = Tally(self.entries)
        return self.tally

    def observe(self, entry: Entry, stream_time: int) -> list[Entry]:
        """Add an entry, and return the entries that left the window, oldest first.

        Args:
            entry: the entry. It must not be expired, and its identity must not be in the window.
            stream_time: the stream time after the entry.
        """
        entries = self.entries
        horizon = stream_time - WINDOW_MS
        left = self._expire(horizon) if entries and entries[0][0] <= horizon else []
        time, identity, _, region, network, device, kind, _ = entry
        role, tally = ROLES[kind], self.tally
        if not entries or entries[-1][0] <= time:
            if tally is not None:
                tally.add(entries[-1] if entries else None, entry, None)
            entries.append(entry)
        else:
            place = bisect_right(entries, time, key=_time)
            if tally is not None:
                tally.add(entries[place - 1] if place else None, entry, entries[place])
            entries.insert(place, entry)
        self._by_identity[identity] = entry
        regions, networks = self.regions, self.networks
        regions[region] = regions.get(region, 0) + 1
        networks[network] = networks.get(network, 0) + 1
        if role == FAILS_LOGIN:
            self.login_failures += 1
        elif role != NEUTRAL and role != FAILS:  # noqa: PLR1714 - runs on every event; a set would be slower
            newest = self._released if role == RELEASES else self._played
            if newest.get(device, time) <= time:
                newest[device] = time
        if len(entries) > MAX_ENTRIES:
            left.append(self._drop_oldest())
        return left

    def undo(self, entry: Entry, left: list[Entry], left_early: int | None) -> None:
        """Undo an `observe` that returned `left`. `left_early` is the value from before it."""
        self.entries = [old for old in (*left, *self.entries) if old is not entry]
        self.left_early = left_early
        self.rebuild()

    def saturated(self, stream_time: int) -> bool:
        """Whether an entry that left early would still be in the window."""
        return self.left_early is not None and self.left_early > stream_time - WINDOW_MS

    def playing(self, stream_time: int, more_than: int = 0) -> list[str]:
        """The devices that play at `stream_time`, in no particular order.

        The result is also empty if there cannot be more than `more_than` of them: that is cheap to see in most windows.
        """
        if len(self._played) <= more_than:
            return []
        limit, released = stream_time - PLAYING_MS, self._released
        return [
            device
            for device, played in self._played.items()
            if played > limit and played > released.get(device, limit)
        ]

    def watched(self, device: str, time: int) -> int:
        """How long a device has played up to `time`, in milliseconds, since its last sign of playing.

        It is 0 if the device released the stream since, if `time` is not after that sign, and if the gap is longer than
        `PLAYING_MS`, because nobody knows what happened in it.
        """
        played = self._played.get(device)
        if (
            played is None
            or played >= time
            or time - played > PLAYING_MS
            or self._released.get(device, -1) >= played
        ):
            return 0
        return time - played

    def only_started(self, device: str, time: int) -> bool:
        """Whether the last sign of a device up to `time` is a PLAY: it has not played on, released or failed since."""
        for entry in reversed(self.entries):
            if entry.time <= time and entry.device == device and entry.role in _SIGNS:
                return entry.role == STARTS
        return False

    def _expire(self, horizon: int) -> list[Entry]:
        """Remove the entries up to the time `horizon`, of which there must be one, and return them, oldest first."""
        entries = self.entries
        cut, count = 1, len(entries)
        # Usually one entry leaves when one comes, so counting is faster than bisecting.
        while cut < count and entries[cut][0] <= horizon:
            cut += 1
        left = entries[:cut]
        del entries[:cut]
        for old in left:
            self._discount(old)
        if self.tally is not None:
            for number, old in enumerate(left, 1):
                self.tally.remove_first(
                    old, left[number] if number < cut else entries[0] if entries else None
                )
        return left

    def _discount(self, entry: Entry) -> None:
        time, identity, _, region, network, device, kind, _ = entry
        role = ROLES[kind]
        if self._by_identity.get(identity) is entry:
            del self._by_identity[identity]
        regions, networks = self.regions, self.networks
        remaining = regions[region] - 1
        if remaining:
            regions[region] = remaining
        else:
            del regions[region]
        remaining = networks[network] - 1
        if remaining:
            networks[network] = remaining
        else:
            del networks[network]
        if role == FAILS_LOGIN:
            self.login_failures -= 1
        elif role != NEUTRAL and role != FAILS:  # noqa: PLR1714 - as in observe
            # Entries leave in order of time, so when a device's newest leaves, its others have left before.
            newest = self._released if role == RELEASES else self._played
            if newest.get(device) == time:
                del newest[device]

    def _drop_oldest(self) -> Entry:
        """Remove the oldest entry because the window is full."""
        oldest = self.entries.pop(0)
        self._discount(oldest)
        if self.tally is not None:
            self.tally.remove_first(oldest, self.entries[0])
        playing = oldest.role in PLAYING
        if playing or oldest.role == RELEASES:
            # An entry of the same device and time may remain, and then its sign still holds.
            newest = self._played if playing else self._released
            for tie in takewhile(lambda entry: entry.time == oldest.time, self.entries):
                if tie.device == oldest.device and (tie.role in PLAYING if playing else tie.role == RELEASES):
                    newest.setdefault(tie.device, tie.time)
        if self.left_early is None or self.left_early < oldest.time:
            self.left_early = oldest.time
        return oldest
