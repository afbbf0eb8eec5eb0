"""Messages that are not valid, one function per way to break one.

Each takes a valid event as a dict, which it may change, and gives the bytes to send, or None for a null value. The
reason is that of the failed event.
"""
# ruff: noqa: PLR2004 - sizes just beyond a limit, beside the name of the limit

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.events.instants import format_instant
from pipeline.lab.generator.marks import Fault
from pipeline.lab.generator.wire import encode

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

Event = dict[str, Any]

_MINUTE_MS = 60_000
_TOO_LARGE = 65_537
_FILLER = "x" * _TOO_LARGE
_OPT_OUTS = ("do_not_track", "gpc", "deletion_requested")
_UNKNOWN_YEAR = "2099-01-01T00:00:00.000Z"


def _with(**members: object) -> Callable[[Event], bytes]:
    """Replaces members. A function as a value is called with the old value."""

    def breaks(event: Event) -> bytes:
        for name, value in members.items():
            event[name] = value(event.get(name)) if callable(value) else value
        return encode(event).encode()

    return breaks


def _without(name: str) -> Callable[[Event], bytes]:
    def breaks(event: Event) -> bytes:
        event.pop(name, None)
        return encode(event).encode()

    return breaks


def _raw(change: Callable[[str], str | bytes]) -> Callable[[Event], bytes]:
    """Changes the text of the event."""

    def breaks(event: Event) -> bytes:
        changed = change(encode(event))
        return changed if isinstance(changed, bytes) else changed.encode("utf-8", "surrogatepass")

    return breaks


def _member(text: str) -> Callable[[Event], bytes]:
    """Adds a member that is written by hand."""
    return _raw(lambda event: f"{event[:-1]},{text}}}")


def _constant(value: bytes) -> Callable[[Event], bytes]:
    return lambda _event: value


def _no_content(event: Event) -> bytes:
    event["event_type"] = "PLAY"
    event["content_id"] = None
    return encode(event).encode()


_NESTED = '"trace":' + "[" * 70 + "]" * 70

NOT_JSON: dict[str, Callable[[Event], bytes]] = {
    "cut_off": _raw(lambda text: text[: len(text) * 2 // 3]),
    "plain_text": _constant(b"heartbeat ok, 23 segments buffered"),
    "empty_value": _constant(b""),
    "byte_order_mark": _raw(lambda text: b"\xef\xbb\xbf" + text.encode()),
    "invalid_utf8": _raw(lambda text: text.encode().replace(b'"user_id":"', b'"user_id":"\xff\xc3')),
    "latin_1": _raw(lambda text: f'{text[:-1]},"title":"Amélie"}}'.encode("latin-1", "replace")),
    "lone_surrogate": _member('"nickname":"\\ud83d"'),
    "not_a_number": _member('"bitrate":NaN'),
    "infinity": _member('"bitrate":-Infinity'),
    "single_quotes": _raw(lambda text: text.replace('"', "'")),
    "trailing_comma": _raw(lambda text: f"{text[:-1]},}}"),
    "two_objects": _raw(lambda text: text + text),
    "xml": _constant(b'<?xml version="1.0"?><event type="PLAY"/>'),
}

SCHEMA_VIOLATIONS: dict[str, Callable[[Event], bytes]] = {
    **{
        f"without_{name}": _without(name)
        for name in (
            "event_id",
            "user_id",
            "device_id",
            "event_type",
            "timestamp",
            "region",
            "is_eu",
            "has_consent",
            "ip_address",
        )
    },
    "playback_without_content": _no_content,
    "boolean_as_string": _with(has_consent="true"),
    "boolean_as_number": _with(is_eu=1),
    "boolean_as_null": _with(is_eu=None),
    "opt_out_as_string": _with(do_not_track="yes"),
    "id_empty": _with(device_id=""),
    "id_too_long": _with(user_id="u" * 256),
    "id_as_number": _with(device_id=4711),
    "type_too_long": _with(event_type="P" * 51),
    "type_empty": _with(event_type=""),
    "time_without_offset": _with(timestamp=lambda old: str(old)[:19]),
    "time_with_space": _with(timestamp=lambda old: str(old).replace("T", " ").replace("t", " ")),
    "time_of_second_60": _with(timestamp="2016-12-31T23:59:60Z"),
    "time_of_no_day": _with(timestamp="2025-02-29T12:00:00Z"),
    "time_as_number": _with(timestamp=1_750_000_000_000),
    "time_before_year_1": _with(timestamp="0001-01-01T00:00:00+01:00"),
    "region_of_three": _with(region="USA"),
    "region_by_name": _with(region="Netherlands"),
    "region_empty": _with(region=""),
    "region_not_ascii": _with(region="ＮＬ"),  # noqa: RUF001 - full-width letters on purpose
    "address_with_zone": _with(ip_address="fe80::1%eth0"),
    "address_leading_zero": _with(ip_address="10.0.0.01"),
    "address_with_port": _with(ip_address="10.0.0.1:443"),
    "address_by_name": _with(ip_address="localhost"),
    "age_with_fraction": _raw(lambda text: _replace_member(text, "user_age", "25.0")),
    "age_of_131": _with(user_age=131),
    "age_as_string": _with(user_age="34"),
    "age_beyond_any": _raw(lambda text: _replace_member(text, "user_age", "9" * 400)),
    "sharing_unknown": _with(data_shared="some"),
    "plan_too_long": _with(subscription_plan="p" * 51),
    "error_code_as_number": _with(error_code=404),
    "session_too_long": _with(session_id="s" * 256),
    "metadata_of_33_keys": _with(extra_metadata={f"k{n}": n for n in range(33)}),
    "metadata_too_large": _with(extra_metadata={"log": "y" * 8192}),
    "metadata_as_list": _with(extra_metadata=["wifi"]),
    "an_array": _raw(lambda text: f"[{text}]"),
    "a_string": _constant(b'"PLAY"'),
    "a_number": _constant(b"42"),
    "null_literal": _constant(b"null"),
    "nested_too_deep": _member(_NESTED),
    "number_beyond_double": _member('"bitrate":1e999'),
}

TOO_LARGE: dict[str, Callable[[Event], bytes]] = {
    "too_large": _with(debug=_FILLER),
    "too_large_and_cut_off": _raw(lambda text: f'{text[:-1]},"debug":"{_FILLER}'),
}

# These cannot be on a line of their own, or are judged by the topic or the record's timestamp.
NOT_ON_A_LINE = frozenset(
    {"line_breaks", "null_value", "future_minutes", "future_days", "future_year", "request_on_events_topic"}
)


def _line_breaks(_event: Event) -> bytes:
    return b'Traceback (most recent call last):\n  File "player.py", line 1\nTimeoutError\n'


def _misplaced_request(event: Event) -> bytes:
    request = {
        "schema": "privacy-request/1",
        "request_id": event["event_id"],
        "user_id": event["user_id"],
        "type": "consent_given",
        "timestamp": event["timestamp"],
    }
    return encode(request).encode()


_WITH_TOPIC: dict[str, tuple[str, Callable[[Event], bytes]]] = {
    "line_breaks": ("not_json", _line_breaks),
    "request_on_events_topic": ("schema_violation", _misplaced_request),
}
_FUTURE_KINDS = ("future_minutes", "future_days", "future_year")

_REASONS: dict[str, tuple[str, Callable[[Event], bytes]]] = {
    **{kind: ("not_json", breaks) for kind, breaks in NOT_JSON.items()},
    **{kind: ("schema_violation", breaks) for kind, breaks in SCHEMA_VIOLATIONS.items()},
    **{kind: ("too_large", breaks) for kind, breaks in TOO_LARGE.items()},
    **_WITH_TOPIC,
}

# No opt-out can be found in these, because they are no object or cannot be decoded.
_CLOSED = frozenset({*NOT_JSON, "line_breaks", "an_array", "a_string", "a_number", "null_literal"}) | {
    "nested_too_deep",
    "number_beyond_double",
    "too_large_and_cut_off",
    "request_on_events_topic",
}


def kinds(*, with_topic: bool, stamped_on_arrival: bool) -> tuple[str, ...]:
    """The names of the ways to break an event that are possible at its destination.

    Args:
        with_topic: whether records keep topic, key and timestamp, and may have any bytes; else they are lines.
        stamped_on_arrival: whether record timestamps are simulated, so that event times can be too far ahead of them.
    """
    ways = [kind for kind in _REASONS if with_topic or kind not in NOT_ON_A_LINE]
    if with_topic:
        ways += ["null_value", *(_FUTURE_KINDS if stamped_on_arrival else _FUTURE_KINDS[-1:])]
    return tuple(ways)


def break_event(kind: str, event: Event, arrival_ms: int, rng: Random) -> tuple[bytes | None, Fault]:
    """Make a broken message.

    Args:
        kind: one of `kinds`.
        event: a valid event with an id of its own; it is changed.
        arrival_ms: the record's timestamp, if it is simulated.
        rng: the source of chance of the run.
    """
    if kind == "null_value":
        return None, Fault("failed", kind, "not_json")
    if kind in _FUTURE_KINDS:
        ahead = {
            # The limit is five minutes.
            "future_minutes": format_instant(
                arrival_ms + 6 * _MINUTE_MS + int(rng.random() * 50 * _MINUTE_MS)
            ),
            "future_days": format_instant(arrival_ms + int((1 + rng.random() * 30) * 1440 * _MINUTE_MS)),
            "future_year": _UNKNOWN_YEAR,
        }
        event["timestamp"] = ahead[kind]
        return encode(event).encode(), Fault("failed", kind, "future_timestamp", _opts_out(event))
    reason, breaks = _REASONS[kind]
    if kind in _CLOSED:
        for flag in _OPT_OUTS:
            event.pop(flag, None)
    elif rng.random() < 0.2:
        event[_OPT_OUTS[int(rng.random() * 3)]] = True
    value = breaks(event)
    return value, Fault("failed", kind, reason, carries_opt_out=_opts_out(event))


def _opts_out(event: Event) -> bool:
    return any(event.get(flag) not in (None, False) for flag in _OPT_OUTS)


def _replace_member(text: str, name: str, literal: str) -> str:
    """Sets a member to a number that Python would write in another way. The last of repeated keys counts."""
    return f'{text[:-1]},"{name}":{literal}}}'
