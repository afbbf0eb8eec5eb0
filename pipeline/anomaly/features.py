"""The features of a user's window: the numbers that the anomaly model looks at.

Training, the live stream, a replay and `ott judge` all call `row_of`, so a model is never asked about numbers that
were computed in another way than those it learned from.

No feature is a protected trait. Age and consent are not read at all. The region is read to count regions and to know
when it is night there; which region it is reaches no feature.

All counts are whole numbers, and only the last step of a feature divides. So the same window gives the same numbers on
every machine.
"""

from functools import lru_cache
from itertools import pairwise
from math import sqrt
from struct import Struct
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.jurisdictions.places import place_of
from pipeline.windows.entry import KINDS, Entry
from pipeline.windows.window import Window

Rows = NDArray[np.float32]
"""One row per window, one column per feature, in the order of `FEATURES`."""
Row = tuple[float, ...]
"""The features of one window, in the order of `FEATURES`."""
Whole = NDArray[np.int64]

_MINUTE_MS: Final = 60_000
_DAY_MS: Final = 24 * 60 * _MINUTE_MS
_NIGHT_ENDS_MS: Final = 5 * 60 * _MINUTE_MS
_SAME_PACE_MS: Final = 500
_PACE: Final = 3
"""A pace needs three events."""


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

_PLAY: Final = KINDS["PLAY"]
_SEEK: Final = KINDS["SEEK"]
_ERROR: Final = KINDS["ERROR"]
_PAUSE, _BUFFERING, _REFRESH = KINDS["PAUSE"], KINDS["BUFFERING"], KINDS["TOKEN_REFRESH"]
_PURCHASE, _DOWNLOAD, _UPDATE = KINDS["PURCHASE"], KINDS["DOWNLOAD"], KINDS["PROFILE_UPDATE"]
_LOGIN, _LOGOUT, _HEARTBEAT = KINDS["LOGIN"], KINDS["LOGOUT"], KINDS["HEARTBEAT"]


_pack: Final = Struct(f"<{len(FEATURES)}f").pack


def pack_row(row: Row) -> bytes:
    """The features of a window as 32-bit numbers, little-endian.

    Raises:
        struct.error: a value is no number.
        OverflowError: a value is too large.
    """
    return _pack(*row)


def row_of(window: Window, stream_time: int, stream_limit: int) -> Row:
    """The features of a window.

    Args:
        window: with at least one entry.
        stream_time: the largest event time of the user, in milliseconds since 1970.
        stream_limit: streams that the user's plan allows at once, at least 1.

    Raises:
        IndexError: the window is empty.
    """
    tally, entries = window.tallied(), window.entries
    kinds, starts_of = tally.kinds, tally.starts
    count, networks, devices = len(entries), len(window.networks), len(tally.devices)
    duration = entries[-1].time - entries[0].time
    starts = kinds[_PLAY] + kinds[_PLAY + 1]
    seeks = kinds[_SEEK] + kinds[_SEEK + 1]
    return (
        count,
        max(tally.minute_sizes),
        len(tally.minutes),
        # The standard deviation of the gaps by their mean. Gaps of an hour sum to at most 3.6e6 ms, so the whole
        # numbers stay below 2**63, and their order does not matter.
        sqrt((count - 1) * tally.gap_squares - duration * duration) / max(duration, 1),
        len(window.regions),
        networks,
        devices,
        min(networks, devices),
        tally.network_changes,
        tally.device_changes,
        len(tally.titles),
        starts,
        max(starts_of.values()) if starts_of else 0,
        (kinds[_HEARTBEAT] + kinds[_HEARTBEAT + 1]) / max(starts, 1),
        seeks,
        _regular_seeks(entries) if seeks >= _PACE else 0,
        kinds[_PAUSE] + kinds[_PAUSE + 1],
        kinds[_BUFFERING] + kinds[_BUFFERING + 1],
        # An ERROR event failed, whether or not it has a code.
        sum(kinds[1::2]) + kinds[_ERROR],
        kinds[_PLAY + 1],
        window.login_failures,
        len(tally.failing_login),
        kinds[_LOGIN] + kinds[_LOGIN + 1] + kinds[_LOGOUT] + kinds[_LOGOUT + 1],
        kinds[_REFRESH] + kinds[_REFRESH + 1],
        kinds[_PURCHASE] + kinds[_PURCHASE + 1],
        kinds[_DOWNLOAD] + kinds[_DOWNLOAD + 1],
        kinds[_UPDATE] + kinds[_UPDATE + 1],
        len(window.playing(stream_time)) / stream_limit,
        _night_events(window) / count,
        stream_limit,
    )


def _regular_seeks(entries: list[Entry]) -> int:
    times = [entry.time for entry in entries if entry.kind // 2 == _SEEK // 2]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    return sum(abs(second - first) < _SAME_PACE_MS for first, second in pairwise(gaps))


def _night_events(window: Window) -> int:
    """Events between 0:00 and 5:00 of the local solar time of their regions."""
    entries = window.entries
    if len(window.regions) == 1:
        # A window lasts an hour, so where its first and last event agree, all events do.
        offset = _solar_offset_ms(entries[0].region)
        if offset is None:
            return 0
        first = (entries[0].time + offset) % _DAY_MS < _NIGHT_ENDS_MS
        if first == ((entries[-1].time + offset) % _DAY_MS < _NIGHT_ENDS_MS):
            return len(entries) if first else 0
    return sum(_at_night(entry.region, entry.time) for entry in entries)


def _at_night(region: str, time: int) -> bool:
    offset = _solar_offset_ms(region)
    return offset is not None and (time + offset) % _DAY_MS < _NIGHT_ENDS_MS


@lru_cache(maxsize=8_192)
def _solar_offset_ms(region: str) -> int | None:
    """What to add to UTC for the solar time at a region's centroid, in whole minutes; None where it has none."""
    place = place_of(region)
    return None if place is None else round(place.longitude * 4) * _MINUTE_MS
