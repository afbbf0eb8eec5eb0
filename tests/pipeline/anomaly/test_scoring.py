"""When a window is scored, and what a row that fails costs."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.anomaly.features import FEATURES, pack_row
from pipeline.anomaly.scoring import Due, NotEvaluated, score_rows, scoring_of
from pipeline.windows.score import Score
from tests.pipeline.anomaly.conftest import event, row

MINUTE = 60_000
LAST = Score(time=10 * MINUTE + 59_999, model="m1", paths=1)


@pytest.mark.parametrize(
    ("last", "version", "minute", "events", "in_order", "due"),
    [
        (None, "m1", 11, 9, True, NotEvaluated.TOO_LITTLE_HISTORY),
        (None, "m1", 11, 10, True, Due.SCORE),
        (None, "m1", 11, 10, False, NotEvaluated.NOT_YET),
        (LAST, "m1", 10, 50, True, Due.REPEAT),
        (LAST, "m1", 11, 50, True, Due.SCORE),
        (LAST, "m1", 11, 50, False, Due.REPEAT),
        (LAST, "m1", 11, 9, True, NotEvaluated.TOO_LITTLE_HISTORY),
        # Another model is in force: what the last one said does not hold any more.
        (LAST, "m2", 10, 50, True, Due.SCORE),
        (LAST, "m2", 10, 50, False, NotEvaluated.NOT_YET),
    ],
)
def test_once_in_a_minute_with_enough_history_and_in_order(last, version, minute, events, in_order, due):
    assert scoring_of(last, version, minute * MINUTE + 59_999, events, in_order=in_order) == due


def scored(model, *rows):
    """The scores of rows, one a minute, and what the observer got."""
    scores = [Score(number * MINUTE, model.version) for number in range(len(rows))]
    seen = []
    score_rows(model, scores, [pack_row(one) for one in rows], lambda *what: seen.append(what))
    return scores, seen


def hour(count=12):
    return row(event(0, "PLAY"), *(event(60 * n) for n in range(1, count)))


@pytest.mark.parametrize("broken", [("four",) * len(FEATURES), (1.0,), (10**400,) * len(FEATURES)])
def test_a_row_that_is_none_is_refused_before_it_joins_a_batch(broken):
    with pytest.raises((struct.error, OverflowError)):
        pack_row(broken)


def test_the_observer_gets_what_was_scored(model):
    scores, seen = scored(model, hour(), hour(20))
    [(_, rows, paths, minutes)] = seen
    assert rows.shape == (2, len(FEATURES))
    assert paths.tolist() == [one.paths for one in scores]
    assert minutes.tolist() == [0, 1]


def test_a_score_has_causes_only_where_it_is_below_the_threshold(model):
    # The rows of this model are Poisson counts around 3: an hour of 4,000 seeks is far out.
    odd = row(*(event(n * 0.8, "SEEK", n) for n in range(4_000)))
    (usual, found), _ = scored(model, hour(), odd)
    assert found.paths < model.alert_below
    assert found.causes
    assert bool(usual.causes) == (usual.paths < model.alert_below)


@given(st.permutations(range(30)), st.integers(1, 30))
def test_a_score_does_not_depend_on_its_batch(model, order, size):
    rows = [hour(10 + n) for n in range(30)]
    alone = {number: scored(model, rows[number])[0][0].paths for number in (0, 7, 29)}
    for first in range(0, 30, size):
        numbers = order[first : first + size]
        scores, _ = scored(model, *(rows[number] for number in numbers))
        for number, score in zip(numbers, scores, strict=True):
            assert score.paths == alone.get(number, score.paths)
