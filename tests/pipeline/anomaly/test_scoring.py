"""When a window is scored, and what a row that fails costs."""

import numpy as np
import pytest

from pipeline.anomaly.scoring import Due, NotEvaluated, Score, rows_of, score_windows, scoring_of
from tests.pipeline.anomaly.conftest import event, window

MINUTE = 60_000
LAST = Score(minute=10, paths=1, model="m1")


@pytest.mark.parametrize(
    ("last", "version", "minute", "events", "in_order", "due"),
    [
        (None, None, 11, 50, True, NotEvaluated.NO_MODEL),
        (None, "m1", 11, 9, True, NotEvaluated.TOO_LITTLE_HISTORY),
        (None, "m1", 11, 10, True, Due.SCORE),
        (None, "m1", 11, 10, False, NotEvaluated.TOO_LITTLE_HISTORY),
        (LAST, "m1", 10, 50, True, Due.REPEAT),
        (LAST, "m1", 11, 50, True, Due.SCORE),
        (LAST, "m1", 11, 50, False, Due.REPEAT),
        (LAST, "m1", 11, 9, True, NotEvaluated.TOO_LITTLE_HISTORY),
        # Another model is in force: what the last one said does not hold any more.
        (LAST, "m2", 10, 50, True, Due.SCORE),
        (LAST, "m2", 10, 50, False, NotEvaluated.TOO_LITTLE_HISTORY),
        (LAST, None, 11, 50, True, NotEvaluated.NO_MODEL),
    ],
)
def test_once_in_a_minute_with_enough_history_and_in_order(last, version, minute, events, in_order, due):
    assert scoring_of(last, version, minute * MINUTE + 59_999, events, in_order=in_order) == due


def hour(count=12):
    return window(event(0, "PLAY"), *(event(60 * n) for n in range(1, count)))


def test_a_row_that_fails_costs_only_itself_its_score(model):
    broken = hour()._replace(stream_limit="four")
    scores = score_windows(model, [hour(), broken, hour(20)])
    assert scores[1] is NotEvaluated.FAILED
    assert scores[::2] == score_windows(model, [hour(), hour(20)])


def test_a_row_that_is_not_finite_fails():
    rows, failed = rows_of([hour(), hour()._replace(stream_limit=float("nan"))])
    assert failed == [False, True]
    assert np.isfinite(rows).all()


def test_a_score_names_its_minute_and_model_and_alerts_only_with_causes(model):
    # The rows of this model are Poisson counts around 3: an hour of 4,000 seeks is far out.
    odd = window(*(event(n * 0.8, "SEEK", n) for n in range(4_000)))
    usual, found = score_windows(model, [hour(), odd])
    assert found.alerts
    assert found.minute == odd.stream_time // MINUTE
    assert found.model == model.version
    assert found.paths < model.alert_below
    assert usual.alerts == (usual.paths < model.alert_below) == bool(usual.causes)


def test_nothing_to_score_is_no_error(model):
    assert score_windows(model, []) == []
