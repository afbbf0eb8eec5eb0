"""The anomaly model in the evaluation: what is scored and when, and that batches and restarts change nothing."""

import json
from collections import Counter

import msgspec
import pytest

from pipeline.anomaly.scoring import NotEvaluated
from pipeline.anomaly.shipped import shipped_model
from pipeline.evaluation.batch import PartitionState, evaluate_batch
from pipeline.evaluation.evaluator import Evaluator
from pipeline.evaluation.findings import findings_now
from pipeline.judging.file import AllUsers
from pipeline.lab.generator.casts import Stories
from pipeline.rules.inputs import shown_as_it_is
from pipeline.rules.ruleset import built_in, read_ruleset
from pipeline.windows.score import FAILED
from tables.users import decode_user, encode_user
from tests.pipeline.evaluation.records import Judge, record, verdict
from tests.pipeline.lab.generator.conftest import simulate

RULE = "anomaly.isolation_forest"


@pytest.fixture(scope="module")
def model():
    """The shipped model with a threshold that many hours pass."""
    shipped = shipped_model()
    return msgspec.structs.replace(shipped, alert_below=shipped.alert_below * 6 // 5)


@pytest.fixture(scope="module")
def stream():
    values = [one.value for one in simulate(3_000, stories=Stories.QUIET, with_topic=False)]
    return [record(value, offset=offset) for offset, value in enumerate(values)]


def judged(model, records, size, *, stored=False):
    """All outputs of a stream that is judged in batches of a size; the users are stored in between if asked for."""
    evaluator, users, partition = Evaluator(built_in(), "1.0", model), AllUsers(), PartitionState()
    flagged, failed = [], []
    for first in range(0, len(records), size):
        outputs = evaluate_batch(evaluator, records[first : first + size], users, partition, "raw-events")
        flagged += outputs.flagged
        failed += outputs.failed
        if stored:
            for user, state in users.items():
                users[user] = decode_user(encode_user(state))
    return flagged, failed, partition, {user: encode_user(state) for user, state in users.items()}


def test_outputs_and_states_do_not_depend_on_the_batches(model, stream):
    whole = judged(model, stream, len(stream))
    assert any(RULE in value.decode() for _, value in whole[0])
    assert whole == judged(model, stream, 1)
    assert whole == judged(model, stream, 37)


def test_outputs_and_states_are_the_same_after_a_restart(model, stream):
    some = stream[:1_000]
    assert judged(model, some, 100) == judged(model, some, 100, stored=True)


def test_the_verdict_names_the_model_and_explains_the_score(model, stream):
    found = [json.loads(value) for _, value in judged(model, stream, 250)[0]]
    assert {one["model_version"] for one in found} == {model.version}
    findings = [finding for one in found for finding in one["findings"] if finding["rule_id"] == RULE]
    for finding in findings:
        evidence = finding["evidence"]
        assert evidence["score"] > evidence["threshold"]
        assert 1 <= len(evidence["features"]) <= 3
        assert finding["summary"].startswith("The hour is unusual: ")
        assert (finding["severity"], finding["dimension"]) == ("MEDIUM", "anomaly")


def test_every_event_has_a_score_or_a_reason(model, stream):
    evaluator, users = Evaluator(built_in(), "1.0", model), AllUsers()
    reasons = Counter()
    for outcome in evaluator.judge_batch(stream, users):
        if outcome.ending == "judged":
            assert (outcome.score is None) == (outcome.not_evaluated is not None)
            reasons[outcome.not_evaluated] += 1
    assert reasons[None] > 100
    assert reasons[NotEvaluated.TOO_LITTLE_HISTORY] > 100
    counts = judged(model, stream, 250)[2].counts
    for reason in NotEvaluated:
        assert counts.get(f"not_evaluated.{reason}", 0) == reasons[reason]


def minute(number, second=0):
    return f"2026-01-31T20:{number:02d}:{second:02d}Z"


def stuffing(judge, *, minutes=14):
    """A user whose log-ins fail, five a minute; the outcomes."""
    return [
        judge.event(
            event_id=f"e{number}-{part}",
            event_type="LOGIN_FAILED",
            device_id=f"tv-{number % 5}{part}",
            ip_address=f"192.0.2.{number * 4 + part}",
            timestamp=minute(number, 10 * part),
        )
        for number in range(minutes)
        for part in range(5)
    ]


def fires(outcome):
    return outcome.verdict is not None and any(one.rule_id == RULE for one in outcome.verdict.findings)


def test_a_finding_repeats_until_the_next_score(model):
    judge = Judge(model=model)
    outcomes = stuffing(judge)
    assert fires(outcomes[-5])
    assert [one.score.time for one in outcomes[-5:]] == [outcomes[-5].event.time] * 5
    assert all(fires(one) for one in outcomes[-5:])
    # Ten hours later, with little history, the score does not hold any more.
    after = judge.event(event_id="later", timestamp="2026-02-01T06:00:00Z")
    assert (after.not_evaluated, fires(after)) == (NotEvaluated.TOO_LITTLE_HISTORY, False)


def test_an_event_out_of_order_repeats_the_finding_and_scores_nothing(model):
    judge = Judge(model=model)
    last = stuffing(judge)[-1]
    between = judge.event(event_id="out of order", timestamp=minute(3, 5))
    assert between.score is last.score
    assert fires(between)


def test_a_late_event_is_not_evaluated(model):
    judge = Judge(model=model)
    stuffing(judge)
    late = judge.event(event_id="late", timestamp="2026-01-31T10:00:00Z")
    assert (late.late, late.not_evaluated, fires(late)) == (True, NotEvaluated.LATE, False)


def test_without_a_model_or_with_the_rule_off_nothing_is_scored(model):
    off = read_ruleset({"version": "off", "rules": {RULE: {"mode": "off"}}})
    for judge, reason in [
        (Judge(), NotEvaluated.NO_MODEL),
        (Judge(off, model=model), NotEvaluated.RULE_OFF),
    ]:
        outcomes = stuffing(judge)
        assert {one.not_evaluated for one in outcomes} == {reason}
        assert not any(fires(one) for one in outcomes)


def test_in_shadow_the_rule_is_counted_and_not_published(model):
    shadow = read_ruleset({"version": "shadow", "rules": {RULE: {"mode": "shadow"}}})
    last = stuffing(Judge(shadow, model=model))[-1]
    assert RULE in last.shadow
    assert not fires(last)


def test_the_score_of_another_model_holds_no_longer(model):
    judge = Judge(model=model)
    stuffing(judge)
    judge.evaluator.model = msgspec.structs.replace(model, version="another")
    earlier = judge.event(event_id="out of order", timestamp=minute(3, 5))
    assert earlier.not_evaluated is NotEvaluated.NOT_YET
    now = judge.event(event_id="now", timestamp=minute(13, 50))
    assert now.score.model == "another"


def test_a_score_that_fails_is_counted_and_the_event_is_judged(model, monkeypatch):
    monkeypatch.setattr("pipeline.evaluation.evaluator.row_of", lambda *_: 1 / 0)
    judge = Judge(model=model)
    last = stuffing(judge)[-1]
    assert last.score.paths == FAILED
    assert last.verdict is not None
    assert not fires(last)


def test_a_batch_that_failed_leaves_nothing_to_score_for_the_next(model):
    judge = Judge(model=model)
    stuffing(judge)
    outcome = judge.evaluator.judge_batch([record(b"{")], judge.users)[0]
    assert outcome.ending == "failed"


def test_the_view_of_a_user_repeats_the_finding(model):
    judge = Judge(model=model)
    last = stuffing(judge)[-1]
    [state] = judge.users.values()
    now = {one.rule_id for one in findings_now(state, judge.evaluator.ruleset, shown_as_it_is, model)}
    assert now == {one["rule_id"] for one in verdict(last)["findings"]}
    assert RULE in now
    another = msgspec.structs.replace(model, version="another")
    assert RULE not in {one.rule_id for one in findings_now(state, built_in(), shown_as_it_is, another)}
