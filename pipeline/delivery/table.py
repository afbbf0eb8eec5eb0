"""The write-behind table: the values of partition p of one or several co-partitioned topics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import faust
from faust.stores import memory

from pipeline.delivery.flow.batches import BatchSource
from pipeline.delivery.partitioner import Partitioner
from pipeline.delivery.state.stores import PartitionStores
from pipeline.delivery.state.unit import Unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from faust.types import StoreT

    from pipeline.delivery.app import DeliveryApp
    from pipeline.delivery.flow.batches import Batch
    from pipeline.delivery.flow.processing import Handler, Poison
    from pipeline.delivery.state.unit import AtCommit, Codec, Reader

V = TypeVar("V")


class WriteBehindTable(faust.Table[bytes, V]):
    """A table whose changes reach the changelog and the disk once per commit.

    Partition p of all its topics is one unit: one state, one cache, one commit, and a watermark for each topic.

    Args:
        app: the application; the table registers itself.
        name: persisted identity: the changelog is `<application id>-<name>-changelog`.
        codec: of the values; keys are bytes.
        topics: the co-partitioned topics that are folded into it.
        partitions: of each of them, and of the changelog.
        at_commit: makes outputs of what handlers added to `State.notes`; an error in it ends the worker.
        commit_every: commit once in so many commit intervals. What changes often and is not urgent costs less then.
        changelog_configs: Kafka's own names, e.g. min.insync.replicas.
        options: of `faust.Table`.
    """

    app: DeliveryApp
    mundane_level = "debug"

    def __init__(
        self,
        app: DeliveryApp,
        *,
        name: str,
        codec: Codec[V],
        topics: Sequence[str],
        partitions: int,
        at_commit: AtCommit[V] | None = None,
        commit_every: int = 1,
        changelog_configs: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        if not topics:
            raise ValueError(f"table {name} needs a topic to be fed from")
        self.codec = codec
        self.at_commit = at_commit
        self.commit_every = commit_every
        self.source_topics = tuple(topics)
        self.partition_of = Partitioner(partitions)
        super().__init__(
            app,
            name=name,
            partitions=partitions,
            key_type=bytes,
            value_type=bytes,
            extra_topic_configs=dict(changelog_configs or {}),
            beacon=app.tables.beacon,
            **options,
        )
        self.stores = PartitionStores(name, f"{app.conf.id} {name}", self._directory, app.store_cache)
        """The partitions on this machine."""
        app.add_write_behind(self, self.source_topics)
        self.source: BatchSource = BatchSource(
            app,
            topics=list(topics),
            partitions=partitions,
            on_abandoned=self._on_abandoned,
        )
        """The channel for `app.agent`: its messages are batches of these topics."""

    def info(self) -> Mapping[str, Any]:
        """As Faust's, with the arguments that this class adds."""
        return {
            **super().info(),
            "codec": self.codec,
            "at_commit": self.at_commit,
            "commit_every": self.commit_every,
            "topics": self.source_topics,
            "changelog_configs": self.extra_topic_configs,
        }

    @property
    def changelog_name(self) -> str:
        """The name of the changelog topic."""
        return self.changelog_topic.get_topic_name()

    async def process(self, batch: Batch, handler: Handler[V], poison: Poison[V]) -> None:
        """Process a batch in slices. Each slice becomes part of the next commit as a whole.

        Records below the watermark are left out. A handler's writes, its outputs and the new watermark take effect
        together; nothing is awaited in between.

        If a handler raises, everything since the last commit is dropped, because the handler may have changed values
        in place. The records since then are processed again, one by one, on copies of the values. A record that fails
        again is given to `poison`, whose outputs and writes take the place of the record's own.

        If the partition is taken away meanwhile, this returns silently.

        Args:
            batch: as an agent on `source` receives it.
            handler: (state, records) to outputs; must not keep the state. For the same state and records it must make
                the same writes and outputs, on any machine, at any time.
            poison: (state, record, error) to outputs; also gets batches that could not be read (`UnreadableBatch`).
        """
        owned = self.app.ownership.find(self.name, batch.partition)
        await self.app.processing.process(owned, batch, handler, poison)

    def owned(self) -> list[tuple[int, Reader[V]]]:
        """The partitions that this worker has now, each with a reader of its state, for views beside the stream."""
        return [
            (partition, owned.unit)
            for (table, partition), owned in sorted(self.app.ownership.units.items())
            if table == self.name
        ]

    # -- for the package

    def new_unit(self, partition: int, cache_keys: int) -> Unit[V]:
        """The unit of a recovered partition; `Ownership.own` calls it."""
        return Unit(
            self.name,
            partition,
            self.stores.open(partition),
            self.codec,
            self.partition_of,
            cache_keys,
            self.app.options.max_message_bytes,
            self.app.metrics,
            self.at_commit,
        )

    def _directory(self) -> Path:
        return self.app.conf.tabledir

    def _on_abandoned(self, batch: Batch) -> None:
        owned = self.app.ownership.find(self.name, batch.partition)
        self.app.ownership.add_future(self.app.processing.redeliver(owned, batch))

    # -- called by Faust

    async def on_stop(self) -> None:
        """Close the stores; nothing commits any more."""
        await super().on_stop()
        self.stores.close_others(())

    def _new_store(self) -> StoreT[bytes, bytes]:
        # Faust gives every table a store. This one stays empty: the values are in `stores`, one per partition.
        return memory.Store("memory://", self.app, self, table_name=self.name)

    def on_key_get(self, key: bytes) -> None:  # noqa: ARG002 - Faust's signature
        """Refuse to read Faust's empty store.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"table {self.name} is read through owned() only")

    def on_key_set(self, key: bytes, value: V) -> None:  # noqa: ARG002 - Faust's signature
        """Refuse a write that would not be part of a commit.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"table {self.name} changes in its process() only")

    def on_key_del(self, key: bytes) -> None:  # noqa: ARG002 - Faust's signature
        """Refuse a deletion that would not be part of a commit.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"table {self.name} changes in its process() only")
