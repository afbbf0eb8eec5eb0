"""Path lengths agree with scikit-learn's, do not depend on the batch, and bad arrays are refused."""

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from pipeline.anomaly.forest import Forest, ForestError
from pipeline.anomaly.training import Parameters, _dealt, _with_decoys, grow


def test_scores_are_those_of_scikit_learn_where_every_tree_counts(minutes):
    rows = minutes.rows[:2_000]
    parameters = Parameters(seed=5, trees=30, counted=30, samples=64, columns=7)
    ours = grow(rows, parameters)
    asked = np.concatenate((rows[:300], rows[:5] * 10))
    chance = np.random.default_rng(5)
    seen = _with_decoys(rows, chance)
    paths = []
    for columns in _dealt(rows.shape[1], parameters, chance):
        theirs = IsolationForest(n_estimators=1, max_samples=64, random_state=int(chance.integers(2**31)))
        theirs.fit(seen[:, columns])
        paths.append(-np.log2(-theirs.score_samples(asked[:, columns])))
    scores = [ours.score(path) for path in ours.paths(asked).tolist()]
    assert scores == pytest.approx((2 ** -np.mean(paths, axis=0)).tolist(), abs=1e-5)


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
        ("feature", np.array([0, -1, -1, -1], np.int8), "differ in length"),
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


def chain(leaves):
    """One tree in which each inner node has a leaf on its left and the rest on its right."""
    inner = leaves - 1
    feature = np.array([0, *[-1, 0] * (inner - 1), -1, -1], np.int8)
    child = np.array(
        [1, *(value for n in range(1, inner) for value in (n, 2 * n + 1)), inner, leaves], np.int32
    )
    threshold = np.array(
        [0.0, *(float(value) for n in range(1, inner) for value in (0, n)), 0, 0], np.float32
    )
    return feature, threshold, child


def test_a_tree_may_have_sixty_four_leaves_and_no_more():
    forest = Forest(*chain(64), np.array([0], np.int32), 1, 3.0)
    rows = np.arange(-1, 64, dtype=np.float32)[:, None]
    assert forest.paths(rows).tolist() == [1, *range(1, 65)]
    with pytest.raises(ForestError, match="65 leaves; at most 64"):
        Forest(*chain(65), np.array([0], np.int32), 1, 3.0)


def test_a_forest_whose_tables_would_be_large_is_refused():
    trees = 600
    feature, _, child = chain(64)
    roots = np.arange(trees, dtype=np.int32) * len(feature)
    inner = np.where(feature == -1, 0, len(feature))[None, :] * np.arange(trees)[:, None]
    with pytest.raises(ForestError, match="cells; at most"):
        Forest(
            np.tile(feature, trees),
            np.arange(trees * len(feature), dtype=np.float32),
            (child + inner).ravel().astype(np.int32),
            roots,
            1,
            3.0,
        )


def test_paths_are_those_of_a_walk_from_node_to_node(model, minutes):
    forest = model.forest
    rows = np.concatenate((minutes.rows[:60], minutes.rows[:20] * 7))
    for row, path in zip(rows, forest.paths(rows).tolist(), strict=True):
        lengths = sorted(_walked(forest, row, int(root)) for root in forest.roots)
        assert path == sum(lengths[: forest.counted])


def _walked(forest, row, node):
    while forest.feature[node] != -1:
        node = forest.child[node] + (row[forest.feature[node]] > forest.threshold[node])
    return int(forest.child[node])
