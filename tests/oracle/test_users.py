"""The evaluation of users agrees with a slow second reading of the contract, byte for byte."""

import json
import re

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.evaluator import Evaluator
from pipeline.evaluation.findings import findings_now
from pipeline.judging.file import AllUsers
from pipeline.rules.inputs import shown_as_it_is
from pipeline.rules.ruleset import built_in, read_ruleset
from pipeline.windows import window
from tables.users import decode_user, encode_user
from tests.oracle.judge import Oracle
from tests.oracle.streams import streams
from tests.oracle.users import User, behavioural_findings, devices_playing, legal_findings

LOW_LIMITS = {
    "account.multi_region": (1, 2),
    "account.multi_ip": (1, 3),
    "account.high_frequency": (2, 5),
    "account.login_failures": (0, 2),
}


def ruleset_of(limits, silent=None):
    """A rule set with these limits; `silent`: rule id to shadow or off."""
    rules = {name: {"medium_over": medium, "high_over": high} for name, (medium, high) in limits.items()}
    for rule_id, mode in (silent or {}).items():
        rules.setdefault(rule_id, {})["mode"] = mode
    return read_ruleset({"version": "of the test", "rules": rules})


def as_published(expected, actual):
    """The bytes of an expected verdict: id and summaries are the implementation's own."""
    given_verdict = json.loads(actual)
    assert re.fullmatch(r"[0-9a-f]{32}", given_verdict["verdict_id"])
    expected["verdict_id"] = given_verdict["verdict_id"]
    for finding, said in zip(expected["findings"], given_verdict["findings"], strict=False):
        assert said["summary"].endswith(".")
        finding["summary"] = said["summary"]
    return json.dumps(expected, ensure_ascii=False, separators=(",", ":")).encode()


def assert_agrees(outcome, expected):
    assert (outcome.ending, outcome.reason, outcome.late) == (expected.ending, expected.reason, expected.late)
    if expected.verdict is None:
        assert outcome.published is None
    else:
        assert outcome.published is not None, expected.verdict
        assert outcome.published == as_published(expected.verdict, outcome.published)
    if expected.ending == "failed":
        failed = json.loads(outcome.failed)
        assert failed["reason"] == expected.reason
        said = [error["type"] for error in failed["errors"]].count("opt_out_not_recorded")
        assert said == (1 if expected.lost else 0)


def assert_same_state(state, user):
    """The window as a set, the marks, and what else is kept."""
    assert state.stream_time == user.stream_time
    inside = [] if user.stream_time is None else user.window(user.stream_time)
    assert [(entry.time, entry.region, entry.network, entry.device) for entry in state.window.entries] == [
        (event.time, event.region, event.network, event.device_id) for event in inside
    ]
    if inside:
        assert sorted(state.window.playing(state.stream_time)) == devices_playing(inside, state.stream_time)
        assert state.window.saturated(state.stream_time) == user.saturated
    assert state.last_place == user.last_place()
    assert state.last_record_time == (-1 if user.last_record_time is None else user.last_record_time)
    for mark, name in ((state.privacy.opt_out, "opt_out"), (state.privacy.deletion, "deletion")):
        assert (mark.since, mark.last, mark.until) == user.mark(name)
    assert state.privacy.consent_given == user.consents.get("consent_given")
    assert state.privacy.consent_withdrawn == user.consents.get("consent_withdrawn")


def assert_says_of_the_last_event_what_a_verdict_would(state, user, ruleset, oracle):
    """Also of a state that was stored and read again, as after a restart."""
    expected = []
    if user.accepted:
        # Of several events at the newest time the last that came.
        place, last = max(enumerate(user.accepted), key=lambda each: (each[1].time, each[0]))
        earlier = User(user.accepted[:place])
        found = legal_findings(last, user)
        found += behavioural_findings(last, user, (earlier.stream_time, earlier.last_place()), oracle.limits)
        expected = sorted(
            (each for each in found if each["rule_id"] not in oracle.silent), key=lambda each: each["rule_id"]
        )
    for kept in (state, decode_user(encode_user(state))):
        said = json.loads(msgspec.json.encode(findings_now(kept, ruleset, shown_as_it_is)))
        for finding in said:
            assert finding["summary"].endswith(".")
            finding["summary"] = None
        assert said == json.loads(json.dumps(expected))


def judge_both(records, ruleset, oracle):
    evaluator, users = Evaluator(ruleset, "1"), AllUsers()
    published = []
    for record, is_request in records:
        outcome = (evaluator.apply if is_request else evaluator.judge)(record, users)
        assert_agrees(outcome, (oracle.apply if is_request else oracle.judge)(record))
        if outcome.published is not None:
            published.append(outcome.published)
    assert users.keys() == {
        name for name, user in oracle.users.items() if user.accepted or user.wishes or user.consents
    }
    for name, state in users.items():
        assert_same_state(state, oracle.users[name])
        assert_says_of_the_last_event_what_a_verdict_would(state, oracle.users[name], ruleset, oracle)
    return published


@given(streams())
def test_the_built_in_rules(records):
    judge_both(records, built_in(), Oracle("built-in/1"))


@given(streams())
def test_with_low_limits(records):
    judge_both(records, ruleset_of(LOW_LIMITS), Oracle("of the test", LOW_LIMITS))


@given(
    streams(),
    st.dictionaries(st.sampled_from(sorted(built_in().modes)), st.sampled_from(["shadow", "off"])),
)
def test_with_rules_in_shadow_or_off(records, silent):
    oracle = Oracle("of the test", LOW_LIMITS, silent=silent)
    judge_both(records, ruleset_of(LOW_LIMITS, silent), oracle)


@given(streams(), st.integers(1, 6))
def test_with_windows_that_are_full(records, most):
    kept = window.MAX_ENTRIES
    window.MAX_ENTRIES = most
    try:
        judge_both(records, ruleset_of(LOW_LIMITS), Oracle("of the test", LOW_LIMITS, most))
    finally:
        window.MAX_ENTRIES = kept


@given(streams())
def test_a_verdict_belongs_to_one_record_and_comes_again_with_the_same_bytes(records):
    ruleset = ruleset_of(LOW_LIMITS)
    published = judge_both(records, ruleset, Oracle("of the test", LOW_LIMITS))
    assert published == judge_both(records, ruleset, Oracle("of the test", LOW_LIMITS))
    identities = [json.loads(verdict)["verdict_id"] for verdict in published]
    assert len(set(identities)) == len(identities)
