"""What the error-rate rules have in common."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules.error_rate import ErrorRate, top, wilson_interval


@pytest.mark.parametrize(
    ("failed", "total", "low", "high"),
    [
        # As scipy.stats.binomtest(failed, total).proportion_ci(2 * norm.cdf(1.96) - 1, "wilson") has it.
        (10, 20, 0.2993, 0.7007),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (1, 100, 0.0018, 0.0545),
    ],
)
def test_wilson_interval(failed, total, low, high):
    assert wilson_interval(failed, total) == (low, high)


@given(st.integers(1, 10_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_the_interval_holds_the_share_and_lies_in_0_to_1(counts):
    failed, total = counts
    low, high = wilson_interval(failed, total)
    assert 0 <= low <= round(failed / total, 4) <= high <= 1


def test_top_is_by_count_then_by_name_and_ends_at_five():
    counts = {"b": 2, "a": 2, "z": 9, "c": 1, "d": 1, "e": 1}
    assert list(top(counts).items()) == [("z", 9), ("a", 2), ("b", 2), ("c", 1), ("d", 1)]
    assert top({}) == {}


def test_limits_are_parameters():
    rule = ErrorRate(high_over=0.5, high_min_events=1, medium_over=0.0, medium_min_events=2)
    assert [rule.level(1, 1), rule.level(1, 2), rule.level(0, 2)] == ["HIGH", "MEDIUM", None]
