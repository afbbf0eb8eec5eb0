"""Drift: how far a day's features and scores have moved from those of training.

The measure is the population stability index (PSI): the sum over bins of (actual - expected) * ln(actual /
expected) of their shares. By common use below 0.1 is stable, and above 0.25 the model wants a look or a new training.
The bins are deciles of training, from the model file.
"""

from math import log
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline.anomaly.artefact import Model, Usual
from pipeline.anomaly.features import FEATURE_NAMES, Rows, Whole

DAY_MINUTES: Final = 1_440
SCORE: Final = "score"
STABLE_BELOW: Final = 0.1
MOVED_ABOVE: Final = 0.25
FEWEST: Final = 1_000
"""With fewer scored minutes the bins are too empty to say anything."""
_LEAST_SHARE: Final = 1e-4
"""Stands for an empty bin, whose logarithm does not exist."""


class DriftDay(msgspec.Struct, array_like=True):
    """The scored minutes of one day of event time, counted by bin. Days of several partitions can be added.

    Attributes:
        day: days since 1970.
        counts: for each feature, and last for the score, the scored minutes by bin.
    """

    day: int
    counts: list[list[int]]

    @property
    def minutes(self) -> int:
        """The scored minutes of the day."""
        return sum(self.counts[-1])

    def add(self, other: "DriftDay") -> None:
        """Count those of the same day and model from elsewhere too."""
        for mine, others in zip(self.counts, other.counts, strict=True):
            mine[:] = [one + another for one, another in zip(mine, others, strict=True)]


def empty_day(model: Model, day: int) -> DriftDay:
    """A day before its first scored minute."""
    return DriftDay(day, [[0] * len(usual.shares) for usual in (*model.usual, model.score)])


def observe(day: DriftDay, model: Model, rows: Rows, paths: Whole) -> None:
    """Count scored minutes; the caller hands over those of the day only."""
    for column, usual in enumerate(model.usual):
        _count(day.counts[column], usual, rows[:, column])
    scores = np.array([model.forest.score(path) for path in paths.tolist()])
    _count(day.counts[-1], model.score, scores)


def psi_of(day: DriftDay, model: Model) -> dict[str, float]:
    """The PSI by feature, and of the score under `SCORE`; empty with fewer than `FEWEST` scored minutes."""
    if day.minutes < FEWEST:
        return {}
    names = (*FEATURE_NAMES, SCORE)
    usuals = (*model.usual, model.score)
    return {
        name: psi(usual.shares, counts) for name, usual, counts in zip(names, usuals, day.counts, strict=True)
    }


def psi(expected: tuple[float, ...], counts: list[int]) -> float:
    """The population stability index of counts against expected shares; 0 without counts."""
    total = sum(counts)
    if not total:
        return 0.0
    index = 0.0
    for share, count in zip(expected, counts, strict=True):
        usual, actual = max(share, _LEAST_SHARE), max(count / total, _LEAST_SHARE)
        index += (actual - usual) * log(actual / usual)
    return index


def bins_of(values: NDArray[np.float64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Edges and shares of the deciles of values; equal edges are one."""
    edges = np.unique(np.quantile(values, np.linspace(0.1, 0.9, 9), method="lower"))
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    return tuple(edges.tolist()), tuple((counts / len(values)).tolist())


def _count(counts: list[int], usual: Usual, values: NDArray[np.floating]) -> None:
    places = np.searchsorted(np.asarray(usual.edges), values, side="left")
    for place, count in enumerate(np.bincount(places, minlength=len(counts)).tolist()):
        counts[place] += count
