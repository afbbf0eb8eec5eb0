"""A worker that may end itself with SIGKILL at a kill point: POINT PROBABILITY SEED.

VICTIM_BATCH_BYTES makes its record batches small, so that a commit without transactions needs several.
"""

import os
import sys

from pipeline.delivery import producers
from pipeline.delivery.kill_points import KillAt
from pipeline.settings import load_settings
from pipeline.worker import run

if __name__ == "__main__":
    point, probability, seed = sys.argv[1:]
    producers.MAX_BATCH_BYTES = int(os.environ.get("VICTIM_BATCH_BYTES", producers.MAX_BATCH_BYTES))
    sys.exit(run(load_settings(), KillAt(point, float(probability), int(seed))))
