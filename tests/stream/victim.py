"""A worker that may end itself with SIGKILL at a kill point: POINT PROBABILITY SEED."""

import sys

from pipeline.delivery.kill_points import KillAt
from pipeline.settings import load_settings
from pipeline.worker import run

if __name__ == "__main__":
    point, probability, seed = sys.argv[1:]
    sys.exit(run(load_settings(), KillAt(point, float(probability), int(seed))))
