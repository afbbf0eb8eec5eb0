"""Throughput: events a second, processor time for a million events, and the most memory, on preloaded records.

The contestant is asked ten times a second over HTTP. The time runs from the last answer without a judged record to the
first one in which every record is judged, a duplicate or a failed event. So imports, the join of the group and recovery
do not count. The time may be up to 0.2 s too long, never too short. Processor time runs until the last commit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import RefusedError
from pipeline.kafka.topics import RAW_EVENTS
from pipeline.lab.benchmark.clients import CommittedRecords

if TYPE_CHECKING:
    from pipeline.lab.benchmark.running import RecordCounts, Running


@dataclass(frozen=True, slots=True)
class Throughput:
    """One run.

    Attributes:
        events_per_s: see the module.
        cpu_s_per_million: processor seconds for a million events, of all threads, user and system.
        peak_memory_bytes: the most memory that the process held, from its start on.
        seconds: the time for all records.
        accounts: how the records ended.
    """

    events_per_s: float
    cpu_s_per_million: float
    peak_memory_bytes: int
    seconds: float
    accounts: RecordCounts


def measure_throughput(running: Running, events: int) -> Throughput:
    """Wait until a contestant that has just been started has judged and committed everything.

    Args:
        running: the contestant; its topic holds the records, its group has read none.
        events: how many there are.

    Raises:
        MissingError: it ended, or makes no progress.
        RefusedError: its accounts do not add up.
    """
    before, after = running.wait_until(lambda sample: sample.read >= events, f"{events} records to be judged")
    settings = running.settings
    committed = CommittedRecords(settings, settings.app_id, settings.topic(RAW_EVENTS.name))
    try:
        _, end = running.wait_until(lambda _: committed.count() >= events, "the last offsets to be committed")
    finally:
        committed.close()
    accounts = end.accounts
    if accounts is None or accounts.read != events:
        raise RefusedError(f"the accounts do not add up: {accounts} of {events} records; log: {running.log}")
    seconds = after.at - before.at
    return Throughput(
        events_per_s=events / seconds,
        cpu_s_per_million=(end.cpu_s - before.cpu_s) / events * 1e6,
        peak_memory_bytes=running.peak_memory_bytes(),
        seconds=seconds,
        accounts=accounts,
    )
