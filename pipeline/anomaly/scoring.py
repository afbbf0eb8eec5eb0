"""When a user's window is scored, and the scores of many windows at once.

The evaluation asks `scoring_of` for every judged event. Windows that are due are collected for a slice of the
stream and scored together with `score_windows`. The result is part of the user's state, because the finding
repeats on the user's events until the next score.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec
import numpy as np

from pipeline.anomaly.artefact import Model
from pipeline.anomaly.explanation import Cause, causes_of
from pipeline.anomaly.features import FEATURES, Rows, UserWindow, feature_rows

MINUTE_MS: Final = 60_000
FEWEST_EVENTS: Final = 10
"""With less history every window is odd."""


class NotEvaluated(StrEnum):
    """Why an event has no score; counted by reason, and never shown as normal."""

    NO_MODEL = "no_model"
    REFUSED_MODEL = "refused_model"
    TOO_LITTLE_HISTORY = "too_little_history"
    LATE = "late"
    FAILED = "failed"


class Due(StrEnum):
    """What an event means for its user's score."""

    SCORE = "score"
    """The window is to be scored now."""
    REPEAT = "repeat"
    """The last score still holds."""


class Score(msgspec.Struct, frozen=True, array_like=True):
    """The last score of a user, as it is kept in the user's state.

    Attributes:
        minute: event-time minute of the event that was scored, in minutes since 1970.
        paths: summed path length in the model's forest.
        model: version of the model; the score of another model does not hold any more.
        causes: what moved the score most, only where it alerts.
    """

    minute: int
    paths: int
    model: str
    causes: tuple[Cause, ...] = ()

    @property
    def alerts(self) -> bool:
        """Whether the score is above the model's threshold."""
        return bool(self.causes)


def scoring_of(
    last: Score | None, model_version: str | None, event_time: int, events: int, *, in_order: bool
) -> Due | NotEvaluated:
    """What to do for an event that was judged and folded into its user's window.

    A window is scored once in an event-time minute, with the first event in order by which it has enough events.
    An event out of order never moves the score. With too little history the last score does not hold any more.

    Args:
        last: the user's last score.
        model_version: of the model in force, None without one.
        event_time: of the event, milliseconds since 1970.
        events: in the window, this one among them.
        in_order: whether the event is not before the stream time as it stood.
    """
    if model_version is None:
        return NotEvaluated.NO_MODEL
    if events < FEWEST_EVENTS:
        return NotEvaluated.TOO_LITTLE_HISTORY
    if last is None or last.model != model_version:
        return Due.SCORE if in_order else NotEvaluated.TOO_LITTLE_HISTORY
    return Due.SCORE if in_order and event_time // MINUTE_MS > last.minute else Due.REPEAT


def score_windows(model: Model, windows: Sequence[UserWindow]) -> list[Score | NotEvaluated]:
    """The scores of many windows, in their order.

    A window on which the features fail is `FAILED`; the others of the batch keep their scores.
    """
    rows, failed = rows_of(windows)
    paths = model.forest.paths(rows)
    results: list[Score | NotEvaluated] = []
    for window, row, path, broken in zip(windows, rows, paths.tolist(), failed, strict=True):
        if broken:
            results.append(NotEvaluated.FAILED)
            continue
        causes = causes_of(model, row, path) if path < model.alert_below else ()
        results.append(Score(window.stream_time // MINUTE_MS, path, model.version, causes))
    return results


def rows_of(windows: Sequence[UserWindow]) -> tuple[Rows, list[bool]]:
    """The feature rows of windows, and of each whether it failed; a failed row is all zeros."""
    try:
        rows = feature_rows(windows)
    except Exception:  # noqa: BLE001 - whatever is wrong with one window must not cost the others their score
        alone = [_row_alone(window) for window in windows]
        rows = np.concatenate([row for row, _ in alone])
        failed = [broken for _, broken in alone]
    else:
        failed = [False] * len(windows)
    infinite = ~np.isfinite(rows).all(axis=1)
    rows[infinite] = 0
    return rows, (infinite | np.array(failed, dtype=np.bool_)).tolist()


def _row_alone(window: UserWindow) -> tuple[Rows, bool]:
    try:
        return feature_rows([window]), False
    except Exception:  # noqa: BLE001 - as above
        return np.zeros((1, len(FEATURES)), dtype=np.float32), True
