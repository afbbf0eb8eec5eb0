"""Figures of one worker. They can be read at any time; the web server exports them as `Metrics.figures`."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from faust.types import TP

Kind = Literal["counter", "gauge"]

RATE_SECONDS: Final = 15.0
"""Rates are means over this time. Commits and fetches come in bursts, and a shorter time would show gaps as stops."""

# Every exported figure: its name, kind and meaning. Dashboards and alerts use the names, so never rename one.
# A counter only grows while the worker lives. The quotient of two counters' rates is a mean (batch size: records /
# batches; commit time: commit_seconds / commits; cache hits: 1 - cache_misses / records).
FIGURES: Final[tuple[tuple[str, Kind, str], ...]] = (
    # What comes in
    ("records", "counter", "Source records processed; a record that is processed again counts again"),
    ("batches", "counter", "Fetched batches that contained them"),
    ("records_by_topic", "counter", "Source records processed, by topic"),
    ("records_per_second", "gauge", "Source records processed a second, over the last 15 seconds"),
    ("rates_by_topic", "gauge", "Source records processed a second, by topic, over the last 15 seconds"),
    ("lag", "gauge", "Existing records that are not processed yet, by topic and partition"),
    (
        "lag_open_transactions",
        "gauge",
        "The part of the lag that waits behind a transaction open for 5 s or longer, by topic and partition",
    ),
    ("position", "gauge", "Offset of the next record to process, by topic and partition"),
    ("replayed", "counter", "Records below the watermark, which changed nothing"),
    ("lost", "counter", "Source records that the broker had deleted before they were read: alert on any"),
    (
        "rekeyed",
        "counter",
        "Records in the wrong partition, forwarded to the right one, by their topic",
    ),
    (
        "unproven_origins",
        "counter",
        "Records that name an origin which no worker of this application proved; alert on any",
    ),
    # What goes wrong with single records
    (
        "poisoned",
        "counter",
        "Records whose handler raised, recorded as failed; each attempt counts",
    ),
    ("unreadable", "counter", "Source records in batches that could not be read: alert on any"),
    (
        "rewinds",
        "counter",
        "Returns of a partition to its last commit, to find a record whose handler raised",
    ),
    ("redelivered", "counter", "Batches delivered again because an agent raised"),
    # Commits
    ("commits", "counter", "Successful partition commits"),
    ("commit_seconds", "counter", "Time that successful commits took, from the snapshot to the local store"),
    ("last_commit_seconds", "gauge", "Time that the latest successful commit took"),
    ("store_seconds", "counter", "Part of commit_seconds that the local store took"),
    ("outputs", "counter", "Records published by committed transactions"),
    ("flushed_keys", "counter", "Changed keys written by commits"),
    ("waiting_outputs", "gauge", "Records that wait for a commit"),
    ("dirty_keys", "gauge", "Changed keys that wait for a commit"),
    ("fenced", "counter", "Partitions given up: another worker has them, or their transaction failed"),
    # Memory
    ("cached_keys", "gauge", "Decoded values in memory"),
    ("cache_misses", "counter", "Keys looked up in the local store"),
    ("cache_evictions", "counter", "Times that the older half of a cache was dropped"),
    # Assignments and recovery
    ("partitions", "gauge", "Partitions whose state is owned here"),
    ("rebalances", "counter", "Assignments of partitions"),
    (
        "recovering",
        "gauge",
        "Upper bound of changelog records that a recovery still has to read; 0 without one",
    ),
    ("restored_keys", "counter", "Changelog records applied in recovery"),
    ("restore_seconds", "counter", "Time spent in recovery"),
)


class Figure(NamedTuple):
    """The current value of one figure; `samples` are pairs of labels and value. Most have one sample without labels."""

    name: str
    kind: Kind
    help: str
    samples: list[tuple[dict[str, str], float]]


@dataclass(slots=True)
class Metrics:
    """Figures of one worker since its start, named as in `FIGURES`."""

    records: int = 0
    batches: int = 0
    records_per_second: float = 0.0
    records_by_topic: Counter[str] = field(default_factory=Counter)
    rates_by_topic: dict[str, float] = field(default_factory=dict)
    lag: dict[TP, int] = field(default_factory=dict)
    lag_open_transactions: dict[TP, int] = field(default_factory=dict)
    position: dict[TP, int] = field(default_factory=dict)
    replayed: int = 0
    lost: int = 0
    rekeyed: Counter[str] = field(default_factory=Counter)
    unproven_origins: int = 0
    poisoned: int = 0
    unreadable: int = 0
    rewinds: int = 0
    redelivered: int = 0
    commits: int = 0
    commit_seconds: float = 0.0
    last_commit_seconds: float = 0.0
    store_seconds: float = 0.0
    outputs: int = 0
    flushed_keys: int = 0
    waiting_outputs: int = 0
    dirty_keys: int = 0
    fenced: int = 0
    cached_keys: int = 0
    cache_misses: int = 0
    cache_evictions: int = 0
    partitions: int = 0
    rebalances: int = 0
    recovering: int = 0
    restored_keys: int = 0
    restore_seconds: float = 0.0
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
        """The current values of all figures, in the order of `FIGURES`."""
        return [Figure(name, kind, text, _samples(getattr(self, name))) for name, kind, text in FIGURES]


def _samples(value: float | Mapping[TP, int] | Mapping[str, int]) -> list[tuple[dict[str, str], float]]:
    if isinstance(value, (int, float)):
        return [({}, float(value))]
    return [(_labels(key), float(number)) for key, number in sorted(value.items())]


def _labels(key: str | Sequence[str | int]) -> dict[str, str]:
    if isinstance(key, str):
        return {"topic": key}
    topic, partition = key
    return {"topic": str(topic), "partition": str(partition)}
