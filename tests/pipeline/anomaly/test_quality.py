"""PR-AUC agrees with scikit-learn's; the budget is one of false alarms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from pipeline.anomaly.quality import Judged, Label, figures, interval, kinds_of_users


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=60))
def test_the_area_is_that_of_scikit_learn(pairs):
    scores = np.array([score for score, _ in pairs], dtype=np.float64)
    misuse = np.array([truth for _, truth in pairs], dtype=np.bool_)
    if misuse.all() or not misuse.any():
        with pytest.raises(ValueError, match="misuse only, or none"):
            figures(scores, misuse)
    else:
        assert figures(scores, misuse).pr_auc == pytest.approx(average_precision_score(misuse, scores))


def test_weights_count_minutes_again():
    scores = np.array([3.0, 2.0, 2.0, 1.0])
    misuse = np.array([True, False, True, False])
    twice = np.array([2.0, 1.0, 1.0, 0.0])
    again = figures(np.array([3.0, 3.0, 2.0, 2.0]), np.array([True, True, False, True]))
    assert figures(scores, misuse, twice) == pytest.approx(again)


def test_the_budget_is_a_share_of_the_harmless_minutes():
    # Of 1,000 harmless minutes one may alert: it stands at 50, and the next at 40.
    harmless = np.array([50.0, 40.0, *([0.0] * 998)])
    misuse = np.array([60.0, 45.0, 40.0, 39.0])
    scores = np.concatenate((harmless, misuse))
    truth = np.arange(len(scores)) >= 1_000
    found = figures(scores, truth)
    assert found.recall == 0.5
    assert found.precision == pytest.approx(2 / 3)


def test_a_method_that_puts_a_harmless_minute_first_finds_nothing_within_no_budget():
    found = figures(np.array([2.0, 1.0]), np.array([False, True]))
    assert (found.recall, found.precision) == (0, 0)


def test_the_interval_holds_the_mean_and_draws_whole_users():
    chance = np.random.default_rng(1)
    users = [f"u{n // 10}" for n in range(600)]
    misuse = np.arange(600) < 100
    runs = [Judged(misuse + chance.normal(size=600), misuse, users) for _ in range(2)]
    mean, low, high = interval(runs)
    assert low.pr_auc < mean.pr_auc < high.pr_auc
    assert interval(runs) == (mean, low, high)


def test_who_is_harmful_to_the_law_only_is_no_misuse():
    labels = [
        Label("user", "a", "bot", harmful=True, expect={"account.high_frequency": "t"}),
        Label("user", "b", "no_consent_eea", harmful=True, expect={"privacy.consent_missing": "t"}),
        Label("user", "c", "slow_stuffing", harmful=True),
        Label("user", "d", "viewer"),
        Label("message"),
    ]
    assert {user: misuse for user, (_, misuse) in kinds_of_users(labels).items()} == {
        "a": True,
        "b": False,
        "c": True,
        "d": False,
    }
