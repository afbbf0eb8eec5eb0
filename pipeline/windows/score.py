"""The last score of a user by the anomaly model, as the user's state keeps it."""

from typing import Final

import msgspec

FAILED: Final = -1
"""Stands for the path length of a window on which the model failed."""


class Cause(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One feature that moved a score.

    Attributes:
        feature: its column.
        value: of the window.
        moved: by how much of the path length, in steps of the forest; more than 0.
    """

    feature: int
    value: float
    moved: int


class Score(msgspec.Struct, array_like=True, gc=False):
    """A score. The evaluation makes it with the event, and fills in paths and causes at the end of its batch.

    Attributes:
        time: stream time of the window that was scored, in milliseconds since 1970.
        model: version of the model. The score of another model does not hold any more.
        paths: summed path length in the model's forest; `FAILED` where the model failed.
        causes: what moved the score most, the strongest first; only where the window is an anomaly.
    """

    time: int
    model: str
    paths: int = FAILED
    causes: tuple[Cause, ...] = ()
