"""The features of a user's window: the numbers that the anomaly model looks at.

Training, the live stream, a replay and `ott judge` all call `feature_rows`, so a model is never asked about
numbers that were computed in another way than those it learned from.

No feature is a protected trait. Age and consent are not read at all. The region is read to count regions and
to know when it is night there; which region it is reaches no feature.

All sums are sums of whole numbers, and only the last step of a feature divides. So the same window gives the
same bytes on every machine, alone or in a batch.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, repeat
from operator import ne
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.events.kinds import ACCOUNT, OTHER, PLAYBACK
from pipeline.jurisdictions.places import place_of

Rows = NDArray[np.float32]
"""One row per user, one column per feature, in the order of `FEATURES`."""
Whole = NDArray[np.int64]

KINDS: Final = (*sorted(PLAYBACK), *sorted(ACCOUNT), OTHER)
"""The event types by their number in a window entry. The order is part of the persisted form."""
_NUMBERS: Final = {kind: number for number, kind in enumerate(KINDS)}

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 3_600_000
_PLAYING_MS: Final = 900_000
_NIGHT_ENDS_MS: Final = 5 * _HOUR_MS
_SAME_PACE_MS: Final = 500
_NO_PLACE: Final = -1


class WindowEvent(NamedTuple):
    """One event of a window, as the features read it.

    Attributes:
        time: event time, milliseconds since 1970.
        kind: `kind_code` of its type and outcome.
        title: 32-bit hash of its content_id, 0 where it has none.
        region: in normal form.
        network: IPv4 address or IPv6 /64.
        device: device id.
    """

    time: int
    kind: int
    title: int
    region: str
    network: str
    device: str


class UserWindow(NamedTuple):
    """One user's window at the moment of scoring.

    Attributes:
        stream_time: S, the largest event time of the user, milliseconds since 1970.
        events: the window's events in order of time, then arrival; at least one.
        stream_limit: streams that the user's plan allows at once, at least 1.
    """

    stream_time: int
    events: Sequence[WindowEvent]
    stream_limit: int


class Feature(NamedTuple):
    """One column of the model's input.

    Attributes:
        name: its stable name in model files, evidence and metrics.
        unit: what its values count.
        meaning: one sentence for the documents.
        words: how a value is said in a finding, behind the number.
    """

    name: str
    unit: str
    meaning: str
    words: str


FEATURES: Final = (
    Feature("events", "events", "Events in the hour.", "events in an hour"),
    Feature("busiest_minute", "events", "Events in the busiest minute of the hour.", "events in one minute"),
    Feature("active_minutes", "minutes", "Minutes of the hour with at least one event.", "active minutes"),
    Feature(
        "gap_variation",
        "ratio",
        "Standard deviation of the time between events, divided by its mean: 0 is a clock, above 1 is bursts.",
        "as the variation of the time between events",
    ),
    Feature("regions", "regions", "Different regions.", "regions in an hour"),
    Feature("networks", "networks", "Different networks (IPv4 address or IPv6 /64).", "networks in an hour"),
    Feature("devices", "devices", "Different devices.", "devices in an hour"),
    Feature(
        "separate_places",
        "places",
        "The smaller of networks and devices: places that each have a network and a device of their own.",
        "networks with a device of their own",
    ),
    Feature(
        "network_changes",
        "changes",
        "Events that come from another network than the event before.",
        "changes of the network in an hour",
    ),
    Feature(
        "device_changes",
        "changes",
        "Events that come from another device than the event before.",
        "changes of the device in an hour",
    ),
    Feature("titles", "titles", "Different titles.", "titles in an hour"),
    Feature("starts", "events", "Titles started (PLAY).", "starts in an hour"),
    Feature(
        "starts_of_one_title", "events", "Starts of the title started most often.", "starts of one title"
    ),
    Feature(
        "beats_per_start",
        "ratio",
        "HEARTBEAT events for each start: low where titles are left at once.",
        "heartbeats for each start",
    ),
    Feature("seeks", "events", "SEEK events.", "seeks in an hour"),
    Feature(
        "regular_seeks",
        "events",
        "SEEK events that keep the pace of the two before them within half a second.",
        "seeks at an even pace",
    ),
    Feature("pauses", "events", "PAUSE events.", "pauses in an hour"),
    Feature("buffering", "events", "BUFFERING events.", "BUFFERING events in an hour"),
    Feature("failures", "events", "Events that report an error.", "failed events in an hour"),
    Feature("failed_starts", "events", "PLAY events that report an error.", "failed starts in an hour"),
    Feature(
        "login_failures",
        "events",
        "LOGIN_FAILED and TOKEN_REFRESH_FAILED events.",
        "failed log-ins in an hour",
    ),
    Feature(
        "devices_failing_login", "devices", "Devices with a failed log-in.", "devices with a failed log-in"
    ),
    Feature("logins", "events", "LOGIN and LOGOUT events.", "log-ins and log-outs in an hour"),
    Feature("token_refreshes", "events", "TOKEN_REFRESH events.", "renewed tokens in an hour"),
    Feature("purchases", "events", "PURCHASE events.", "purchases in an hour"),
    Feature("downloads", "events", "DOWNLOAD events.", "downloads in an hour"),
    Feature("profile_updates", "events", "PROFILE_UPDATE events.", "changes of the profile in an hour"),
    Feature(
        "playing_to_plan",
        "ratio",
        "Devices that play, divided by the streams that the plan allows.",
        "of the plan's streams in use",
    ),
    Feature(
        "night_share",
        "ratio",
        "Share of the events between 0:00 and 5:00 of the local solar time of their regions.",
        "as the share of events at night",
    ),
    Feature("stream_limit", "streams", "Streams that the plan allows at once.", "streams in the plan"),
)
"""Every feature in the order of the columns. A model file names them and fits only the same list."""

FEATURE_NAMES: Final = tuple(feature.name for feature in FEATURES)


def kind_code(event_type: str, *, failed: bool) -> int:
    """The type and outcome of an event as one number below 128: a single byte in a persisted entry."""
    return 2 * _NUMBERS[event_type] + failed


def feature_rows(windows: Sequence[UserWindow]) -> Rows:
    """The features of many users' windows at once.

    The time is bounded by the number of events in the windows, which is at most 4,096 for each user.

    Raises:
        ValueError: a window is empty.
    """
    if not all(window.events for window in windows):
        raise ValueError("a window without events has no features")
    batch = _Batch(windows)
    values = np.empty((len(windows), len(FEATURES)), dtype=np.float64)
    for column, name in enumerate(FEATURE_NAMES):
        values[:, column] = batch.columns[name]
    return values.astype(np.float32)


class _Batch:
    """The columns of many windows: whole numbers per event, laid end to end, and a result per user."""

    def __init__(self, windows: Sequence[UserWindow]) -> None:
        self.users = len(windows)
        columns = [tuple(zip(*window.events, strict=True)) for window in windows]
        lengths = np.array([len(window.events) for window in windows], dtype=np.int64)
        self._owner = np.repeat(np.arange(self.users), lengths)
        total = len(self._owner)
        self._times = _flat((column[0] for column in columns), total)
        self._kinds = _flat((column[1] for column in columns), total)
        titles = _flat((column[2] for column in columns), total)
        regions = [set(column[3]) for column in columns]
        networks = [set(column[4]) for column in columns]
        devices = [set(column[5]) for column in columns]
        offsets = _flat(
            (_offsets(column[3], known) for column, known in zip(columns, regions, strict=True)), total
        )

        codes = np.bincount(
            self._owner * (2 * len(KINDS)) + self._kinds, minlength=self.users * 2 * len(KINDS)
        ).reshape(self.users, len(KINDS), 2)
        counts, failed = codes.sum(axis=2), codes[:, :, 1]
        of = {kind: counts[:, number] for kind, number in _NUMBERS.items()}
        starts = of["PLAY"]
        login_failures = of["LOGIN_FAILED"] + of["TOKEN_REFRESH_FAILED"]
        busiest, active = self._minutes()
        network_count, device_count = _sizes(networks), _sizes(devices)
        limits = np.array([window.stream_limit for window in windows], dtype=np.int64)
        at_night = (offsets != _NO_PLACE) & ((self._times + offsets) % (24 * _HOUR_MS) < _NIGHT_ENDS_MS)
        # An ERROR event failed, whether or not it carries a code.
        without_code = codes[:, _NUMBERS["ERROR"], 0]
        self.columns: dict[str, Whole | NDArray[np.float64]] = {
            "events": lengths,
            "busiest_minute": busiest,
            "active_minutes": active,
            "gap_variation": self._gap_variation(lengths),
            "regions": _sizes(regions),
            "networks": network_count,
            "devices": device_count,
            "separate_places": np.minimum(network_count, device_count),
            "network_changes": _changes(columns, networks, 4),
            "device_changes": _changes(columns, devices, 5),
            "titles": self._distinct(titles),
            "starts": starts,
            "starts_of_one_title": self._most_starts(titles),
            "beats_per_start": of["HEARTBEAT"] / np.maximum(starts, 1),
            "seeks": of["SEEK"],
            "regular_seeks": self._regular_seeks(),
            "pauses": of["PAUSE"],
            "buffering": of["BUFFERING"],
            "failures": failed.sum(axis=1) + without_code,
            "failed_starts": failed[:, _NUMBERS["PLAY"]],
            "login_failures": login_failures,
            "devices_failing_login": np.array(
                [
                    len(_failing_devices(window.events)) if some else 0
                    for window, some in zip(windows, login_failures.tolist(), strict=True)
                ]
            ),
            "logins": of["LOGIN"] + of["LOGOUT"],
            "token_refreshes": of["TOKEN_REFRESH"],
            "purchases": of["PURCHASE"],
            "downloads": of["DOWNLOAD"],
            "profile_updates": of["PROFILE_UPDATE"],
            "playing_to_plan": np.array([_playing(window) for window in windows]) / limits,
            "night_share": self._per_user(at_night) / lengths,
            "stream_limit": limits,
        }

    def _per_user(self, chosen: NDArray[np.bool_]) -> Whole:
        """How many of the chosen events each user has."""
        return np.bincount(self._owner[chosen], minlength=self.users)

    def _minutes(self) -> tuple[Whole, Whole]:
        """Events in the busiest minute, and minutes with events; the events of a user are in order of time."""
        minutes = self._times // _MINUTE_MS
        first = np.ones(len(minutes), dtype=np.bool_)
        first[1:] = (minutes[1:] != minutes[:-1]) | (self._owner[1:] != self._owner[:-1])
        begins = np.flatnonzero(first)
        sizes = np.diff(begins, append=len(minutes))
        busiest = np.zeros(self.users, dtype=np.int64)
        np.maximum.at(busiest, self._owner[begins], sizes)
        return busiest, self._per_user(first)

    def _gap_variation(self, lengths: Whole) -> NDArray[np.float64]:
        gaps = np.diff(self._times)
        same = self._owner[1:] == self._owner[:-1]
        owner, gaps = self._owner[1:][same], gaps[same]
        total, squares = np.zeros((2, self.users), dtype=np.int64)
        np.add.at(total, owner, gaps)
        np.add.at(squares, owner, gaps * gaps)
        # The gaps of an hour sum to at most 3.6e6 ms, so n times their squares fits into 64 bits.
        spread = np.sqrt(((lengths - 1) * squares - total * total).astype(np.float64))
        return spread / np.maximum(total, 1)

    def _distinct(self, titles: Whole) -> Whole:
        keys = np.unique((self._owner[titles != 0] << 32) | titles[titles != 0])
        return np.bincount(keys >> 32, minlength=self.users)

    def _most_starts(self, titles: Whole) -> Whole:
        chosen = self._kinds // 2 == _NUMBERS["PLAY"]
        keys, counts = np.unique((self._owner[chosen] << 32) | titles[chosen], return_counts=True)
        most = np.zeros(self.users, dtype=np.int64)
        np.maximum.at(most, keys >> 32, counts)
        return most

    def _regular_seeks(self) -> Whole:
        chosen = self._kinds // 2 == _NUMBERS["SEEK"]
        owner, times = self._owner[chosen], self._times[chosen]
        even = np.zeros(len(times), dtype=np.bool_)
        if len(times) > 2:  # noqa: PLR2004 - a pace needs three events
            gaps = np.diff(times)
            even[2:] = (np.abs(np.diff(gaps)) < _SAME_PACE_MS) & (owner[2:] == owner[:-2])
        return np.bincount(owner[even], minlength=self.users)


def _flat(parts: Iterable[Iterable[int]], total: int) -> Whole:
    return np.fromiter(chain.from_iterable(parts), dtype=np.int64, count=total)


def _sizes(sets: Iterable[set[str]]) -> Whole:
    return np.array([len(one) for one in sets], dtype=np.int64)


def _changes(columns: list[tuple[tuple[str, ...], ...]], known: list[set[str]], column: int) -> Whole:
    """How often the value of a column differs from the one before; most users have one value only."""
    return np.array(
        [
            0 if len(values) == 1 else sum(map(ne, rows[column], rows[column][1:]))
            for rows, values in zip(columns, known, strict=True)
        ],
        dtype=np.int64,
    )


def _offsets(regions: tuple[str, ...], known: set[str]) -> Iterator[int]:
    if len(known) == 1:
        return repeat(_solar_offset_ms(regions[0]), len(regions))
    return map(_solar_offset_ms, regions)


@lru_cache(maxsize=8_192)
def _solar_offset_ms(region: str) -> int:
    """What to add to UTC for the solar time at a region's centroid; `_NO_PLACE` where it has none."""
    place = place_of(region)
    # Whole minutes, a day ahead: never negative, and never `_NO_PLACE`.
    return _NO_PLACE if place is None else (1440 + round(place.longitude * 4)) * _MINUTE_MS


_FAILED_LOGINS: Final = frozenset(
    kind_code(kind, failed=failed)
    for kind in ("LOGIN_FAILED", "TOKEN_REFRESH_FAILED")
    for failed in (False, True)
)
_PLAYS: Final = frozenset(
    kind_code(kind, failed=failed)
    for kind in ("PLAY", "RESUME", "HEARTBEAT", "SEEK", "BUFFERING")
    for failed in (False, True)
)
_RELEASES: Final = frozenset(
    kind_code(kind, failed=failed) for kind in ("PAUSE", "STOP", "LOGOUT") for failed in (False, True)
)


def _failing_devices(events: Sequence[WindowEvent]) -> set[str]:
    return {event.device for event in events if event.kind in _FAILED_LOGINS}


def _playing(window: UserWindow) -> int:
    """How many devices play at the stream time, as `account.concurrent_streams` counts them."""
    horizon = window.stream_time - _PLAYING_MS
    played: dict[str, int] = {}
    released: dict[str, int] = {}
    for time, kind, _, _, _, device in reversed(window.events):
        if time <= horizon:
            break
        if kind in _PLAYS:
            played.setdefault(device, time)
        elif kind in _RELEASES:
            released.setdefault(device, time)
    return sum(time > released.get(device, horizon) for device, time in played.items())
