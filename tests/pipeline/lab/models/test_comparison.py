"""The comparison of methods, on days small enough for a test."""

import numpy as np
import pytest

from pipeline.anomaly.quality import figures
from pipeline.lab.models.comparison import RULES, STORIES, SUPERVISED, as_markdown, compare
from pipeline.lab.models.methods import UNSUPERVISED, supervised
from tests.pipeline.anomaly.conftest import made_up_minutes


@pytest.fixture(scope="module")
def spiked():
    """Ordinary rows to learn, and rows to score of which every tenth is far out in one feature."""
    rows = made_up_minutes(3_000).rows
    asked = made_up_minutes(500, seed=9).rows
    misuse = np.arange(500) % 10 == 0
    asked[misuse, 10] = 40
    return rows, asked, misuse


@pytest.mark.parametrize("name", UNSUPERVISED)
def test_every_method_gives_high_scores_to_what_is_far_out(name, spiked):
    rows, asked, misuse = spiked
    # Chance gets the share of misuse, 0.1; half-space trees look at few of 30 features and are the weakest.
    assert figures(UNSUPERVISED[name](rows, 1)(asked), misuse).pr_auc > 0.25


def test_the_upper_bound_learns_labels(spiked):
    _, asked, misuse = spiked
    assert figures(supervised(asked, misuse, 1)(asked), misuse).pr_auc > 0.99


@pytest.mark.slow
def test_all_methods_are_compared_and_told_in_one_table():
    steps = []
    comparison = compare((21,), 16_000, steps.append)
    assert set(comparison.runs[STORIES]) == {RULES, SUPERVISED, *UNSUPERVISED}
    text = as_markdown(comparison)
    assert all(f"| {name} |" in text for name in (RULES, SUPERVISED, *UNSUPERVISED, "rating_mill", "viewer"))
    assert "nan" not in text
    assert steps[0] == "seed 21: generating"
