"""Drift: how far a day's features and scores have moved from those of training.

The measure is the population stability index (PSI): the sum over bins of (actual - expected) * ln(actual /
expected) of their shares. By common use below 0.1 is stable, and above 0.25 the model wants a look or a new training.
The bins are deciles of training, from the model file.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.anomaly.artefact import Model
from pipeline.anomaly.features import FEATURE_NAMES, Rows, Whole

DAY_MINUTES: Final = 1_440
SCORE: Final = "score"
WATCHED: Final = (*FEATURE_NAMES, SCORE)
"""What is counted, in the order of the counts of a day."""
STABLE_BELOW: Final = 0.1
MOVED_ABOVE: Final = 0.25
FEWEST: Final = 1_000
"""With fewer counted minutes the bins are too empty to say anything."""
EVERY: Final = 10
"""One minute of event time in so many is counted. The shares stay the same, and counting costs the stream nothing."""
_DAYS_KEPT: Final = 2
_LEAST_SHARE: Final = 1e-4
"""Stands for an empty bin, whose logarithm does not exist."""


@dataclass
class DriftDay:
    """The counted minutes of one day of event time, by bin. Days of several workers can be added.

    Attributes:
        day: days since 1970.
        counts: counted minutes: one row for each of `WATCHED`, one column for each bin.
    """

    day: int
    counts: Whole

    @property
    def minutes(self) -> int:
        """The counted minutes of the day."""
        return int(self.counts[-1].sum())

    def psi(self, model: Model) -> dict[str, float]:
        """The PSI of each of `WATCHED`; empty with fewer than `FEWEST` counted minutes."""
        if self.minutes < FEWEST:
            return {}
        usuals = (*model.usual, model.score)
        return {
            name: psi(usual.shares, counts[: len(usual.shares)])
            for name, usual, counts in zip(WATCHED, usuals, self.counts.tolist(), strict=True)
        }


class DriftWatch:
    """Counts what one worker scores, for the two newest days of event time and one model.

    The worker gives `observe` to the evaluation and asks the attributes for `/metrics` and `/drift`. The counts are in
    memory only, so they begin again with each start of the worker and with each new model. One record whose
    timestamp lies days ahead makes its day the newest one.

    Attributes:
        model: the model that scored last; None before the first score.
        days: the days that are kept, by their number.
        left_out: minutes that were older than both days and were not counted.
    """

    def __init__(self) -> None:
        self.model: Model | None = None
        self.days: dict[int, DriftDay] = {}
        self.left_out = 0
        self._edges = np.empty((0, 0))

    def observe(self, model: Model, rows: Rows, paths: Whole, minutes: Whole) -> None:
        """Count the scored minutes of a slice.

        Args:
            model: what scored them.
            rows: their features, one row each.
            paths: their summed path lengths, in steps of the forest.
            minutes: their event time, in minutes since 1970.
        """
        if self.model is None or self.model.version != model.version:
            self.model, self.days, self._edges = model, {}, _edges_of(model)
        sampled = minutes % EVERY == 0
        rows, paths, numbers = rows[sampled], paths[sampled], minutes[sampled] // DAY_MINUTES
        for number in np.unique(numbers).tolist():
            chosen = numbers == number
            day = self.days.get(number)
            if day is None:
                if len(self.days) == _DAYS_KEPT:
                    oldest = min(self.days)
                    if number < oldest:
                        self.left_out += int(chosen.sum())
                        continue
                    del self.days[oldest]
                day = self.days[number] = DriftDay(
                    number, np.zeros((len(WATCHED), len(self._edges) + 1), dtype=np.int64)
                )
            day.counts += self._counted(model, rows[chosen], paths[chosen])

    def _counted(self, model: Model, rows: Rows, paths: Whole) -> Whole:
        scores = [model.forest.score(path) for path in paths.tolist()]
        values = np.vstack((rows.T, scores))
        # A value at an edge belongs to the bin below it, so a bin holds what is above its lower edge only.
        above = [np.count_nonzero(values > edge[:, None], axis=1) for edge in self._edges]
        everything, nothing = np.full(len(WATCHED), len(rows)), np.zeros(len(WATCHED), dtype=np.int64)
        return -np.diff(np.column_stack((everything, *above, nothing)), axis=1)


def newest_of(days: Iterable[DriftDay]) -> list[DriftDay]:
    """The two newest days, the newest first; those of several workers and one model are added up by day."""
    added: dict[int, DriftDay] = {}
    for one in days:
        counts = one.counts + added[one.day].counts if one.day in added else one.counts
        added[one.day] = DriftDay(one.day, counts)
    return [added[number] for number in sorted(added, reverse=True)[:_DAYS_KEPT]]


def psi(expected: Sequence[float], counts: Sequence[int]) -> float:
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


def _edges_of(model: Model) -> NDArray[np.float64]:
    """The upper bounds of the bins, one column for each of `WATCHED`; behind the last one stand infinities."""
    usuals = (*model.usual, model.score)
    edges = np.full((len(usuals), max(len(usual.edges) for usual in usuals)), np.inf)
    for row, usual in zip(edges, usuals, strict=True):
        row[: len(usual.edges)] = usual.edges
    return edges.T
