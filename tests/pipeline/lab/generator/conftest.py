"""Runs of the generator, small enough to be simulated for every test."""

import pytest

from pipeline.lab.generator.schedule import PastSchedule
from pipeline.lab.generator.stream import EventStream, Plan, Record
from pipeline.lab.generator.world import HOUR_MS

START_MS = 1_772_366_400_000  # 2026-03-01T12:00:00Z


def past_plan(events: int, *, users: int | None = None, hours: float = 6.0, seed: int = 1, **options) -> Plan:
    schedule = PastSchedule(START_MS, START_MS + int(hours * HOUR_MS), events)
    return Plan(seed=seed, schedule=schedule, users=users or max(60, events // 36), **options)


def simulate(events: int, **options) -> list[Record]:
    return list(EventStream(past_plan(events, **options)))


@pytest.fixture(scope="session")
def afternoon() -> list[Record]:
    """20,000 events and some requests of six hours."""
    return simulate(20_000, requests=40)
