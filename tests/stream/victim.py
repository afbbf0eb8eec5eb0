"""A worker that may end itself with SIGKILL at a kill point: POINT PROBABILITY SEED.

VICTIM_BATCH_BYTES makes its record batches small, so that a commit without transactions needs several.
VICTIM_IDLE_MS is how long a user may be away before what is known is erased.
"""

import os
import sys

from agents.idle import IdleUsers
from pipeline.delivery import producers
from pipeline.delivery.kill_points import KillAt
from pipeline.settings import load_settings
from pipeline.worker import run

if __name__ == "__main__":
    point, probability, seed = sys.argv[1:]
    producers.MAX_BATCH_BYTES = int(os.environ.get("VICTIM_BATCH_BYTES", producers.MAX_BATCH_BYTES))
    idle_ms = os.environ.get("VICTIM_IDLE_MS")
    idle = None if idle_ms is None else IdleUsers(idle_ms=int(idle_ms))
    sys.exit(run(load_settings(), KillAt(point, float(probability), int(seed)), idle))
