"""The stories that a model is trained and measured with: below every threshold, and told only when asked for."""

from collections import defaultdict

import pytest

from pipeline.evaluation.evaluator import Evaluator
from pipeline.evaluation.source import PlainRecord
from pipeline.judging.file import AllUsers
from pipeline.lab.generator.casts import (
    CASTS,
    EVERYBODY,
    MISUSE,
    QUIET_MISUSE,
    TUNING_MISUSE,
    UNSEEN_MISUSE,
    Stories,
)
from pipeline.lab.generator.personas import CAST, PERSONAS
from pipeline.rules.ruleset import built_in
from tests.pipeline.lab.generator.conftest import simulate

ADDED = EVERYBODY.keys() - PERSONAS.keys()


@pytest.fixture(scope="module")
def told():
    """By kind, the rules on accounts that fired for somebody of that kind, over a day of each cast."""
    fired: dict[str, set[str]] = defaultdict(set)
    for stories in (Stories.QUIET, Stories.TUNING, Stories.UNSEEN):
        evaluator, users = Evaluator(built_in(), "test"), AllUsers()
        records = simulate(
            24_000,
            users=700,
            hours=24.0,
            stories=stories,
            risk_share=0.6,
            with_topic=False,
            stamped_on_arrival=False,
        )
        for number, record in enumerate(records):
            line = PlainRecord(None, 0, number, -1, None, record.value)
            verdict = evaluator.judge(line, users).verdict
            rules = {one.rule_id for one in verdict.findings} if verdict else set()
            fired[record.who.persona.kind] |= {rule for rule in rules if rule.startswith("account.")}
    return fired


@pytest.mark.slow
@pytest.mark.essential
@pytest.mark.parametrize("kind", sorted(ADDED))
def test_no_rule_fires_on_a_story_below_every_threshold(told, kind):
    assert kind in told, "the story was never told"
    assert told[kind] <= set(EVERYBODY[kind].may)
    assert not EVERYBODY[kind].harmful or told[kind] == set()


def test_the_usual_cast_is_told_unless_another_is_asked_for():
    usual = [record.value for record in simulate(2_000)]
    assert usual == [record.value for record in simulate(2_000, stories=Stories.USUAL)]
    assert CASTS[Stories.USUAL] == CAST
    assert not ADDED & {record.who.persona.kind for record in simulate(2_000)}


@pytest.mark.parametrize("stories", Stories)
def test_the_same_plan_gives_the_same_records(stories):
    one, other = (simulate(1_500, stories=stories) for _ in range(2))
    assert [record.value for record in one] == [record.value for record in other]


@pytest.mark.parametrize(
    ("stories", "misuse"), [(Stories.TUNING, TUNING_MISUSE), (Stories.UNSEEN, UNSEEN_MISUSE)]
)
def test_what_is_kept_from_training_is_in_no_other_cast(stories, misuse):
    kept = set(CASTS[stories]) - set(CASTS[Stories.QUIET])
    assert set(misuse) < kept
    assert not any(kept & set(cast) for other, cast in CASTS.items() if other is not stories)


def test_misuse_is_rare_in_an_everyday_run():
    cast = CASTS[Stories.EVERYDAY]
    assert sum(kind in MISUSE for kind in cast) / len(cast) < 0.002
    assert set(QUIET_MISUSE) <= set(cast)


def test_misuse_and_only_misuse_is_called_harmful():
    assert all(EVERYBODY[kind].harmful == (kind in MISUSE) for kind in ADDED)
