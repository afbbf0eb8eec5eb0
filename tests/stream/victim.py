"""A worker that may end itself with SIGKILL at a kill point: POINT PROBABILITY SEED.

VICTIM_IDLE_MS is how long a user may be away before what is known is erased.
VICTIM_PATIENCE_S is how long a change of the topics must last before it ends the worker; it looks every tenth of it.
VICTIM_FORGETS is how many assignments it makes, as the group's leader, by metadata that lacks the topics, as that of a
broker that has just come back.
"""

import os
import random
import signal
import sys
from collections.abc import Callable

from aiokafka.cluster import ClusterMetadata
from faust.assignor.partition_assignor import PartitionAssignor

from agents.idle import IdleUsers
from pipeline.delivery.assignment import topology
from pipeline.delivery.kill_points import POINTS
from pipeline.errors import OttError
from pipeline.settings.schema import load_settings
from pipeline.worker import run


def kill_at(point: str, probability: float, seed: int) -> Callable[[str], None]:
    """A hook that kills this process at one of POINTS, or at "any". The seed decides at which passing."""
    if point != "any" and point not in POINTS:
        raise ValueError(f"no such kill point: {point!r}; there are: {', '.join(POINTS)}, any")
    dice = random.Random(seed)

    def reached(passed: str) -> None:
        if point in ("any", passed) and dice.random() < probability:
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


def forget_topics(times: int) -> None:
    """The first assignments of this leader know no topic."""
    assign = PartitionAssignor.assign
    left = iter(range(times))

    def forgetful(self, cluster, members):  # type: ignore[no-untyped-def]  # Faust's own has no types
        known = cluster if next(left, None) is None else ClusterMetadata()
        return assign(self, known, members)

    PartitionAssignor.assign = forgetful


if __name__ == "__main__":
    point, probability, seed = sys.argv[1:]
    topology.PATIENCE_SECONDS = float(os.environ.get("VICTIM_PATIENCE_S", topology.PATIENCE_SECONDS))
    topology.LOOK_SECONDS = min(topology.LOOK_SECONDS, topology.PATIENCE_SECONDS / 10)
    forget_topics(int(os.environ.get("VICTIM_FORGETS", "0")))
    idle_ms = os.environ.get("VICTIM_IDLE_MS")
    idle = None if idle_ms is None else IdleUsers(idle_ms=int(idle_ms))
    try:
        sys.exit(run(load_settings(), kill_at(point, float(probability), int(seed)), idle))
    except OttError as error:
        sys.stderr.write(f"ott: {error.message}\n")
        sys.exit(error.exit_status)
