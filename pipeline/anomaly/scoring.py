"""When a user's window is scored, and the scores of many windows at once.

The evaluation asks `scoring_of` for every judged event that is not late. Windows that are due are collected for a batch
of records and scored together with `score_rows`. The result is part of the user's state, because the finding repeats on
the user's events until the next score.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

import numpy as np

from pipeline.anomaly.artefact import Model
from pipeline.anomaly.explanation import causes_of
from pipeline.anomaly.features import FEATURES, Rows, Whole
from pipeline.windows.score import Score
from pipeline.windows.tally import MINUTE_MS

FEWEST_EVENTS: Final = 10
"""With less history every window is odd."""


class NotEvaluated(StrEnum):
    """Why an event has no score; counted by reason, and never shown as normal."""

    NO_MODEL = "no_model"
    REFUSED_MODEL = "refused_model"
    RULE_OFF = "rule_off"
    TOO_LITTLE_HISTORY = "too_little_history"
    NOT_YET = "not_scored_yet"
    """The model is new, and no event in order has come since."""
    LATE = "late"
    FAILED = "failed"


class Due(StrEnum):
    """What an event means for its user's score."""

    SCORE = "score"
    """The window is to be scored now."""
    REPEAT = "repeat"
    """The last score still holds."""


def scoring_of(
    last: Score | None, model_version: str, event_time: int, events: int, *, in_order: bool
) -> Due | NotEvaluated:
    """What to do for an event that was judged and folded into its user's window.

    A window is scored once in an event-time minute, with the first event in order by which it has enough events.
    An event out of order never moves the score. With too little history the last score does not hold any more.

    Args:
        last: the user's last score.
        model_version: of the model in force.
        event_time: of the event, milliseconds since 1970.
        events: in the window, this one among them.
        in_order: whether the event is not before the stream time as it stood.
    """
    if events < FEWEST_EVENTS:
        return NotEvaluated.TOO_LITTLE_HISTORY
    if last is None or last.model != model_version:
        return Due.SCORE if in_order else NotEvaluated.NOT_YET
    return Due.SCORE if in_order and event_time // MINUTE_MS > last.time // MINUTE_MS else Due.REPEAT


OnScored = Callable[[Model, Rows, Whole, Whole], None]
"""Is called once for each batch with the model, the rows of the scored windows, their summed path lengths, and their
event-time minutes since 1970."""


def score_rows(model: Model, scores: Sequence[Score], rows: Sequence[bytes], on_scored: OnScored) -> None:
    """Fill in the scores of many windows.

    Args:
        model: the model.
        scores: new scores; their paths and causes are filled in.
        rows: by score, the features of its window, from `pack_row`.
        on_scored: gets what was scored.
    """
    values = np.frombuffer(b"".join(rows), dtype="<f4").reshape(len(rows), len(FEATURES))
    paths = model.forest.paths(values)
    for score, row, path in zip(scores, values, paths.tolist(), strict=True):
        score.paths = path
        if path < model.alert_below:
            score.causes = causes_of(model, row, path)
    minutes = np.array([score.time for score in scores], dtype=np.int64) // MINUTE_MS
    on_scored(model, values, paths, minutes)
