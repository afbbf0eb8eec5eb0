"""Random streams that are rich in conflicts: few users and ids, times at the edges, signals and requests."""

import json
from base64 import b64encode

from hypothesis import strategies as st

from pipeline.evaluation.source import PlainRecord
from tests.oracle.users import DAY, HOUR, MINUTE, SECOND, shown

START = 1_769_890_500_000  # 2026-01-31T20:15:00Z

REGIONS = (
    *("NL", "nl", "NL-NH", "NL-ZZZ", "NL-AW", "DE", "DE-BE", "FR", "FR-MQ", "FR-IDF", "BE", "EL", "GR"),
    *("UK", "GB", "GB-SCT", "UK-ENG", "US", "us-ca", "US-NY", "US-PR", "PR", "EU", "EU-1", "XK", "ZZ"),
    *("ZZ-1", "AX", "FI-01", "FI", "NO", "NO-21", "CH", "BR", "CN", "CN-HK", "SG", "TH", "KR", "JP"),
    *("CA", "CA-ON", "IN", "ZA", "AU", "GU", "IS", "RE"),
)
ADDRESSES = (
    *(f"192.0.2.{n}" for n in range(1, 5)),
    *("198.51.100.7", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "2001:db8:1::1"),
)
TYPES = (
    *("PLAY", "PLAY", "HEARTBEAT", "RESUME", "SEEK", "BUFFERING", "PAUSE", "STOP", "stream_end", "ERROR"),
    *("LOGIN", "LOGOUT", "LOGIN_FAILED", "login_failed", "TOKEN_REFRESH_FAILED", "DOWNLOAD", "a_new_type"),
)
STEPS = (
    *(0, 0, 0, 1, SECOND, 59_999, MINUTE, 10 * MINUTE, 899_999, 900_000, 900_001),
    *(HOUR - 1, HOUR, HOUR + 1, 5 * HOUR),
)
"""By how much the time of a stream goes on from one event to the next."""
BACK = (0, 0, 0, 0, 0, 0, 1, MINUTE, 899_999, 900_000, HOUR - 1, HOUR, HOUR + 1, 3 * HOUR)
"""By how much an event is older than the stream's time."""
LAGS = (0, SECOND, MINUTE, 2 * HOUR, -5 * MINUTE, -5 * MINUTE - 1, 30 * DAY, 30 * DAY + 1)
"""By how much a record's timestamp is later than its event's time."""

OPTIONS = {
    "subscription_plan": ("free", "basic", "standard", "premium", "vip", "family", "trial", "Premium", ""),
    "error_code": ("", "E1", "E2"),
    "do_not_track": (True, False, None),
    "gpc": (True, False),
    "deletion_requested": (True, False),
    "user_age": (0, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20),
    "data_shared": ("none", "partial", "full", None),
    "session_id": ("", "s"),
    "extra_metadata": ({}, {"app_version": "1.0"}, {"a": 1}, {"a": 1.0}, {"a": True}),
}

BROKEN = (
    b"",
    b"{",
    b"[1]",
    b'{"do_not_track":1}',
    b'{"schema":"privacy-request/1","type":"delete"}',
    b"\xff",
)


@st.composite
def streams(draw, most=40, topics=(None,), span=None):
    """Lists of (record, whether it is a privacy request).

    Args:
        most: so many records.
        topics: (topic, partition) where records may come from; None: a line of a file.
        span: how far the stream's time may go; None: without a limit, and some users are idle for 30 days.
    """
    habits = {
        "regions": draw(st.lists(st.sampled_from(REGIONS), min_size=1, max_size=6)),
        "plans": draw(st.lists(st.sampled_from(OPTIONS["subscription_plan"]), max_size=2)),
        "optional": draw(st.lists(st.sampled_from(sorted(OPTIONS)), max_size=4)),
        "devices": draw(st.sampled_from([1, 3, 9])),
        "types": draw(st.sampled_from([TYPES, TYPES[:3], ("PLAY", "PAUSE")])),
    }
    steps = draw(st.sampled_from([STEPS, STEPS[:6], STEPS[2:4]]))
    stamped = draw(st.sampled_from([(False,), (True,), (True, False)]))
    now, sent, records = START, [], []
    for offset in range(draw(st.integers(1, most))):
        now += draw(st.sampled_from(steps))
        if span is not None:
            now = min(now, START + span)
        time = now - draw(st.sampled_from(BACK))
        kind = draw(st.sampled_from(KINDS))
        timestamp = -1
        if draw(st.sampled_from(stamped)):
            timestamp = time + draw(st.sampled_from(LAGS if span is None else LAGS[:6]))
        place = draw(st.sampled_from(topics))
        topic, partition = (None, int(timestamp >= 0)) if place is None else place
        if kind == "request" and topic is not None:
            topic = "privacy-requests"
        value = value_of(draw, kind, time, sent, habits)
        records.append((PlainRecord(topic, partition, offset, timestamp, None, value), kind == "request"))
    return records


KINDS = ("event",) * 12 + ("again",) * 3 + ("changed",) * 2 + ("request",) * 2 + ("broken",)


def value_of(draw, kind, time, sent, habits):
    """A record's value; `sent` are the events so far."""
    if kind == "request":
        return encode(request(draw, time))
    if kind == "broken":
        return draw(st.sampled_from(BROKEN))
    fields = dict(draw(st.sampled_from(sent))) if sent and kind != "event" else event(draw, time, **habits)
    if kind == "changed":
        changeable = ["region", "is_eu", "event_type", "ip_address", "timestamp", "gpc"]
        name = draw(st.sampled_from(changeable))
        fields[name] = event(draw, time, **{**habits, "optional": ["gpc"]})[name]
    sent.append(fields)
    return encode(fields)


def event(draw, time, regions, plans, optional, devices, types):
    fields = {
        "event_id": f"e{draw(st.integers(0, 60))}",
        "user_id": draw(st.sampled_from(["u1", "u1", "u1", "ü2"])),
        "device_id": f"d{draw(st.integers(1, devices))}",
        "content_id": draw(st.sampled_from(["c1", "c1", 'c/"2\u2028'])),
        "event_type": draw(st.sampled_from(types)),
        "timestamp": shown(time),
        "region": draw(st.sampled_from(regions)),
        "is_eu": draw(st.booleans()),
        "has_consent": draw(st.booleans()),
        "ip_address": draw(st.sampled_from(ADDRESSES)),
    }
    if plans:
        fields["subscription_plan"] = draw(st.sampled_from(plans))
    for name in optional:
        if name != "subscription_plan":
            fields[name] = draw(st.sampled_from(OPTIONS[name]))
    return fields


def request(draw, time):
    fields = {
        "schema": "privacy-request/1",
        "request_id": "r",
        "user_id": draw(st.sampled_from(["u1", "ü2"])),
        "type": draw(st.sampled_from(REQUESTS)),
        "timestamp": shown(time),
    }
    return fields | draw(st.sampled_from([{}, {}, {"gpc": True}, {"region": 7}]))


REQUESTS = ("opt_out", "opt_out", "opt_in", "opt_in", "delete", "reinstate", "consent_given", "forget_me")


def encode(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def as_line(record):
    """A record as a line of a file: raw where it can be."""
    if record.topic is None and record.timestamp < 0:
        return record.value
    source = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
    }
    try:
        body = {"payload": record.value.decode()}
    except UnicodeDecodeError:
        body = {"payload": b64encode(record.value).decode(), "payload_encoding": "base64"}
    return encode({"source": source, **body})
