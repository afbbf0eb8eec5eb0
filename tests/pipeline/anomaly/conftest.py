"""A small model of made-up rows, trained once, and windows to score."""

from itertools import count

import numpy as np
import pytest

from pipeline.anomaly.features import FEATURES, row_of
from pipeline.anomaly.training import Minutes, Parameters, train
from pipeline.windows.entry import KINDS, Entry
from pipeline.windows.window import Window

PARAMETERS = Parameters(seed=3, alert_rate=0.01, trees=60, counted=6, samples=256)
S = 1_772_366_400_000  # 2026-03-01T12:00:00Z


def made_up_minutes(count=6_000, users=300, seed=1):
    chance = np.random.default_rng(seed)
    rows = chance.poisson(3, size=(count, len(FEATURES))).astype(np.float32)
    minutes = np.sort(chance.integers(0, 1_440, size=count))
    return Minutes(rows, [f"user-{n}" for n in chance.integers(users, size=count).tolist()], minutes)


@pytest.fixture(scope="session")
def minutes():
    return made_up_minutes()


@pytest.fixture(scope="session")
def model(minutes):
    return train(minutes, PARAMETERS, "made-up rows")


_numbers = count()


def event(
    at_s=0, kind="HEARTBEAT", title=1, *, region="NL", network="n1", device="d1", failed=False, start=S
):
    """One event so many seconds after the start."""
    number = next(_numbers)
    return Entry(start + int(at_s * 1000), number, 0, region, network, device, KINDS[kind] + failed, title)


def row(*events, limit=1):
    """The features of a window of events."""
    ordered = sorted(events, key=lambda one: one.time)
    return row_of(Window(ordered), ordered[-1].time, limit)
