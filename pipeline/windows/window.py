"""The sliding hour of one user, as a value.

The window is (S - 3600 s, S], with S the user's stream time: the largest event time accepted. It is a
function of the set of accepted events, not of their order (as long as it is not saturated). Beside the
entries it keeps counts, so that a rule's question costs the same whatever the window holds.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from itertools import takewhile
from operator import itemgetter
from typing import Final, NamedTuple

WINDOW_MS: Final = 3_600_000
PLAYING_MS: Final = 900_000
"""A device that has been silent for 15 minutes plays no longer: 15 missed heartbeats."""
MAX_ENTRIES: Final = 4_096
"""Bounds what one user can cost. 4,096 an hour is more than one event a second for the whole hour."""

# What an entry means for streams and log-ins.
NEUTRAL: Final = 0
PLAYS: Final = 1
RELEASES: Final = 2
FAILS_LOGIN: Final = 3
STARTS: Final = 4
"""Plays, and began to: a PLAY."""
START_FAILS: Final = 5
"""Plays by its type, and says itself that it failed to: a PLAY with an error code."""
FAILS: Final = 6
"""An ERROR: neither plays nor releases."""

ROLES: Final = {
    "PLAY": STARTS,
    "RESUME": PLAYS,
    "HEARTBEAT": PLAYS,
    "SEEK": PLAYS,
    "BUFFERING": PLAYS,
    "PAUSE": RELEASES,
    "STOP": RELEASES,
    "LOGOUT": RELEASES,
    "ERROR": FAILS,
    "LOGIN_FAILED": FAILS_LOGIN,
    "TOKEN_REFRESH_FAILED": FAILS_LOGIN,
}

PLAYING: Final = frozenset({PLAYS, STARTS, START_FAILS})
"""After these a device plays."""
_SIGNS: Final = frozenset({PLAYS, RELEASES, STARTS, START_FAILS, FAILS})
"""What tells of a device's playing."""


class Entry(NamedTuple):
    """One event in the window.

    `identity` and `content` are 64-bit hashes of the event's id and of its normal form.
    """

    time: int
    identity: int
    content: int
    region: str
    network: str
    device: str
    role: int


_time = itemgetter(0)


class Window:
    """The window of one user and its counts. Times in milliseconds."""

    __slots__ = (
        "_by_identity",
        "_played",
        "_released",
        "entries",
        "left_early",
        "login_failures",
        "networks",
        "regions",
    )

    def __init__(self, entries: Iterable[Entry] = (), left_early: int | None = None) -> None:
        """A window from entries in order of time, then arrival."""
        self.entries = list(entries)
        self.left_early = left_early
        """The latest time of an entry that left because the window was full, not because of its age."""
        self.regions: dict[str, int] = {}
        self.networks: dict[str, int] = {}
        self.login_failures = 0
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
        self._by_identity = {entry.identity: entry for entry in entries}
        # In order of time, so that a device's last entry of a role is its newest.
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

    def observe(self, entry: Entry, stream_time: int) -> list[Entry]:
        """Fold an entry in, with the stream time that it leaves; return the entries that left, oldest first.

        The caller knows that the entry is not expired and that its identity is not in the window.
        """
        entries = self.entries
        horizon = stream_time - WINDOW_MS
        left = self._expire(horizon) if entries and entries[0][0] <= horizon else []
        time, identity, _, region, network, device, role = entry
        if not entries or entries[-1][0] <= time:
            entries.append(entry)
        else:
            entries.insert(bisect_right(entries, time, key=_time), entry)
        self._by_identity[identity] = entry
        regions, networks = self.regions, self.networks
        regions[region] = regions.get(region, 0) + 1
        networks[network] = networks.get(network, 0) + 1
        if role == FAILS_LOGIN:
            self.login_failures += 1
        elif role != NEUTRAL and role != FAILS:  # noqa: PLR1714 - on every event, and faster than a set
            newest = self._released if role == RELEASES else self._played
            if newest.get(device, time) <= time:
                newest[device] = time
        if len(entries) > MAX_ENTRIES:
            left.append(self._drop_oldest())
        return left

    def undo(self, entry: Entry, left: list[Entry], left_early: int | None) -> None:
        """Take back an `observe` that returned `left`; `left_early` as it was before."""
        self.entries = [old for old in (*left, *self.entries) if old is not entry]
        self.left_early = left_early
        self.rebuild()

    def saturated(self, stream_time: int) -> bool:
        """Whether an entry that left early would still be in the window."""
        return self.left_early is not None and self.left_early > stream_time - WINDOW_MS

    def playing(self, stream_time: int, more_than: int = 0) -> list[str]:
        """The devices that play at `stream_time`, in no particular order.

        Empty too where the window cannot hold `more_than` of them: most windows answer by a length.
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
        """Milliseconds for which a device has played up to a time, since its last sign of it.

        0 where it released the stream since, where the time is not newer than that sign, and where the gap is longer
        than `PLAYING_MS`: nobody knows what happened meanwhile.
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
        """Whether a device's last sign before or at a time is a PLAY: neither played on, released nor failed since."""
        for entry in reversed(self.entries):
            if entry.time <= time and entry.device == device and entry.role in _SIGNS:
                return entry.role == STARTS
        return False

    def _expire(self, horizon: int) -> list[Entry]:
        """Let the entries up to this time leave, at least one; oldest first."""
        entries = self.entries
        cut, count = 1, len(entries)
        # Mostly one leaves for one that comes: counting finds it sooner than bisecting.
        while cut < count and entries[cut][0] <= horizon:
            cut += 1
        left = entries[:cut]
        del entries[:cut]
        for old in left:
            self._discount(old)
        return left

    def _discount(self, entry: Entry) -> None:
        time, identity, _, region, network, device, role = entry
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
            # Entries leave in order of time: when the newest of a device leaves, the others have left.
            newest = self._released if role == RELEASES else self._played
            if newest.get(device) == time:
                del newest[device]

    def _drop_oldest(self) -> Entry:
        """Make room: the oldest entry leaves early."""
        oldest = self.entries.pop(0)
        self._discount(oldest)
        playing = oldest.role in PLAYING
        if playing or oldest.role == RELEASES:
            # An entry of the same time may have stayed, and still tells what the device did.
            newest = self._played if playing else self._released
            for tie in takewhile(lambda entry: entry.time == oldest.time, self.entries):
                if tie.device == oldest.device and (tie.role in PLAYING if playing else tie.role == RELEASES):
                    newest.setdefault(tie.device, tie.time)
        if self.left_early is None or self.left_early < oldest.time:
            self.left_early = oldest.time
        return oldest
