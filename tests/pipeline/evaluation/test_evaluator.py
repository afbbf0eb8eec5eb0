"""Judging one record: what stays when our own code fails, late events, idle users, pseudonyms, ownership."""

import copy
import hmac
import json

import pytest

from pipeline.evaluation.pseudonyms import pseudonymiser
from pipeline.judging.file import AllUsers
from pipeline.rules.ruleset import built_in, read_ruleset
from pipeline.windows.privacy import Mark
from pipeline.windows.user import IDLE_MS
from pipeline.windows.window import WINDOW_MS
from tests.pipeline.evaluation.records import NOW, Judge, failed, verdict


class BreaksDown(AllUsers):
    """Users that cannot be written."""

    def __setitem__(self, user_id, state):
        raise OSError("no room")


def fail(*_):
    raise ZeroDivisionError("a bug of ours")


@pytest.mark.parametrize("looks_at", ["by_activity", "by_opt_outs", "by_profile"])
def test_poison_inside_a_rule_leaves_the_state_untouched(looks_at):
    judge = Judge()
    judge.event(event_id="event-0", timestamp="2026-01-31T19:14:59Z")
    judge.event(event_id="event-00", timestamp="2026-01-31T19:16:00Z")
    before = copy.deepcopy(judge.users)
    ruleset = built_in()
    object.__setattr__(ruleset, looks_at, (*getattr(ruleset, looks_at), fail))
    judge.evaluator.ruleset = ruleset
    outcome = judge.event(gpc=True)
    assert outcome.reason == "processing_error"
    said = failed(outcome)["errors"]
    assert [error["type"] for error in said] == ["processing_error", "opt_out_not_recorded"]
    assert "ZeroDivisionError" in said[0]["message"]
    assert judge.users == before
    # The counts of the window too: the next event is judged as if nothing had been.
    judge.evaluator.ruleset = built_in()
    other = Judge()
    other.users = before
    assert judge.event(is_eu=False).published == other.event(is_eu=False).published
    assert judge.users == other.users


def test_poison_for_a_late_event_leaves_the_state_untouched():
    judge = Judge()
    judge.event()
    before = copy.deepcopy(judge.users)
    object.__setattr__(judge.evaluator.ruleset, "by_profile", (fail,))
    outcome = judge.event(event_id="event-2", timestamp="2026-01-31T18:00:00Z", has_consent=False, gpc=True)
    assert outcome.reason == "processing_error"
    assert judge.users == before


def test_poison_inside_the_decoder_is_a_failed_event(monkeypatch):
    judge = Judge()
    for reader in ("event", "request"):
        monkeypatch.setattr(judge.evaluator.decoder, reader, fail)
    monkeypatch.setattr("pipeline.events.strict_json.read_json", fail)
    assert judge.event(gpc=True).reason == "processing_error"
    outcome = judge.request("delete")
    assert [error["type"] for error in failed(outcome)["errors"]] == [
        "processing_error",
        "opt_out_not_recorded",
    ]


def test_no_personal_data_in_the_words_of_a_processing_error():
    judge = Judge()
    judge.users = BreaksDown()
    outcome = judge.event(user_id="a person")
    assert "a person" not in json.dumps(failed(outcome)["errors"])


def test_a_duplicate_says_nothing_and_moves_nothing():
    judge = Judge()
    first = judge.event(is_eu=False, stamped=NOW)
    assert first.published
    before = copy.deepcopy(judge.users)
    again = judge.event(is_eu=False, event_type="stream_start", offset=9, stamped=NOW + 10)
    assert (again.ending, again.published, again.failed) == ("duplicate", None, None)
    assert judge.users == before


def test_a_conflict_does_not_move_the_stream_time():
    judge = Judge()
    judge.event()
    outcome = judge.event(timestamp="2026-01-31T20:16:00Z")
    assert outcome.reason == "duplicate_id_conflict"
    assert judge.users["user-1"].stream_time == NOW


def test_an_id_is_tested_against_the_window_that_its_event_would_leave():
    judge = Judge()
    judge.event(timestamp="2026-01-31T20:15:00Z")
    assert judge.event(timestamp="2026-01-31T21:14:59.999Z").reason == "duplicate_id_conflict"
    assert judge.event(timestamp="2026-01-31T21:15:00Z").ending == "judged"


@pytest.mark.parametrize(
    ("older", "late"), [(WINDOW_MS - 1, False), (WINDOW_MS, True), (WINDOW_MS + 1, True)]
)
def test_an_event_at_the_windows_start_is_late(older, late):
    judge = Judge()
    judge.event(event_id="event-0", timestamp="2026-01-31T21:00:00Z")
    at = {WINDOW_MS - 1: "20:00:00.001", WINDOW_MS: "20:00:00", WINDOW_MS + 1: "19:59:59.999"}[older]
    outcome = judge.event(timestamp=f"2026-01-31T{at}Z", has_consent=False, gpc=True)
    assert outcome.late == late
    assert verdict(outcome)["late"] == late
    assert {one["dimension"] for one in verdict(outcome)["findings"]} == {"privacy", "retention"}
    state = judge.users["user-1"]
    assert len(state.window) == (1 if late else 2)
    assert state.privacy.opt_out.since == state.stream_time - older


def test_a_late_event_is_never_a_duplicate():
    judge = Judge()
    judge.event(event_id="event-0", timestamp="2026-01-31T23:00:00Z")
    first = judge.event(is_eu=False)
    again = judge.event(is_eu=False)
    assert (first.ending, again.ending) == ("judged", "judged")
    assert first.published == again.published


def test_behaviour_is_not_judged_on_late_events():
    judge = Judge()
    for number in range(7):
        judge.event(event_id=f"f{number}", event_type="LOGIN_FAILED", timestamp="2026-01-31T23:00:00Z")
    assert judge.event(event_id="f9", event_type="LOGIN_FAILED").published is None


@pytest.mark.parametrize(("away", "anew"), [(IDLE_MS, False), (IDLE_MS + 1, True)])
def test_a_user_who_was_away_starts_anew_and_keeps_the_privacy_record(away, anew):
    judge = Judge()
    judge.event(stamped=NOW, region="JP", is_eu=False, gpc=True)
    outcome = judge.event(event_id="event-2", stamped=NOW + away)
    rules = [one["rule_id"] for one in verdict(outcome)["findings"]] if outcome.published else []
    assert ("account.impossible_travel" in rules) != anew
    state = judge.users["user-1"]
    assert len(state.window) == (1 if anew else 2)
    assert state.privacy.opt_out == Mark(NOW, NOW)


def test_for_one_who_was_away_a_duplicate_and_a_late_event_are_new():
    for changes in ({}, {"event_id": "event-2", "timestamp": "2026-01-01T00:00:00Z"}):
        judge = Judge()
        judge.event(stamped=NOW)
        outcome = judge.event(stamped=NOW + IDLE_MS + 1, **changes)
        assert (outcome.ending, outcome.late) == ("judged", False)


def test_shadow_rules_are_counted_and_not_published():
    ruleset = read_ruleset({"version": "1", "rules": {"privacy.jurisdiction_mismatch": {"mode": "shadow"}}})
    alone = Judge(ruleset).event(is_eu=False)
    assert (alone.published, alone.shadow) == (None, ("privacy.jurisdiction_mismatch",))
    beside = Judge(ruleset).event(is_eu=False, has_consent=False)
    assert [one["rule_id"] for one in verdict(beside)["findings"]] == ["privacy.consent_missing"]
    assert verdict(beside)["score"] == 5
    assert beside.shadow == ("privacy.jurisdiction_mismatch",)


def test_rules_that_are_off_are_not_judged():
    ruleset = read_ruleset({"version": "1", "rules": {"privacy.jurisdiction_mismatch": {"mode": "off"}}})
    outcome = Judge(ruleset).event(is_eu=False)
    assert (outcome.published, outcome.shadow) == (None, ())


def test_a_new_rule_set_judges_from_the_next_record_on():
    judge = Judge()
    assert judge.event(is_eu=False).published
    judge.evaluator.ruleset = read_ruleset(
        {"version": "2", "rules": {"privacy.jurisdiction_mismatch": {"mode": "off"}}}
    )
    assert judge.event(event_id="event-2", is_eu=False).published is None


def test_pseudonyms_stand_for_user_and_device_everywhere():
    show = pseudonymiser(b"key")
    judge = Judge(show=show)
    judge.event(event_id="event-0", device_id="device-2", subscription_plan="basic")
    outcome = judge.event(subscription_plan="basic", content_id="title", extra_metadata={"a": "b"})
    assert b"user-1" not in outcome.published
    assert b"device-" not in outcome.published
    shown = verdict(outcome)
    assert shown["user_id"] == shown["subject"]["id"] == show("user-1")
    assert shown["device_id"] == show("device-1")
    (streams,) = shown["findings"]
    assert streams["evidence"]["devices"] == sorted([show("device-1"), show("device-2")])
    assert set(judge.users) == {"user-1"}


def test_a_pseudonym_is_a_keyed_hash():
    assert pseudonymiser(b"k")("ü") == hmac.new(b"k", "ü".encode(), "sha256").hexdigest()[:32]
    assert pseudonymiser(b"k")("a") != pseudonymiser(b"l")("a") != pseudonymiser(b"l")("b")


class Elsewhere(AllUsers):
    def owns(self, _user_id):
        return False


def test_a_new_user_of_another_partition_is_misplaced_and_leaves_no_state():
    judge = Judge()
    judge.users = Elsewhere()
    for outcome in (judge.event(gpc=True), judge.request()):
        assert (outcome.ending, outcome.user_id) == ("misplaced", "user-1")
        assert outcome.failed is None
    assert judge.users == {}


def test_what_is_invalid_fails_where_it_is_read():
    judge = Judge()
    judge.users = Elsewhere()
    assert judge.event(region="x").ending == "failed"
    assert judge.event(stamped=0).reason == "future_timestamp"


def test_a_request_makes_a_record_of_a_user_without_events():
    judge = Judge()
    assert judge.request("delete").ending == "request"
    assert judge.users["user-1"].stream_time is None
    outcome = judge.event()
    assert [one["rule_id"] for one in verdict(outcome)["findings"]] == ["retention.opt_out_ignored"]


def test_an_opt_in_does_not_withdraw_a_deletion():
    judge = Judge()
    judge.request("delete")
    judge.request("opt_in")
    assert judge.event().published
    judge.request("reinstate")
    assert judge.event(event_id="event-2").published is None
