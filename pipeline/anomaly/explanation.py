"""Why a window is an anomaly: the features that moved its score most, in words.

The method is replacement by the median. For each feature, the row is scored again with that feature at its median
of training, and the others as they are. The feature moved the score by as much as the path then gets longer. The
method asks the model itself, needs no further data, and is told in one sentence to the person concerned.
"""

from typing import Final

import numpy as np

from pipeline.anomaly.artefact import Model, Usual
from pipeline.anomaly.features import FEATURES, Rows
from pipeline.windows.score import Cause

CAUSES: Final = 3
METHOD: Final = "median_replacement"
_WHOLE: Final = 1e-6


def causes_of(model: Model, row: Rows, path: int) -> tuple[Cause, ...]:
    """The features that moved a row's score most, the strongest first; at least one and at most three.

    Args:
        model: the model.
        row: the features of one window.
        path: its summed path length.
    """
    medians = np.array([usual.median for usual in model.usual], dtype=np.float32)
    # A feature that is at its median moves nothing. Half of them are.
    columns = np.flatnonzero(row != medians)
    replaced = np.repeat(row[None, :], len(columns), axis=0)
    replaced[np.arange(len(columns)), columns] = medians[columns]
    moved = np.zeros(len(FEATURES), dtype=np.int64)
    moved[columns] = model.forest.paths(replaced) - path
    strongest = np.argsort(-moved, kind="stable")[:CAUSES].tolist()
    # Features that stand for one another can hide each other; then the strongest is named, whatever it moved.
    chosen = [column for column in strongest if moved[column] > 0] or strongest[:1]
    return tuple(Cause(column, float(row[column]), int(moved[column])) for column in chosen)


def evidence_of(model: Model, causes: tuple[Cause, ...]) -> list[dict[str, object]]:
    """The causes as the evidence of a finding: names, values, and what is usual."""
    return [
        {
            "feature": FEATURES[cause.feature].name,
            "value": shown(cause.value),
            "median": shown(model.usual[cause.feature].median),
            "p1": shown(model.usual[cause.feature].low),
            "p99": shown(model.usual[cause.feature].high),
        }
        for cause in causes
    ]


def in_words(model: Model, causes: tuple[Cause, ...]) -> str:
    """The causes as a sentence for a person, such as "38 titles in an hour (99 % have at most 6)."."""
    return f"The hour is unusual: {'; '.join(_said(model.usual[one.feature], one) for one in causes)}."


def shown(value: float) -> int | float:
    """A value as a person reads it: whole where it is, else with two digits."""
    nearest = round(value)
    return nearest if abs(value - nearest) < _WHOLE else round(value, 2)


def _said(usual: Usual, cause: Cause) -> str:
    value = f"{shown(cause.value)} {FEATURES[cause.feature].words}"
    if cause.value > usual.high:
        return f"{value} (99 % of scored hours have at most {shown(usual.high)})"
    if cause.value < usual.low:
        return f"{value} (99 % of scored hours have at least {shown(usual.low)})"
    return f"{value} (half of the scored hours have at most {shown(usual.median)})"
