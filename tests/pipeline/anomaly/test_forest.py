"""Path lengths agree with scikit-learn's, do not depend on the batch, and bad arrays are refused."""

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from pipeline.anomaly.forest import Forest, ForestError
from pipeline.anomaly.training import Parameters, _with_decoys, grow


def test_scores_are_those_of_scikit_learn_where_every_tree_counts(minutes):
    rows = minutes.rows[:2_000]
    parameters = Parameters(seed=5, trees=30, counted=30, samples=128, columns=7)
    ours = grow(rows, parameters)
    theirs = IsolationForest(n_estimators=30, max_samples=128, max_features=7, random_state=5)
    theirs.fit(_with_decoys(rows, 5))
    asked = np.concatenate((rows[:300], rows[:5] * 10))
    scores = [ours.score(path) for path in ours.paths(asked).tolist()]
    assert scores == pytest.approx((-theirs.score_samples(asked)).tolist(), abs=1e-5)


def test_a_row_has_the_same_path_alone_and_in_any_batch(model, minutes):
    rows = minutes.rows[:1_500]
    together = model.forest.paths(rows)
    assert model.forest.paths(rows[::-1])[::-1].tolist() == together.tolist()
    assert [int(model.forest.paths(row[None, :])[0]) for row in rows[:40]] == together[:40].tolist()


def test_no_rows_have_no_paths(model, minutes):
    assert model.forest.paths(minutes.rows[:0]).tolist() == []


def test_only_the_trees_that_isolate_a_row_soonest_count(model, minutes):
    forest = model.forest
    whole = replace_counted(forest, len(forest.roots))
    means = [one.paths(minutes.rows[:50]) / one.counted for one in (forest, whole)]
    assert (means[0] <= means[1]).all()


def replace_counted(forest, counted):
    return Forest(forest.feature, forest.threshold, forest.child, forest.roots, counted, forest.normal_path)


# One tree: the root compares column 0 with 1.5; its leaves have the path lengths 1 and 2.
TREE = {
    "feature": np.array([0, -1, -1], np.int8),
    "threshold": np.array([1.5, 0, 0], np.float32),
    "child": np.array([1, 65_536, 131_072], np.int32),
    "roots": np.array([0], np.int32),
    "counted": 1,
    "normal_path": 3.0,
}


def test_a_value_at_the_threshold_goes_left():
    rows = np.array([[1.5], [np.nextafter(np.float32(1.5), np.float32(2))]], np.float32)
    assert Forest(**TREE).paths(rows).tolist() == [65_536, 131_072]


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("feature", np.array([0, -1], np.int8), "differ in length"),
        ("feature", np.array([0, -2, -1], np.int8), "no valid feature"),
        ("threshold", np.array([np.nan, 0, 0], np.float32), "not finite"),
        ("child", np.array([0, 1, 1], np.int32), "outside of its tree or before it"),
        ("child", np.array([2, 1, 1], np.int32), "outside of its tree or before it"),
        ("child", np.array([2**31 - 1, 1, 1], np.int32), "outside of its tree or before it"),
        ("child", np.array([1, -1, 1], np.int32), "path length"),
        ("roots", np.array([], np.int32), "empty"),
        ("roots", np.array([1], np.int32), "do not follow"),
        ("roots", np.array([0, 0], np.int32), "do not follow"),
        ("roots", np.array([0, 3], np.int32), "do not follow"),
        ("counted", 0, "counts more trees"),
        ("counted", 2, "counts more trees"),
        ("normal_path", 0.0, "no positive number"),
        ("normal_path", float("nan"), "no positive number"),
    ],
)
def test_arrays_that_are_no_trees_are_refused(part, value, message):
    with pytest.raises(ForestError, match=message):
        Forest(**{**TREE, part: value})


def test_a_tree_that_is_too_deep_is_refused():
    depth = 70
    feature = np.array([0, -1] * depth + [-1], np.int8)
    child = np.array([step for n in range(depth) for step in (2 * n + 1, 1)] + [1], np.int32)
    threshold = np.zeros(len(feature), np.float32)
    with pytest.raises(ForestError, match="deeper than 64"):
        Forest(feature, threshold, child, np.array([0], np.int32), 1, 3.0)
