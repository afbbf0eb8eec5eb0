"""Limits and timeouts of the delivery."""

from dataclasses import dataclass, field

from pipeline.delivery.state.outputs import MAX_OUTPUT_BYTES
from pipeline.delivery.state.store import StoreOptions


@dataclass(frozen=True, slots=True)
class Limits:
    """Per-unit limits on uncommitted work. Beyond them a commit is forced, and processing waits for it.

    Attributes:
        outputs: records to publish.
        output_bytes: total size of these records.
        dirty_keys: changed keys.
    """

    outputs: int = 20_000
    output_bytes: int = 32 << 20
    dirty_keys: int = 20_000


@dataclass(frozen=True, slots=True)
class DeliveryOptions:
    """Limits and timeouts of one application. Times are in seconds.

    Attributes:
        cache_keys: decoded values kept in memory per table, over all of its partitions.
        limits: on uncommitted work in one unit.
        max_message_bytes: of an output and of a table's value; every topic must accept this size.
        commit_timeout: a commit that takes longer counts as lost, and its partition is given up.
        give_up_timeout: for the last commits when partitions are revoked, or when the worker stops.
        transaction_timeout: after it the brokers abort an open transaction.
        only_written: topics that nothing is read from, see `TopologyWatch`.
        store: memory of RocksDB.
    """

    cache_keys: int = 200_000
    limits: Limits = field(default_factory=Limits)
    max_message_bytes: int = MAX_OUTPUT_BYTES
    commit_timeout: float = 40.0
    give_up_timeout: float = 4.0
    transaction_timeout: float = 15.0
    only_written: frozenset[str] = frozenset()
    store: StoreOptions = field(default_factory=StoreOptions)
