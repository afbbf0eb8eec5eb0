"""Failed events: the reason, what is lost, and that they can be judged again as they are."""

import base64
import hashlib
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.evaluator import Evaluator
from pipeline.evaluation.failed import MAX_BYTES, failed_event
from pipeline.evaluation.source import Source
from pipeline.events.invalid import ErrorDetail
from pipeline.judging.file import FileJudge
from pipeline.judging.lines import read_line
from pipeline.rules.ruleset import built_in
from tests.pipeline.evaluation.records import NOW, Judge, failed, record, request
from tests.pipeline.events.messages import MUTATED, encode, encoded

KEYS = [
    *("schema", "failure_id", "reason", "errors", "source", "payload", "payload_encoding"),
    *("event_schema", "app_version"),
]


def lost(outcome):
    return [error["path"] for error in failed(outcome)["errors"] if error["type"] == "opt_out_not_recorded"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"\xff", "not_json"),
        (b"[]", "schema_violation"),
        (b"{}", "schema_violation"),
        (encoded(user_age=25.0), "schema_violation"),
        (b" " * 65_537, "too_large"),
        (encoded(session_id="x" * 70_000), "too_large"),
    ],
)
def test_the_first_reason_that_holds(value, reason):
    outcome = Judge().event(value, stamped=0)
    assert (outcome.ending, outcome.reason, failed(outcome)["reason"]) == ("failed", reason, reason)
    assert outcome.event is None
    assert outcome.verdict is None


@pytest.mark.parametrize(
    ("ahead", "fails"), [(-1, False), (0, False), (300_000, False), (300_001, True), (10**12, True)]
)
def test_an_event_may_be_five_minutes_ahead_of_its_record(ahead, fails):
    for outcome in (Judge().event(stamped=NOW - ahead), Judge().request(stamped=NOW - 1000 - ahead)):
        assert (outcome.reason == "future_timestamp") == fails


def test_without_a_timestamp_nothing_is_in_the_future():
    assert Judge().event(stamped=-1).ending == "judged"
    assert Judge().event(stamped=-99).ending == "judged"


def test_the_form():
    outcome = Judge().event(b'{"a":"\xc3\xa9"}', offset=7, partition=3, stamped=9, key=b"k\xff")
    shown = failed(outcome)
    assert list(shown) == KEYS
    assert shown["schema"] == "failed-event/1"
    assert shown["source"] == {
        "topic": "raw-events",
        "partition": 3,
        "offset": 7,
        "timestamp": 9,
        "key": "k\\xff",
    }
    assert (shown["payload"], shown["payload_encoding"]) == ('{"a":"é"}', "utf-8")
    assert (shown["event_schema"], shown["app_version"]) == ("raw-event/1", "1.0")
    assert list(shown["errors"][0]) == ["path", "message", "type"]
    assert failed(Judge().request("forget"))["event_schema"] == "privacy-request/1"


def test_the_failure_id_hashes_the_source():
    ids = [
        failed(Judge().event(b"{", **place))["failure_id"]
        for place in ({}, {"offset": 1}, {"partition": 1}, {"topic": None}, {"stamped": 1}, {"key": b"k"})
    ]
    assert len(set(ids)) == len(ids)
    assert failed(Judge().event(b"other"))["failure_id"] == ids[0]


@pytest.mark.parametrize("signal", ["do_not_track", "gpc", "deletion_requested"])
def test_an_opt_out_in_a_failed_event_is_said_to_be_lost(signal):
    assert lost(Judge().event(region="x", **{signal: True})) == [signal]
    assert lost(Judge().event(**{signal: 0})) == [signal]
    assert lost(Judge().event(**{signal: True}, stamped=0)) == [signal]
    assert lost(Judge().event(region="x", **{signal: False})) == []
    judge = Judge()
    judge.event()
    conflict = judge.event(**{signal: True})
    assert conflict.reason == "duplicate_id_conflict"
    assert lost(conflict) == [signal]
    assert judge.users["user-1"].privacy.opt_out.since is None


def test_several_signals_are_one_entry():
    assert len(lost(Judge().event(region="x", gpc=True, do_not_track=True, deletion_requested=True))) == 1


@pytest.mark.parametrize(
    ("changes", "paths"),
    [
        ({"kind": "opt_out"}, ["type"]),
        ({"kind": "delete"}, ["type"]),
        ({"kind": "opt_in"}, []),
        ({"kind": "reinstate"}, []),
        ({"kind": "consent_withdrawn"}, []),
        ({"kind": "opt_in", "gpc": True}, ["gpc"]),
        ({"kind": "consent_given", "deletion_requested": "yes"}, ["deletion_requested"]),
        ({"kind": "opt_in", "do_not_track": False}, []),
    ],
)
def test_a_request_that_fails_says_what_is_lost(changes, paths):
    """Whether it is its form that fails, or its date."""
    assert lost(Judge().request(**changes, stamped=0)) == paths
    assert lost(Judge().request(**changes, user_id="")) == paths


def test_an_unreadable_request_may_have_been_a_deletion():
    judge = Judge()
    for value in (b"", b"\xff", b"{"):
        broken = request()._replace(value=value)
        assert lost(judge.evaluator.apply(broken, judge.users)) == [""]


def test_a_request_among_events_fails_and_says_what_is_lost():
    outcome = Judge().event(request("delete").value)
    assert outcome.reason == "schema_violation"
    assert lost(outcome) == ["type"]


@given(st.one_of(MUTATED, st.binary(max_size=20)), st.booleans())
def test_a_failed_event_is_an_envelope_of_the_record_it_was(value, of_requests):
    evaluator, users = Judge().evaluator, Judge().users
    topic = "privacy-requests" if of_requests else "raw-events"
    one = record(value, topic=topic, partition=2, offset=5, stamped=10**14, key=b"k")
    outcome = (evaluator.apply if of_requests else evaluator.judge)(one, users)
    if outcome.failed is None:
        return
    line = read_line(outcome.failed + b"\n", 99)
    assert line.record == one
    assert line.is_request == of_requests
    again = (evaluator.apply if of_requests else evaluator.judge)(line.record, users)
    assert again.failed == outcome.failed


@given(st.binary(max_size=30))
def test_a_payload_is_text_where_it_can_be_and_base64_elsewhere(value):
    shown = json.loads(
        failed_event("not_json", [ErrorDetail("", "m", "t")], Source(None, 0, 0, None, None), value, "s", "1")
    )
    if shown["payload_encoding"] == "utf-8":
        assert shown["payload"].encode() == value
    else:
        assert base64.b64decode(shown["payload"], validate=True) == value


@pytest.mark.parametrize(
    ("value", "encoding", "whole"),
    [
        (b" " * 900_000, "utf-8", True),
        (b"\x01" * 500_000, "base64", True),  # as text each byte takes six
        (b"\xff" * 700_000, "base64", True),
        (b"\xff" * 720_000, "base64", False),
        (b"\x01" * 5_000_000, "utf-8", False),
        ("aé".encode() * 1_000_000, "utf-8", False),
        ("€".encode() * 1_000_000, "utf-8", False),
        (b"\xff" * 5_000_000, "base64", False),
        (b"\x80" * 2_000_000, "base64", False),
    ],
)
def test_a_failed_event_is_bounded_and_says_where_the_message_is(value, encoding, whole):
    outcome = Judge().event(value, offset=7, key=b"\x01" * 900_000)
    assert len(outcome.failed) <= MAX_BYTES
    shown = failed(outcome)
    assert (shown["reason"], shown["payload_encoding"], shown["source"]["offset"]) == (
        "too_large",
        encoding,
        7,
    )
    payload = shown["payload"].encode() if encoding == "utf-8" else base64.b64decode(shown["payload"])
    if whole:
        assert payload == value
        assert list(shown) == KEYS
    else:
        assert value.startswith(payload)
        assert 65_532 <= len(payload) <= 65_536
        assert shown["payload_bytes"] == len(value)
        assert shown["payload_sha256"] == hashlib.sha256(value).hexdigest()


def test_the_beginning_of_a_message_is_not_judged_as_the_message():
    outcome = Judge().event(b" " * 2_000_000 + encoded())
    line = read_line(outcome.failed, 0)
    assert line.unopened[0].path == "payload"
    (output,) = FileJudge(Evaluator(built_in(), "1"), subjects=False).judge(io.BytesIO(outcome.failed))
    assert output.kind == "failed"
    assert json.loads(output.value)["errors"][0]["type"] == "envelope"


def test_a_repaired_failed_event_is_judged():
    outcome = Judge().event(region="x", offset=4)
    repaired = failed(outcome)
    repaired["payload"] = encoded(is_eu=False).decode()
    judge = FileJudge(Evaluator(built_in(), "1"), subjects=False)
    (output,) = judge.judge(io.BytesIO(encode(repaired)))
    assert json.loads(output.value)["source"] == {"topic": "raw-events", "partition": 0, "offset": 4}


def test_a_null_value_has_an_empty_payload():
    judge = Judge()
    nothing = record(b"")._replace(value=None)
    outcome = judge.evaluator.judge(nothing, judge.users)
    assert (outcome.reason, failed(outcome)["payload"]) == ("not_json", "")
