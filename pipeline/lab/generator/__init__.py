"""A made-up audience that sends events, and labels that say what is true about them.

The simulation (everything but the sinks and the sending) is pure: it reads no clock, no environment and no file. Times
are parameters, and chance comes from the seed. So the same plan gives the same bytes.
"""

from pipeline.lab.generator.stream import EventStream, Plan, Record

__all__ = ["EventStream", "Plan", "Record"]
