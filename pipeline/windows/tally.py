"""The counts of a window that the features of the anomaly model read (`pipeline.anomaly.features`).

They change with each entry that comes or leaves. So a feature costs the same for every size of the window, which
matters because most events of a live stream are scored.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

from pipeline.windows.entry import FAILS_LOGIN, KINDS, ROLES, TYPES, Entry

MINUTE_MS: Final = 60_000

_K = TypeVar("_K", int, str)
_STARTS: Final = frozenset({KINDS["PLAY"], KINDS["PLAY"] + 1})


class Tally:
    """The counts of one window.

    Attributes:
        kinds: how many entries there are, by kind.
        titles: by title, entries that have one.
        starts: by title, PLAY entries.
        minutes: by minute since 1970, entries.
        minute_sizes: by number of entries, minutes that have so many.
        devices: by device, entries.
        failing_login: by device, entries that failed to log in.
        gap_squares: the sum of the squared times between neighbours, in ms squared.
        network_changes: neighbours with different networks.
        device_changes: neighbours with different devices.
    """

    __slots__ = (
        "device_changes",
        "devices",
        "failing_login",
        "gap_squares",
        "kinds",
        "minute_sizes",
        "minutes",
        "network_changes",
        "starts",
        "titles",
    )

    def __init__(self, entries: Sequence[Entry]) -> None:
        """Count entries that are in the order of the window."""
        self.kinds = [0] * (2 * len(TYPES))
        self.titles: dict[int, int] = {}
        self.starts: dict[int, int] = {}
        self.minutes: dict[int, int] = {}
        self.minute_sizes: dict[int, int] = {}
        self.devices: dict[str, int] = {}
        self.failing_login: dict[str, int] = {}
        self.gap_squares = self.network_changes = self.device_changes = 0
        before: Entry | None = None
        for entry in entries:
            self.add(before, entry, None)
            before = entry

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tally):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in Tally.__slots__)

    __hash__ = None  # type: ignore[assignment]  # counts change

    def add(self, before: Entry | None, entry: Entry, after: Entry | None) -> None:
        """Count an entry that comes between two neighbours; None where there is none."""
        time, _, _, _, _, device, kind, title = entry
        self.kinds[kind] += 1
        minutes, sizes, devices, titles = self.minutes, self.minute_sizes, self.devices, self.titles
        minute = time // MINUTE_MS
        size = minutes.get(minute, 0)
        if size:
            _decrease(sizes, size)
        size += 1
        minutes[minute] = size
        sizes[size] = sizes.get(size, 0) + 1
        devices[device] = devices.get(device, 0) + 1
        if title:
            titles[title] = titles.get(title, 0) + 1
        if kind in _STARTS:
            self.starts[title] = self.starts.get(title, 0) + 1
        elif ROLES[kind] == FAILS_LOGIN:
            self.failing_login[device] = self.failing_login.get(device, 0) + 1
        if before is not None:
            self._pair(before, entry, 1)
            if after is not None:
                self._pair(before, after, -1)
        if after is not None:
            self._pair(entry, after, 1)

    def remove_first(self, entry: Entry, after: Entry | None) -> None:
        """Stop counting the first entry of the window; `after` is the next one, None where it was the last."""
        time, _, _, _, _, device, kind, title = entry
        self.kinds[kind] -= 1
        minute, sizes = time // MINUTE_MS, self.minute_sizes
        size = self.minutes[minute]
        _decrease(self.minutes, minute)
        _decrease(sizes, size)
        if size > 1:
            sizes[size - 1] = sizes.get(size - 1, 0) + 1
        _decrease(self.devices, device)
        if title:
            _decrease(self.titles, title)
        if kind in _STARTS:
            _decrease(self.starts, title)
        elif ROLES[kind] == FAILS_LOGIN:
            _decrease(self.failing_login, device)
        if after is not None:
            self._pair(entry, after, -1)

    def _pair(self, one: Entry, next_one: Entry, by: int) -> None:
        gap = next_one[0] - one[0]
        self.gap_squares += by * gap * gap
        if one[4] != next_one[4]:
            self.network_changes += by
        if one[5] != next_one[5]:
            self.device_changes += by


def _decrease(counts: dict[_K, int], key: _K) -> None:
    remaining = counts[key] - 1
    if remaining:
        counts[key] = remaining
    else:
        del counts[key]
