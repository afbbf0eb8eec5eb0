"""Figures of one worker, to be read at any time. Counters only grow; the application exports them as it likes."""

from dataclasses import dataclass, field

from faust.types import TP


@dataclass(slots=True)
class Metrics:
    """Figures of one worker since its start.

    Attributes:
        records: source records processed, each counted once for each time that it was.
        batches: fetched batches that they came in.
        replayed: records at or below the watermark, which changed nothing.
        outputs: records published, committed ones only.
        poisoned: records whose handler raised.
        rewinds: times that a partition went back to its last commit to process records one by one.
        redelivered: batches that an agent left behind and that were delivered again.
        lost: source records that the broker had deleted before they were read.
        commits: partition commits that ended well.
        commit_seconds: time spent in them, from snapshot to stored.
        last_commit_seconds: of the latest.
        flushed_keys: changed keys written.
        fenced: partitions given up because another worker had taken them over, or their transaction failed.
        cache_misses: keys that were looked for in the store.
        cache_evictions: times that the older half of a cache was dropped.
        restored_keys: changelog records applied in recovery.
        restore_seconds: time spent in recovery.
        rebalances: assignments of partitions.
        lag: per topic and partition, records that are there and not read.
        positions: per topic and partition, the offset of the next record to process.
    """

    records: int = 0
    batches: int = 0
    replayed: int = 0
    outputs: int = 0
    poisoned: int = 0
    rewinds: int = 0
    redelivered: int = 0
    lost: int = 0
    commits: int = 0
    commit_seconds: float = 0.0
    last_commit_seconds: float = 0.0
    flushed_keys: int = 0
    fenced: int = 0
    cache_misses: int = 0
    cache_evictions: int = 0
    restored_keys: int = 0
    restore_seconds: float = 0.0
    rebalances: int = 0
    lag: dict[TP, int] = field(default_factory=dict)
    positions: dict[TP, int] = field(default_factory=dict)

    @property
    def cache_hits(self) -> int:
        """Records whose key needed no look into the store, at least."""
        return max(0, self.records - self.cache_misses)

    @property
    def total_lag(self) -> int:
        """Records that are there and not read, over all partitions of this worker."""
        return sum(self.lag.values())
