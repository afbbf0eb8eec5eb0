"""Named points at which a crash is most dangerous.

Random kills seldom hit the few milliseconds of a commit. Tests give the application a hook that kills the process at
one of these points. Without a hook, a point costs one function call.
"""

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
