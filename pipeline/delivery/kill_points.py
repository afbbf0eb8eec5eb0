"""Named points at which a crash is most dangerous.

Random kills seldom hit the few milliseconds of a commit. Tests give the application a hook that kills the process at
one of these points. Without a hook, a point costs one function call.
"""

import os
import random
import signal
from collections.abc import Callable
from typing import Final

Hook = Callable[[str], None]

POINTS: Final = (
    "assign:fencing",  # the stores are open, the producers are not started
    "assign:fenced",  # former owners are shut out, the changelog is not read yet
    "recover:chunk",  # part of the changelog is in the store
    "recover:end",  # the whole changelog is in the store
    "assign:live",  # the first record is about to be read
    "commit:snapshot",  # the snapshot is encoded, nothing is sent
    "commit:outputs",  # the outputs are acknowledged
    "commit:changelog",  # the changed keys are acknowledged
    "commit:offsets",  # the source offsets are part of the transaction
    "commit:committed",  # the transaction is committed, the local store is behind it
    "commit:stored",  # the local store has it, too
    "revoke:begin",  # a rebalance takes the partitions away
    "revoke:committed",  # what was processed is committed
    "stop:begin",  # SIGTERM arrived
)
"""All points, in the order in which a partition passes them. `commit/steps.py` has those of the commit."""


def pass_by(_point: str) -> None:
    """Do nothing: the hook in production."""


class KillAt:
    """A hook that ends the process with SIGKILL.

    Args:
        point: one of `POINTS`, or "any".
        probability: of a kill each time the point is passed.
        seed: of the random numbers; a run with the same seed that passes the same points dies at the same one.
    """

    def __init__(self, point: str, probability: float = 1.0, seed: int = 0) -> None:
        if point != "any" and point not in POINTS:
            raise ValueError(f"no such kill point: {point!r}; there are: {', '.join(POINTS)}, any")
        self._point = point
        self._probability = probability
        self._random = random.Random(seed)  # noqa: S311 - not for secrets, only for tests

    def __call__(self, point: str) -> None:
        """Kill the process, or return."""
        if self._point in ("any", point) and self._random.random() < self._probability:
            os.kill(os.getpid(), signal.SIGKILL)
