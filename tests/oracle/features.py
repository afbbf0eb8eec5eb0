"""The features of a window by their meaning, each counted from scratch."""

import math
from collections import Counter
from itertools import pairwise

from pipeline.jurisdictions.places import place_of
from pipeline.windows.entry import TYPES

PLAYS = {"PLAY", "RESUME", "HEARTBEAT", "SEEK", "BUFFERING"}
RELEASES = {"PAUSE", "STOP", "LOGOUT"}


def features_of(entries, stream_time, stream_limit):
    """By name, the features of entries in the order of the window."""
    types = [TYPES[entry.kind // 2] for entry in entries]
    count = Counter(types)
    failed = [entry.kind % 2 == 1 or kind == "ERROR" for entry, kind in zip(entries, types, strict=True)]
    minutes = Counter(entry.time // 60_000 for entry in entries)
    starts = [entry.title for entry, kind in zip(entries, types, strict=True) if kind == "PLAY"]
    logins = [kind in {"LOGIN_FAILED", "TOKEN_REFRESH_FAILED"} for kind in types]
    networks, devices = [entry.network for entry in entries], [entry.device for entry in entries]
    return {
        "events": len(entries),
        "busiest_minute": max(minutes.values()),
        "active_minutes": len(minutes),
        "gap_variation": _variation([two.time - one.time for one, two in pairwise(entries)]),
        "regions": len({entry.region for entry in entries}),
        "networks": len(set(networks)),
        "devices": len(set(devices)),
        "separate_places": min(len(set(networks)), len(set(devices))),
        "network_changes": sum(one != two for one, two in pairwise(networks)),
        "device_changes": sum(one != two for one, two in pairwise(devices)),
        "titles": len({entry.title for entry in entries} - {0}),
        "starts": count["PLAY"],
        "starts_of_one_title": max(Counter(starts).values(), default=0),
        "beats_per_start": count["HEARTBEAT"] / max(1, count["PLAY"]),
        "seeks": count["SEEK"],
        "regular_seeks": _regular([e.time for e, kind in zip(entries, types, strict=True) if kind == "SEEK"]),
        "pauses": count["PAUSE"],
        "buffering": count["BUFFERING"],
        "failures": sum(failed),
        "failed_starts": sum(kind == "PLAY" and bad for kind, bad in zip(types, failed, strict=True)),
        "login_failures": sum(logins),
        "devices_failing_login": len({device for device, bad in zip(devices, logins, strict=True) if bad}),
        "logins": count["LOGIN"] + count["LOGOUT"],
        "token_refreshes": count["TOKEN_REFRESH"],
        "purchases": count["PURCHASE"],
        "downloads": count["DOWNLOAD"],
        "profile_updates": count["PROFILE_UPDATE"],
        "playing_to_plan": _playing(entries, types, stream_time) / stream_limit,
        "night_share": sum(map(_at_night, entries)) / len(entries),
        "stream_limit": stream_limit,
    }


def _variation(gaps):
    total = sum(gaps)
    if not total:
        return 0.0
    mean = total / len(gaps)
    return math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) / mean


def _regular(times):
    gaps = [two - one for one, two in pairwise(times)]
    return sum(abs(two - one) < 500 for one, two in pairwise(gaps))


def _playing(entries, types, stream_time):
    playing = 0
    for device in {entry.device for entry in entries}:
        mine = [(e.time, kind) for e, kind in zip(entries, types, strict=True) if e.device == device]
        played = max((time for time, kind in mine if kind in PLAYS), default=-1)
        released = max((time for time, kind in mine if kind in RELEASES), default=-1)
        playing += played > stream_time - 900_000 and played > released
    return playing


def _at_night(entry):
    place = place_of(entry.region)
    if place is None:
        return False
    local = entry.time + round(place.longitude * 4) * 60_000
    return local // 3_600_000 % 24 < 5
