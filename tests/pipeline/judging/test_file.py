"""Judging a file: order, accounts, requests, and titles and devices where their minute closes."""

import io
import json

import pytest
from hypothesis import given

from pipeline.evaluation.evaluator import Evaluator
from pipeline.judging.file import FileJudge
from pipeline.rules.ruleset import built_in
from tests.oracle.streams import as_line, streams
from tests.pipeline.events.messages import encode, encoded

FINE, MISMATCH = encoded(), encoded(event_id="event-2", is_eu=False)


FIRST, SECOND = ({"topic": "raw-events", "partition": number} for number in range(2))


def judged(*lines, prefix="", subjects=True):
    judge = FileJudge(Evaluator(built_in(), "1"), prefix, subjects=subjects)
    outputs = [(kind, json.loads(value)) for kind, value in judge.judge(io.BytesIO(b"".join(lines)))]
    return outputs, judge.counts.as_dict()


def accounts(**counts):
    return dict.fromkeys(("read", "judged", "duplicate", "failed", "flagged", "requests"), 0) | counts


def wrapped(value, **source):
    return encode({"source": source, "payload": value.decode()}) + b"\n"


def request(kind="opt_out", **changes):
    fields = {
        "schema": "privacy-request/1",
        "request_id": "r",
        "user_id": "user-1",
        "type": kind,
        "timestamp": "2026-01-31T00:00:00Z",
    }
    return encode(fields | changes) + b"\n"


def test_nothing():
    assert judged() == ([], accounts())


def test_outputs_come_in_the_order_of_the_lines():
    outputs, counts = judged(MISMATCH, b"\n", b"{\n", FINE, b"\r\n", FINE, b"\n", b"\n")
    assert [(kind, value.get("reason"), value["source"]["offset"]) for kind, value in outputs] == [
        ("verdict", None, 0),
        ("failed", "not_json", 1),
        ("failed", "not_json", 4),
    ]
    assert counts == accounts(read=5, judged=2, duplicate=1, failed=2, flagged=1)


def test_a_raw_line_has_no_topic_and_counts_from_zero():
    outputs, _ = judged(FINE, b"\n", MISMATCH)
    assert outputs[0][1]["source"] == {"topic": None, "partition": 0, "offset": 1}


def test_the_last_line_needs_no_end():
    assert judged(FINE)[1] == judged(FINE, b"\n")[1] == judged(FINE, b"\r\n")[1]


def test_an_envelope_that_cannot_be_opened_is_a_failed_event():
    line = encode(
        {"source": {"topic": "privacy-requests"}, "payload": "?", "payload_encoding": "base64", "gpc": True}
    )
    outputs, counts = judged(FINE, b"\n", line, b"\n")
    ((kind, failed),) = outputs
    assert (kind, failed["reason"], failed["event_schema"]) == ("failed", "schema_violation", "raw-event/1")
    assert failed["source"] == {"topic": None, "partition": 0, "offset": 1, "timestamp": None, "key": None}
    assert failed["payload"] == line.decode()
    assert [error["type"] for error in failed["errors"]] == ["envelope"]
    assert counts == accounts(read=2, judged=1, failed=1)


def test_a_request_applies_from_its_line_on_whatever_its_timestamp():
    before, after = encoded(event_id="event-0"), encoded(event_id="event-9")
    outputs, counts = judged(before, b"\n", request(), after, b"\n")
    assert [value["event_id"] for _, value in outputs] == ["event-9"]
    assert counts == accounts(read=2, judged=2, flagged=1, requests=1)


def test_an_invalid_request_is_read_and_failed():
    outputs, counts = judged(request("forget"), wrapped(b"{", topic="privacy-requests"), request())
    assert [value["event_schema"] for _, value in outputs] == ["privacy-request/1"] * 2
    assert counts == accounts(read=2, failed=2, requests=1)


def test_a_request_on_a_topic_of_events_is_that_topics_failure():
    outputs, counts = judged(wrapped(request().strip(), topic="raw-events"))
    ((_, failed),) = outputs
    assert (failed["reason"], failed["event_schema"]) == ("schema_violation", "raw-event/1")
    assert failed["errors"][-1]["type"] == "opt_out_not_recorded"
    assert counts == accounts(read=1, failed=1)


def test_the_prefix_of_the_settings():
    line = wrapped(request().strip(), topic="eu.privacy-requests")
    assert judged(line, prefix="eu.")[1] == accounts(requests=1)
    assert judged(line)[1] == accounts(read=1, failed=1)


def test_a_future_timestamp_needs_an_envelope():
    assert judged(wrapped(FINE, timestamp=0))[0][0][1]["reason"] == "future_timestamp"
    assert judged(wrapped(FINE, timestamp=-1))[0] == []


def error(minute, number, **changes):
    return encoded(
        event_id=f"e{number}",
        user_id=f"u{number}",
        event_type="ERROR",
        timestamp=f"2026-01-31T20:{minute:02d}:00Z",
        **changes,
    )


def subjects_of(outputs):
    return [(value["subject"]["type"], value["minute_end"]) for _, value in outputs if "minute_end" in value]


def test_subject_verdicts_come_where_their_minute_closes():
    lines = [error(0, number) + b"\n" for number in range(20)]
    closing = encoded(event_id="e", user_id="u", timestamp="2026-01-31T20:02:00Z", is_eu=False) + b"\n"
    after = encoded(event_id="f", user_id="v", timestamp="2026-01-31T20:02:00Z", is_eu=False) + b"\n"
    outputs, _ = judged(*lines, closing, after)
    assert [value["subject"]["type"] for _, value in outputs] == ["user", "content", "device", "user"]
    assert subjects_of(outputs) == [(kind, "2026-01-31T20:01:00.000Z") for kind in ("content", "device")]
    # One millisecond less does not close it: only the largest partition time at the end could.
    outputs, _ = judged(*lines, closing.replace(b"20:02:00Z", b"20:01:59.999Z"))
    assert subjects_of(outputs) == []


def test_minutes_that_only_the_end_closes():
    """W is at last the largest P of any: partition 1 would have held it back."""
    lines = [wrapped(error(0, number), **FIRST) for number in range(20)]
    ahead = wrapped(encoded(event_id="x", timestamp="2026-01-31T20:30:00Z"), **FIRST)
    behind = wrapped(
        encoded(event_id="y", user_id="w", timestamp="2026-01-31T20:00:30Z"), topic="raw-events", partition=1
    )
    outputs, _ = judged(behind, *lines, ahead)
    assert len(subjects_of(outputs)) == 2
    first, *_ = judged(*lines, ahead, behind)
    assert [value["subject"]["type"] for _, value in first] == ["content", "device"]


def test_a_partition_whose_records_all_fail_holds_back_until_its_last():
    lines = [wrapped(error(0, number), **FIRST) for number in range(20)]
    closing = wrapped(
        encoded(event_id="x", user_id="w", timestamp="2026-01-31T20:05:00Z", is_eu=False),
        topic="raw-events",
        partition=0,
    )
    broken = wrapped(b"{", **SECOND)
    last = wrapped(encoded(event_id="z", user_id="z", timestamp="2026-01-31T20:05:00Z"), **FIRST)
    kinds = [
        value.get("subject", {}).get("type", "failed")
        for _, value in judged(*lines, closing, broken, last)[0]
    ]
    assert kinds == ["user", "failed", "content", "device"]


def test_requests_hold_nothing_back():
    lines = [error(0, number) + b"\n" for number in range(20)]
    closing = encoded(event_id="x", user_id="w", timestamp="2026-01-31T20:05:00Z") + b"\n"
    outputs, _ = judged(*lines, closing, request(user_id="nobody"))
    assert len(subjects_of(outputs)) == 2


@pytest.mark.parametrize("event_type", ["LOGIN_FAILED", "DOWNLOAD", "x"])
def test_only_playback_counts(event_type):
    lines = [error(0, number).replace(b"ERROR", event_type.encode()) + b"\n" for number in range(30)]
    closing = encoded(event_id="x", user_id="w", timestamp="2026-01-31T20:05:00Z") + b"\n"
    assert subjects_of(judged(*lines, closing)[0]) == []


def test_what_is_late_for_its_user_is_not_counted():
    ahead = [
        encoded(event_id=f"a{n}", user_id=f"u{n}", timestamp="2026-01-31T21:00:00Z") + b"\n"
        for n in range(20)
    ]
    late = [error(0, number) + b"\n" for number in range(20)]
    closing = encoded(event_id="x", user_id="w", timestamp="2026-01-31T21:05:00Z") + b"\n"
    assert subjects_of(judged(*ahead, *late, closing)[0]) == []
    in_time = [line.replace(b"20:00:00Z", b"20:00:00.001Z") for line in late]
    assert len(subjects_of(judged(*ahead, *in_time, closing)[0])) == 2


@given(streams(most=25))
def test_without_subjects_the_users_verdicts_are_the_same(records):
    lines = [as_line(record) + b"\n" for record, _ in records]
    outputs, counts = judged(*lines)
    users = [value for value in outputs if "minute_end" not in value[1]]
    assert judged(*lines, subjects=False) == (users, counts)


@given(streams(most=25))
def test_the_accounts_add_up(records):
    outputs, counts = judged(*(as_line(record) + b"\n" for record, _ in records))
    assert counts["read"] == counts["judged"] + counts["duplicate"] + counts["failed"]
    assert counts["read"] + counts["requests"] == len(records)
    assert counts["failed"] == sum(kind == "failed" for kind, _ in outputs)
    assert counts["flagged"] == sum(
        kind == "verdict" and value["subject"]["type"] == "user" for kind, value in outputs
    )
