"""Records become lines: what a person reads, and what a program gets."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli.rendering import Filter, Record, envelope, printable, render, runbook_lines
from pipeline.runbook import GUIDANCE

VERDICT = {
    "schema": "risk-verdict/1",
    "verdict_id": "0f",
    "subject": {"type": "user", "id": "u-1"},
    "user_id": "u-1",
    "region": "NL",
    "event_type": "PLAY",
    "event_time": "2026-03-01T12:00:00.000Z",
    "risk_level": "MEDIUM",
    "score": 4,
    "findings": [
        {"rule_id": "account.multi_ip", "summary": "6 networks within an hour."},
        {"rule_id": "privacy.consent_missing", "summary": "GDPR asks for consent."},
    ],
    "late": False,
}
FAILED = {
    "schema": "failed-event/1",
    "failure_id": "1f",
    "reason": "schema_violation",
    "errors": [
        {"path": "user_age", "message": "is not an integer", "type": "int"},
        {"path": "", "message": "an opt-out was lost", "type": "opt_out_not_recorded"},
    ],
    "source": {"topic": "raw-events", "partition": 2, "offset": 7, "timestamp": 0, "key": "u-1"},
    "payload": '{"user_age": 25.0}',
    "payload_encoding": "utf-8",
}


def record(value, topic="flagged-events", key=b"u-1", timestamp_ms=0):
    value = json.dumps(value).encode() if isinstance(value, dict) else value
    return Record(topic, 2, 7, timestamp_ms, key, value)


def test_a_verdict_is_time_level_subject_and_findings_in_words():
    assert render(record(VERDICT)).plain == (
        "2026-03-01T12:00:00.000Z  MEDIUM  4  user u-1 (NL, PLAY)"
        "  6 networks within an hour. [account.multi_ip]; GDPR asks for consent. [privacy.consent_missing]"
    )


def test_a_late_verdict_says_so():
    assert " (NL, PLAY) late  6 networks" in render(record({**VERDICT, "late": True})).plain


def test_a_subject_verdict_shows_how_its_level_changed():
    subject = {
        **VERDICT,
        "subject": {"type": "content", "id": "film"},
        "region": None,
        "event_type": None,
        "change": "closed",
        "risk_level": "NONE",
        "score": 0,
        "findings": [],
    }
    assert render(record(subject)).plain == "2026-03-01T12:00:00.000Z  NONE    0  content film (closed)"


def test_a_failed_event_is_reason_place_and_errors_and_a_lost_opt_out_stands_out():
    assert render(record(FAILED, "failed-events")).plain == (
        "1970-01-01T00:00:00.000Z  FAILED  schema_violation  raw-events[2]@7 u-1"
        '  user_age: is not an integer; OPT-OUT NOT RECORDED: an opt-out was lost  {"user_age": 25.0}'
    )


def test_another_record_is_time_place_key_and_value():
    assert render(record(b"\xff\x1b", "raw-events")).plain == (
        "1970-01-01T00:00:00.000Z  raw-events[2]@7  u-1: \\xff\\x1b"
    )
    assert (
        render(record(None, "raw-events", None, -1)).plain == "no timestamp  raw-events[2]@7  (none): (none)"
    )


@pytest.mark.parametrize(
    ("chosen", "admitted"),
    [
        (Filter(), True),
        (Filter(level="LOW"), True),
        (Filter(level="MEDIUM"), True),
        (Filter(level="HIGH"), False),
        (Filter(rule="account.multi_ip"), True),
        (Filter(rule="account"), True),
        (Filter(rule="acc"), False),
        (Filter(rule="account.multi_region"), False),
        (Filter(user="u-1"), True),
        (Filter(user="u-2"), False),
        (Filter(level="LOW", rule="privacy", user="u-1"), True),
        (Filter(level="LOW", rule="privacy", user="u-2"), False),
    ],
)
def test_filters(chosen, admitted):
    assert chosen.admits(record(VERDICT)) is admitted


def test_a_user_is_found_by_the_key_of_a_broken_record_and_by_the_subject_or_source_of_a_good_one():
    assert Filter(user="u-1").admits(record(b"{", "raw-events"))
    assert not Filter(user="u-2").admits(record(b"{", "raw-events"))
    assert Filter(user="film").admits(record({"subject": {"type": "content", "id": "film"}}, key=None))
    assert Filter(user="u-1").admits(record(FAILED, key=None))


@given(st.text())
def test_what_producers_send_cannot_steer_the_terminal(text):
    shown = printable(text)
    assert all(character.isprintable() for character in shown)
    if text.isprintable():
        assert shown == text


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*VERDICT, *FAILED]), inner),
    )
)
def test_no_document_of_another_shape_breaks_the_line(value):
    for schema in ("risk-verdict/1", "failed-event/1", None):
        document = (
            {**value, "schema": schema} if isinstance(value, dict) else {"findings": value, "schema": schema}
        )
        line = render(record(document)).plain
        assert "\n" not in line
        assert "\x1b" not in line
        Filter(level="LOW", rule="privacy", user="u").admits(record(document))


@given(st.binary() | st.none(), st.binary() | st.none())
def test_an_envelope_holds_the_value_byte_for_byte(value, key):
    document = json.loads(envelope(Record("raw-events", 1, 2, 3, key, value)))
    payload = document["payload"]
    got = base64.b64decode(payload) if document["payload_encoding"] == "base64" else payload.encode()
    assert got == (value or b"")
    assert (
        document["source"].items()
        >= {"topic": "raw-events", "partition": 1, "offset": 2, "timestamp": 3}.items()
    )


def test_what_to_do_is_said_once_for_each_rule():
    told = set()
    record = Record("flagged-events", 0, 0, 0, b"u-1", json.dumps(VERDICT).encode())
    lines = [line.plain for line in runbook_lines(record, told)]
    assert lines == [
        f"    [{rule_id}] {GUIDANCE[rule_id].runbook}"
        for rule_id in ("account.multi_ip", "privacy.consent_missing")
    ]
    assert runbook_lines(record, told) == []
