"""The figures of one worker. They can be read at any time; the web server exports `Metrics.figures`."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from faust.types import TP

Kind = Literal["counter", "gauge"]

RATE_SECONDS: Final = 15.0
"""Rates are means over this time. Commits and fetches come in bursts, and a shorter time would show gaps as stops."""


class Figure(NamedTuple):
    """The current value of one figure; `samples` are pairs of labels and value. Most have one sample without labels."""

    name: str
    kind: Kind
    help: str
    samples: list[tuple[dict[str, str], float]]


def _figure(kind: Kind, default: Callable[[], Any], meaning: str) -> Any:
    return field(default_factory=default, metadata={"kind": kind, "help": meaning})


@dataclass(slots=True)
class Metrics:
    """Figures of one worker since its start.

    Each field is an exported figure with its kind and its meaning. Dashboards and alerts use the names, so never rename
    one. A counter only grows while the worker lives. The quotient of two counters' rates is a mean (batch size: records
    / batches; commit time: commit_seconds / commits; cache hits: 1 - cache_misses / records).
    """

    # What comes in
    records: int = _figure(
        "counter", int, "Source records processed; a record that is processed again counts again"
    )
    batches: int = _figure("counter", int, "Fetched batches that contained them")
    records_by_topic: Counter[str] = _figure("counter", Counter, "Source records processed, by topic")
    records_per_second: float = _figure(
        "gauge", float, "Source records processed a second, over the last 15 seconds"
    )
    rates_by_topic: dict[str, float] = _figure(
        "gauge", dict, "Source records processed a second, by topic, over the last 15 seconds"
    )
    lag: dict[TP, int] = _figure(
        "gauge", dict, "Existing records that are not processed yet, by topic and partition"
    )
    lag_open_transactions: dict[TP, int] = _figure(
        "gauge",
        dict,
        "The part of the lag that waits behind a transaction open for 5 s or longer, by topic and partition",
    )
    position: dict[TP, int] = _figure(
        "gauge", dict, "Offset of the next record to process, by topic and partition"
    )
    replayed: int = _figure("counter", int, "Records below the watermark, which changed nothing")
    lost: int = _figure(
        "counter", int, "Source records that the broker had deleted before they were read: alert on any"
    )
    rekeyed: Counter[str] = _figure(
        "counter", Counter, "Records in the wrong partition, forwarded to the right one, by their topic"
    )
    unproven_origins: int = _figure(
        "counter", int, "Records that name an origin which no worker of this application proved; alert on any"
    )
    # What goes wrong with single records
    poisoned: int = _figure(
        "counter", int, "Records whose handler raised, recorded as failed; each attempt counts"
    )
    unreadable: int = _figure(
        "counter", int, "Source records in batches that could not be read: alert on any"
    )
    rewinds: int = _figure(
        "counter", int, "Returns of a partition to its last commit, to find a record whose handler raised"
    )
    redelivered: int = _figure("counter", int, "Batches delivered again because an agent raised")
    # Commits
    commits: int = _figure("counter", int, "Successful partition commits")
    commit_seconds: float = _figure(
        "counter", float, "Time that successful commits took, from the snapshot to the local store"
    )
    last_commit_seconds: float = _figure("gauge", float, "Time that the latest successful commit took")
    store_seconds: float = _figure("counter", float, "Part of commit_seconds that the local store took")
    outputs: int = _figure("counter", int, "Records published by committed transactions")
    flushed_keys: int = _figure("counter", int, "Changed keys written by commits")
    waiting_outputs: int = _figure("gauge", int, "Records that wait for a commit")
    dirty_keys: int = _figure("gauge", int, "Changed keys that wait for a commit")
    fenced: int = _figure(
        "counter", int, "Partitions given up: another worker has them, or their transaction failed"
    )
    # Memory
    cached_keys: int = _figure("gauge", int, "Decoded values in memory")
    cache_misses: int = _figure("counter", int, "Keys looked up in the local store")
    cache_evictions: int = _figure("counter", int, "Times that the older half of a cache was dropped")
    # Assignments and recovery
    partitions: int = _figure("gauge", int, "Partitions whose state is owned here")
    rebalances: int = _figure("counter", int, "Assignments of partitions")
    recovering: int = _figure(
        "gauge", int, "Upper bound of changelog records that a recovery still has to read; 0 without one"
    )
    restored_keys: int = _figure("counter", int, "Changelog records applied in recovery")
    restore_seconds: float = _figure("counter", float, "Time spent in recovery")
    _seen: deque[tuple[float, Counter[str]]] = field(default_factory=deque)

    @property
    def total_lag(self) -> int:
        """Existing records that are not processed yet, over all partitions of this worker."""
        return sum(self.lag.values())

    @property
    def cache_hits(self) -> float:
        """Lower bound of the share of records whose key was in memory; 1 without records."""
        return 1.0 - min(1.0, self.cache_misses / self.records) if self.records else 1.0

    def measure_rates(self, now: float) -> None:
        """Update the rates; called about once a second with a monotonic time in seconds."""
        self._seen.append((now, self.records_by_topic.copy()))
        while len(self._seen) > 2 and now - self._seen[1][0] >= RATE_SECONDS:  # noqa: PLR2004 - two make a difference
            self._seen.popleft()
        then, before = self._seen[0]
        seconds = max(now - then, 1e-3)
        self.rates_by_topic = {
            topic: (number - before[topic]) / seconds for topic, number in self.records_by_topic.items()
        }
        self.records_per_second = sum(self.rates_by_topic.values())

    def processed(self, topic: str, number: int) -> None:
        """Count processed records of a topic."""
        self.records += number
        self.records_by_topic[topic] += number

    def committed(self, seconds: float, *, outputs: int, keys: int) -> None:
        """Count a successful commit of so many outputs and changed keys."""
        self.commits += 1
        self.commit_seconds += seconds
        self.last_commit_seconds = seconds
        self.outputs += outputs
        self.flushed_keys += keys

    def figures(self) -> list[Figure]:
        """The current values of all figures, in the order above."""
        return [
            Figure(
                item.name, item.metadata["kind"], item.metadata["help"], _samples(getattr(self, item.name))
            )
            for item in fields(self)
            if item.metadata
        ]


def _samples(value: float | Mapping[TP, int] | Mapping[str, int]) -> list[tuple[dict[str, str], float]]:
    if isinstance(value, (int, float)):
        return [({}, float(value))]
    return [(_labels(key), float(number)) for key, number in sorted(value.items())]


def _labels(key: str | Sequence[str | int]) -> dict[str, str]:
    if isinstance(key, str):
        return {"topic": key}
    topic, partition = key
    return {"topic": str(topic), "partition": str(partition)}
