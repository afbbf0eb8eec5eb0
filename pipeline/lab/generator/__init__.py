"""A made-up audience that sends events: seeded, realistic, with its truth written beside it.

The simulation (everything but the sinks and the delivery) is pure: it reads no clock, no environment and no
file. Times are handed in, chance comes from the seed, so the same plan gives the same bytes.
"""

from pipeline.lab.generator.stream import EventStream, Plan, Record

__all__ = ["EventStream", "Plan", "Record"]
