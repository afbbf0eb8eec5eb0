"""The steps of a commit: `commit` runs them from top to bottom."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pipeline.delivery.commit.packing import acknowledged

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.delivery.commit.transaction import TransactionWriter
    from pipeline.delivery.runtime import Runtime
    from pipeline.delivery.scheduler import Scheduler
    from pipeline.delivery.state.unit import Snapshot, Unit


async def commit(
    unit: Unit[Any], writer: TransactionWriter, runtime: Runtime, snapshot_taken: Callable[[], None]
) -> Snapshot:
    """Commit everything that a unit processed since its last commit.

    `OwnedUnit` calls it, once at a time per unit. The unit must not change until `snapshot_taken` is called; after
    that, processing continues while the commit is under way.

    After a crash before step 5 is complete, Kafka has nothing of the commit, and the next owner reads the same source
    records again. After a crash behind it, Kafka has all of the commit, and recovery brings the local store up to date
    from the changelog.

    Returns:
        what was committed.

    Raises:
        EncodingError: a value cannot be encoded; nothing was sent.
        KafkaError: the brokers refuse, or another worker owns the unit now.
        StoreError: the local store cannot be written.
    """
    reached = runtime.reached

    # 1. Snapshot: encode the changed keys and the watermarks, and take the outputs.
    snapshot = await _take_snapshot(unit, runtime.scheduler)
    snapshot_taken()
    reached("commit:snapshot")

    # 2. Begin a transaction.
    await writer.begin()

    # 3. Send outputs and changed keys, both at once; then wait until every record is acknowledged.
    outputs = await writer.send_outputs(snapshot.outputs)
    entries = await writer.send_changelog(snapshot.entries)
    await acknowledged(outputs)
    reached("commit:outputs")
    changelog_offset = await acknowledged(entries)
    reached("commit:changelog")

    # 4. Add the offsets of the source topics. They come from the snapshot: the unit has processed more meanwhile.
    await writer.add_offsets(snapshot.moved)
    reached("commit:offsets")

    # 5. Commit the transaction. From here on every reader of committed records sees all of it.
    await writer.end()
    reached("commit:committed")

    # 6. Write the same keys and the changelog offset to RocksDB in one batch, and count the snapshot as committed.
    await runtime.scheduler.turn()
    started = time.monotonic()
    unit.settle(snapshot, changelog_offset)
    runtime.metrics.store_seconds += time.monotonic() - started
    reached("commit:stored")
    return snapshot


async def _take_snapshot(unit: Unit[Any], scheduler: Scheduler) -> Snapshot:
    """The unit's snapshot; encoding many keys takes several turns of the scheduler."""
    await scheduler.turn()
    for snapshot in unit.take():
        if snapshot is not None:
            return snapshot
        await scheduler.turn()
    raise RuntimeError(f"no snapshot of {unit}")
