"""Named points where a crash hurts most.

Random kills seldom hit the few milliseconds of a commit. Tests (and nobody else) give the application a hook that
ends the process at one of these points; without a hook passing a point costs one call.
"""

import os
import random
import signal
from collections.abc import Callable
from typing import Final

Hook = Callable[[str], None]

POINTS: Final = (
    "assign:fencing",  # stores are open, producers are not
    "assign:fenced",  # former owners are shut out, the changelog is unread
    "recover:chunk",  # some of the changelog is in the store
    "recover:end",  # all of it is
    "assign:live",  # about to read the first record
    "commit:snapshot",  # encoded, nothing sent
    "commit:outputs",  # outputs are acknowledged
    "commit:changelog",  # all changed keys are
    "commit:offsets",  # the source offsets are part of the transaction
    "commit:committed",  # the broker has it all, the local store has not
    "commit:stored",  # the local store has it too
    "revoke:begin",  # a rebalance takes the partitions away
    "revoke:committed",  # what was done is committed
    "stop:begin",  # SIGTERM
)
"""All points, in the order in which a partition passes them."""


def pass_by(_point: str) -> None:
    """The hook of production: nothing happens."""


class KillAt:
    """A hook that ends the process with SIGKILL.

    Args:
        point: one of `POINTS`, or "any".
        probability: of each passing.
        seed: of the dice; a run with the same seed and the same passings dies at the same one.
    """

    def __init__(self, point: str, probability: float = 1.0, seed: int = 0) -> None:
        if point != "any" and point not in POINTS:
            raise ValueError(f"no such kill point: {point!r}; there are: {', '.join(POINTS)}, any")
        self._point = point
        self._probability = probability
        self._random = random.Random(seed)  # noqa: S311 - dice of a test

    def __call__(self, point: str) -> None:
        """Maybe die."""
        if self._point in ("any", point) and self._random.random() < self._probability:
            os.kill(os.getpid(), signal.SIGKILL)
