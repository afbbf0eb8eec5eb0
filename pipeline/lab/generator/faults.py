"""What transport does to events: it repeats, delays and breaks them."""
# ruff: noqa: PLR2004 - shares among the ways to repeat an event; each is used once

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from pipeline.events.instants import format_instant
from pipeline.lab.generator.marks import Fault
from pipeline.lab.generator.wire import encode
from pipeline.lab.generator.world import HOUR_MS

if TYPE_CHECKING:
    from random import Random

_SAME_BYTES = Fault("duplicate", "same_bytes")
_REFORMATTED = Fault("duplicate", "reformatted")
_CONFLICT = Fault("failed", "conflicting_duplicate", "duplicate_id_conflict")
LATE = Fault("late", "late")

_UPPER = {"STREAM_START": "PLAY", "STREAM_PAUSE": "PAUSE", "STREAM_END": "STOP"}


def repeat(value: str, rng: Random) -> tuple[str, Fault]:
    """A repeated event: the same bytes, other bytes with the same meaning, or (one in ten) another content."""
    chance = rng.random()
    if chance < 0.5:
        return value, _SAME_BYTES
    event = json.loads(value)
    if chance < 0.9:
        return _reformatted(event, rng), _REFORMATTED
    if rng.random() < 0.5:
        event["subscription_plan"] = "basic" if event.get("subscription_plan") != "basic" else "standard"
    else:
        event["session_id"] = f"{event.get('session_id') or 's'}-again"
    carries = any(event.get(flag) for flag in ("do_not_track", "gpc", "deletion_requested"))
    return encode(event), replace(_CONFLICT, carries_opt_out=carries)


def late_copy(value: str, new_id: str, t_ms: int, rng: Random) -> tuple[str, int]:
    """An event like this one that arrives more than an hour late, from a device that was offline.

    Returns:
        The event and its time in milliseconds; at least 3,605 s before `t_ms`.
    """
    event = json.loads(value)
    late_ms = t_ms - HOUR_MS - 5_000 - int(rng.expovariate(1 / HOUR_MS))
    event["event_id"] = new_id
    event["timestamp"] = format_instant(late_ms)
    return encode(event), late_ms


def _reformatted(event: dict[str, Any], rng: Random) -> str:
    """Other bytes that are equal after normalisation: order, spaces, spelling, time zone, escapes, nulls."""
    members = list(event.items())
    rng.shuffle(members)
    changed: dict[str, Any] = dict(members)
    written = str(changed["event_type"]).upper()
    changed["event_type"] = _UPPER.get(written, written) if rng.random() < 0.5 else written.lower()
    changed["timestamp"] = _elsewhere(changed["timestamp"], rng)
    if rng.random() < 0.5:
        changed["region"] = changed["region"].lower()
    if "." in changed["ip_address"] and ":" not in changed["ip_address"]:
        changed["ip_address"] = f"::ffff:{changed['ip_address']}"
    for name, default in (("error_code", None), ("gpc", False), ("data_shared", None)):
        if name not in changed:
            changed[name] = default
    return json.dumps(changed, ensure_ascii=rng.random() < 0.5, separators=(", ", ": "))


def _elsewhere(timestamp: str, rng: Random) -> str:
    """The same millisecond on a clock in another time zone."""
    text = timestamp.upper()
    # fromisoformat reads microseconds. Digits behind the millisecond are cut off anyway.
    instant = datetime.fromisoformat(text)
    zone = timezone(timedelta(minutes=15 * int(rng.random() * 96 - 48)))
    return instant.astimezone(zone).isoformat(timespec="milliseconds")
