"""The population stability index, and days that are counted bin by bin."""

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.anomaly.artefact import read_model, write_model
from pipeline.anomaly.drift import EVERY, MOVED_ABOVE, STABLE_BELOW, WATCHED, DriftWatch, bins_of, psi
from pipeline.anomaly.features import FEATURE_NAMES
from pipeline.anomaly.training import train
from tests.pipeline.anomaly.conftest import PARAMETERS

DAY = 1_440


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


def watched(model, rows, minutes, watch=None):
    watch = watch or DriftWatch()
    watch.observe(model, rows, model.forest.paths(rows), np.broadcast_to(minutes, len(rows)))
    return watch


def test_a_day_like_training_is_stable(model, minutes):
    (day,) = watched(model, minutes.rows[3_000:], 7 * DAY).days.values()
    found = day.psi(model)
    assert tuple(found) == WATCHED
    assert max(found.values()) < STABLE_BELOW


def test_the_feature_that_moved_is_told_from_the_others(model, minutes):
    moved = minutes.rows[3_000:].copy()
    moved[:, FEATURE_NAMES.index("titles")] += 3
    (day,) = watched(model, moved, 7 * DAY).days.values()
    assert [name for name, index in day.psi(model).items() if index > MOVED_ABOVE] == ["titles"]


def test_counts_are_those_of_a_search_for_each_value(model, minutes):
    rows = minutes.rows[:500]
    scores = [model.forest.score(path) for path in model.forest.paths(rows).tolist()]
    (day,) = watched(model, rows, 0).days.values()
    for counts, usual, values in zip(day.counts, (*model.usual, model.score), (*rows.T, scores), strict=True):
        expected = [0] * len(counts)
        for value in values:
            expected[sum(float(value) > edge for edge in usual.edges)] += 1
        assert counts.tolist() == expected


def test_slices_of_a_day_add_up(model, minutes):
    whole = watched(model, minutes.rows[:2_000], 7 * DAY + 50)
    parts = watched(model, minutes.rows[:700], 7 * DAY)
    watched(model, minutes.rows[700:2_000], 8 * DAY - EVERY, parts)
    assert parts.days[7].counts.tolist() == whole.days[7].counts.tolist()
    assert parts.days[7].minutes == 2_000


def test_one_minute_in_ten_is_counted(model, minutes):
    watch = watched(model, minutes.rows[:1_440], np.arange(7 * DAY, 8 * DAY))
    assert watch.days[7].minutes == 144


def test_too_few_minutes_say_nothing(model, minutes):
    assert watched(model, minutes.rows[:999], 0).days[0].psi(model) == {}


def test_the_two_newest_days_are_kept_and_older_minutes_are_counted_only(model, minutes):
    watch = watched(model, minutes.rows[:40], np.repeat([3, 4, 6, 4], 10) * DAY)
    assert {number: day.minutes for number, day in watch.days.items()} == {4: 20, 6: 10}
    watched(model, minutes.rows[:5], 3 * DAY, watch)
    assert {number: day.minutes for number, day in watch.days.items()} == {4: 20, 6: 10}
    assert watch.left_out == 5


def test_another_model_begins_anew(model, minutes):
    other = train(minutes, PARAMETERS, "the same rows, described otherwise")
    watch = watched(model, minutes.rows[:30], 7 * DAY)
    watched(other, minutes.rows[:20], 7 * DAY, watch)
    assert watch.model is other
    assert watch.days[7].minutes == 20
    # The same model, read again, goes on.
    watched(read_model(write_model(other), "again"), minutes.rows[:20], 7 * DAY, watch)
    assert watch.days[7].minutes == 40
