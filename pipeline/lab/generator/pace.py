"""The stream cut into chunks, each with the moment before which it must not be sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.lab.generator.stream import EventStream, Record

# Large enough to make batches of, small enough that a chunk takes milliseconds to simulate.
_CHUNK = 2_000
# What is due this close together is sent together: at the moment of the last.
_TOGETHER_MS = 20.0


@dataclass(slots=True)
class Chunk:
    """Records that are sent together.

    Attributes:
        records: at least one.
        due_ms: milliseconds after the start before which they are not sent.
    """

    records: list[Record]
    due_ms: float


def chunks(stream: EventStream, rate: float, started_ms: int) -> Iterator[Chunk]:
    """Cuts a stream.

    A record is due when its schedule says so, and record n of a rate r not before n / r seconds.

    Args:
        stream: not yet begun.
        rate: records a second, 0 = no limit.
        started_ms: the clock at the start, in milliseconds since 1970.
    """
    clock_ms = stream.plan.schedule.clock_ms
    apart_ms = 1000 / rate if rate > 0 else 0.0
    chunk: list[Record] = []
    first_ms = due_ms = 0.0
    for number, record in enumerate(stream):
        clock = clock_ms(record.arrival_ms)
        record_due_ms = max(number * apart_ms, 0.0 if clock is None else clock - started_ms)
        if chunk and (len(chunk) == _CHUNK or record_due_ms > first_ms + _TOGETHER_MS):
            yield Chunk(chunk, due_ms)
            chunk = []
        if not chunk:
            first_ms = due_ms = record_due_ms
        chunk.append(record)
        due_ms = max(due_ms, record_due_ms)
    if chunk:
        yield Chunk(chunk, due_ms)
