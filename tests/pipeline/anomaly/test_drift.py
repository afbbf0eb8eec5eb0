"""The population stability index, and days that are counted bin by bin."""

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.anomaly.drift import MOVED_ABOVE, SCORE, STABLE_BELOW, bins_of, empty_day, observe, psi, psi_of
from pipeline.anomaly.features import FEATURE_NAMES


def test_the_index_of_two_bins_by_hand():
    assert psi((0.5, 0.5), [80, 20]) == pytest.approx(0.3 * log(1.6) + -0.3 * log(0.4))


def test_equal_shares_have_not_moved():
    assert psi((0.25, 0.75), [1, 3]) == 0
    assert psi((0.25, 0.75), []) == 0


@given(st.lists(st.integers(0, 1_000), min_size=4, max_size=4))
def test_the_index_is_never_negative_nor_infinite(counts):
    assert 0 <= psi((0.1, 0.2, 0.3, 0.4), counts) < 100


def test_deciles_hold_a_tenth_each_and_equal_edges_are_one():
    edges, shares = bins_of(np.arange(1_000, dtype=np.float64))
    assert len(edges) == 9
    assert shares == pytest.approx([0.1] * 10, abs=0.002)
    assert bins_of(np.zeros(100)) == ((0.0,), (1.0, 0.0))


def day_of(model, rows):
    day = empty_day(model, 7)
    observe(day, model, rows, model.forest.paths(rows))
    return day


def test_a_day_like_training_is_stable(model, minutes):
    found = psi_of(day_of(model, minutes.rows[3_000:]), model)
    assert set(found) == {*FEATURE_NAMES, SCORE}
    assert max(found.values()) < STABLE_BELOW


def test_the_feature_that_moved_is_told_from_the_others(model, minutes):
    moved = minutes.rows[3_000:].copy()
    moved[:, FEATURE_NAMES.index("titles")] += 3
    found = psi_of(day_of(model, moved), model)
    assert [name for name, index in found.items() if index > MOVED_ABOVE] == ["titles"]


def test_parts_of_a_day_add_up(model, minutes):
    whole = day_of(model, minutes.rows[:2_000])
    part = day_of(model, minutes.rows[:700])
    part.add(day_of(model, minutes.rows[700:2_000]))
    assert part == whole
    assert whole.minutes == 2_000


def test_too_few_minutes_say_nothing(model, minutes):
    assert psi_of(day_of(model, minutes.rows[:999]), model) == {}
