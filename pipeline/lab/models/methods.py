"""The methods that the model is compared with. Each learns from rows and returns a function that scores rows."""

from collections.abc import Callable
from typing import Final

import numpy as np

from pipeline.anomaly.features import Rows
from pipeline.anomaly.quality import Flags, Scores
from pipeline.anomaly.training import Parameters, grow

Scorer = Callable[[Rows], Scores]

_NEIGHBOURS: Final = 20
_LOF_ROWS: Final = 5_000
"""The time of LOF grows with the number of rows that it learned from."""
_ONLINE_ROWS: Final = 8_000
_ONLINE_TREES: Final = 25


def isolation_forest(rows: Rows, seed: int) -> Scorer:
    """The forest that `ott model train` grows."""
    forest = grow(rows, Parameters(seed=seed))
    return lambda asked: -forest.paths(asked).astype(np.float64)


def z_score(rows: Rows, _seed: int) -> Scorer:
    """The largest distance of a feature from its mean, in standard deviations."""
    mean, deviation = _scale(rows)
    return lambda asked: np.abs((asked - mean) / deviation).max(axis=1)


def local_outlier_factor(rows: Rows, seed: int) -> Scorer:
    """scikit-learn's LOF on features in standard deviations."""
    from sklearn.neighbors import LocalOutlierFactor  # noqa: PLC0415 - takes a second to import

    mean, deviation = _scale(rows)
    chosen = np.random.default_rng(seed).permutation(len(rows))[:_LOF_ROWS]
    factor = LocalOutlierFactor(n_neighbors=_NEIGHBOURS, novelty=True).fit((rows[chosen] - mean) / deviation)
    return lambda asked: -np.asarray(factor.score_samples((asked - mean) / deviation))


def half_space_trees(rows: Rows, seed: int) -> Scorer:
    """River's online detector; it learns the rows in the order of time and then only scores."""
    from river.anomaly import HalfSpaceTrees  # noqa: PLC0415 - only the lab has it

    # It asks for values from 0 to 1; a value beyond the training's largest stays at 1.
    lowest, highest = rows.min(axis=0), rows.max(axis=0)
    span = np.maximum(highest - lowest, 1e-9)

    def scaled(asked: Rows) -> list[dict[int, float]]:
        return [dict(enumerate(row)) for row in np.clip((asked - lowest) / span, 0, 1).tolist()]

    trees = HalfSpaceTrees(n_trees=_ONLINE_TREES, height=8, window_size=1_000, seed=seed)
    step = max(1, len(rows) // _ONLINE_ROWS)
    for row in scaled(rows[::step]):
        trees.learn_one(row)
    return lambda asked: np.array([trees.score_one(row) for row in scaled(asked)])


def supervised(rows: Rows, misuse: Flags, seed: int) -> Scorer:
    """Gradient boosting on labelled rows: what could be reached by somebody who knew the truth."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 - takes a second to import

    boosted = HistGradientBoostingClassifier(max_iter=80, class_weight="balanced", random_state=seed)
    boosted.fit(rows, misuse)
    return lambda asked: np.asarray(boosted.predict_proba(asked))[:, 1]


UNSUPERVISED: Final[dict[str, Callable[[Rows, int], Scorer]]] = {
    "isolation forest (ours)": isolation_forest,
    "per-feature z-score": z_score,
    "half-space trees (River)": half_space_trees,
    "local outlier factor": local_outlier_factor,
}


def _scale(rows: Rows) -> tuple[Scores, Scores]:
    wide = rows.astype(np.float64)
    return wide.mean(axis=0), wide.std(axis=0) + 1e-9
