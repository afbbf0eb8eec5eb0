"""Messages for tests: a valid one to vary, and generators of valid, nearly valid and broken ones."""

import json
from typing import Any, Final

from hypothesis import strategies as st

ABSENT: Final = object()
"""Leaves a field out of `message`."""

REQUIRED: Final = (
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

ALIKE: Final = (
    ("event_type", "play"),
    ("event_type", "stream_start"),
    ("timestamp", "2026-01-31T21:15:00.0009+01:00"),
    ("region", "nl"),
    ("ip_address", "::ffff:192.0.2.7"),
    ("subscription_plan", None),
    ("error_code", None),
    ("do_not_track", None),
    ("do_not_track", False),
    ("deletion_requested", False),
    ("gpc", False),
    ("user_age", None),
    ("data_shared", None),
    ("data_shared", "none"),
    ("session_id", None),
    ("extra_metadata", None),
    ("a_newer_producers_field", 1),
)
"""Changes to `message()` after which it has the same normal form."""

DIFFERENT: Final = (
    ("device_id", "device-2"),
    ("content_id", "title-2"),
    ("event_type", "STOP"),
    ("timestamp", "2026-01-31T20:15:00.001Z"),
    ("region", "NL-NH"),
    ("is_eu", False),
    ("has_consent", False),
    ("ip_address", "192.0.2.8"),
    ("subscription_plan", "gold"),
    ("subscription_plan", ""),
    ("error_code", ""),
    ("error_code", "E1"),
    ("do_not_track", True),
    ("deletion_requested", True),
    ("gpc", True),
    ("user_age", 0),
    ("data_shared", "partial"),
    ("session_id", ""),
    ("extra_metadata", {}),
)
"""Changes to `message()` after which it has another normal form."""


def message(**changes: object) -> dict[str, Any]:
    """A valid playback event that no rule minds, as JSON's Python values, with fields changed."""
    fields = {
        "event_id": "event-1",
        "user_id": "user-1",
        "device_id": "device-1",
        "content_id": "title-1",
        "event_type": "PLAY",
        "timestamp": "2026-01-31T20:15:00Z",
        "region": "NL",
        "is_eu": True,
        "has_consent": True,
        "ip_address": "192.0.2.7",
    } | changes
    return {name: value for name, value in fields.items() if value is not ABSENT}


def encode(value: object) -> bytes:
    """Compact JSON, as most producers write it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def encoded(**changes: object) -> bytes:
    """`message` as the value of a record."""
    return encode(message(**changes))


def with_member(member: bytes, **changes: object) -> bytes:
    """`message` with a member written by hand at its end, e.g. one that Python cannot hold."""
    return encoded(**changes)[:-1] + b"," + member + b"}"


TEXTS: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
IDS: Final = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), st.just("x" * 255)
)
TYPES: Final = st.sampled_from(
    [
        "PLAY",
        "pause",
        "Resume",
        "SEEK",
        "stream_end",
        "HEARTBEAT",
        "BUFFERING",
        "ERROR",
        "LOGIN",
        "x",
        "\u017ftop",
    ]
)
TIMESTAMPS: Final = st.one_of(
    st.datetimes().map(lambda moment: f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}Z"),
    st.sampled_from(
        [
            "2026-01-31T20:15:00Z",
            "2026-01-31t20:15:00.1z",
            "2026-01-31T20:15:00.123456789+05:30",
            "2026-01-31T20:15:00.999-00:00",
            "0001-01-01T00:00:00Z",
            "0000-12-31T23:30:00-01:00",
            "9999-12-31T23:59:59.999Z",
        ]
    ),
)
REGIONS: Final = st.sampled_from(["NL", "nl", "UK", "EL-A", "US-CA", "us-pr", "EU", "XK", "QQ", "FR-75C"])
ADDRESSES: Final = st.one_of(
    st.ip_addresses().map(str), st.sampled_from(["::ffff:1.2.3.4", "2001:DB8::1", "::1.2.3.4"])
)
JSON_VALUES: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)

VALID: Final = st.fixed_dictionaries(
    {
        "event_id": IDS,
        "user_id": IDS,
        "device_id": IDS,
        "content_id": IDS,
        "event_type": TYPES,
        "timestamp": TIMESTAMPS,
        "region": REGIONS,
        "is_eu": st.booleans(),
        "has_consent": st.booleans(),
        "ip_address": ADDRESSES,
    },
    optional={
        "subscription_plan": st.none() | TEXTS | st.sampled_from(["free", "Premium"]),
        "error_code": st.none() | TEXTS,
        "do_not_track": st.none() | st.booleans(),
        "deletion_requested": st.none() | st.booleans(),
        "gpc": st.none() | st.booleans(),
        "user_age": st.none() | st.integers(0, 130),
        "data_shared": st.sampled_from([None, "none", "partial", "full"]),
        "session_id": st.none() | TEXTS,
        "extra_metadata": st.none() | st.dictionaries(TEXTS, JSON_VALUES, max_size=4),
    },
)
"""Valid messages."""

_NEAR_MISSES: Final = st.one_of(
    st.sampled_from(
        [
            "",
            "x" * 50,
            "x" * 51,
            "x" * 100,
            "x" * 101,
            "x" * 255,
            "x" * 256,
            "😀" * 255,
            "😀" * 256,
            "true",
            "PLAY",
            "2026-01-31T20:15:60Z",
            "2026-02-29T00:00:00Z",
            "10.0.0.01",
            "fe80::1%eth0",
            "NLD",
            -1,
            131,
            25.0,
            0,
            1,
            10**400,
            [],
            {},
            {f"k{n}": n for n in range(33)},
            {"k": "x" * 8185},
            {"k": "x" * 8186},
        ]
    ),
    JSON_VALUES,
)


@st.composite
def _nearly_valid(draw: st.DrawFn) -> dict[str, Any]:
    fields = draw(VALID)
    for name in draw(
        st.lists(st.sampled_from([*message(), "user_age", "gpc", "extra_metadata"]), max_size=2)
    ):
        fields[name] = draw(_NEAR_MISSES)
    for name in draw(st.lists(st.sampled_from(sorted(message())), max_size=1)):
        fields.pop(name, None)
    if draw(st.booleans()):
        fields[draw(st.sampled_from(["schema", "x", "user_agent"]))] = draw(
            st.sampled_from(["raw-event/1", "privacy-request/1", 1, None]) | JSON_VALUES
        )
    return fields


NEARLY_VALID: Final = _nearly_valid()
"""Messages with at most a few fields that are not what they should be."""


@st.composite
def _written(draw: st.DrawFn, messages: st.SearchStrategy[dict[str, Any]]) -> bytes:
    fields = draw(messages)
    names = draw(st.permutations(list(fields)))
    ascii_only, spaced = draw(st.booleans()), draw(st.booleans())
    members = [(name, fields[name]) for name in names]
    for name in draw(st.lists(st.sampled_from(names), max_size=1)) if names else []:
        # Of repeated keys the last counts, and the others still have to be JSON that the contract takes.
        members.insert(0, (name, draw(_NEAR_MISSES)))
    colon, comma = (" :\t", " ,\r\n ") if spaced else (":", ",")
    body = comma.join(
        f"{json.dumps(name, ensure_ascii=ascii_only)}{colon}{json.dumps(value, ensure_ascii=ascii_only)}"
        for name, value in members
    )
    return b"{" + body.encode() + b"}"


WRITTEN_VALID: Final = _written(VALID)
WRITTEN: Final = _written(st.one_of(VALID, NEARLY_VALID))
"""Values as producers may write them: any order, spacing, escaping, a key repeated."""

_SNIPPETS: Final = st.sampled_from(
    [
        *(bytes([byte]) for byte in b'\\"{}[],: \x00\x1f\x7f\xff0'),
        *(b"", b"1e999", b"-0", b".0", b"NaN", b"null", b"true", "\u00e9".encode()),
        *(b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\\ud800", b"\\udc00", b"\\\\ud800"),
        *(b"[" * 70, b'{"a":' * 70, b'"extra_metadata":', b'"user_age":1e999,'),
    ]
)


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    value = draw(WRITTEN)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(value)))
        end = draw(st.integers(start, min(len(value), start + draw(st.sampled_from([0, 1, 1, 2, 40])))))
        value = value[:start] + draw(_SNIPPETS | st.binary(max_size=2)) + value[end:]
    return value


MUTATED: Final = _mutated()
"""Values that were cut, spliced or garbled on their way."""
