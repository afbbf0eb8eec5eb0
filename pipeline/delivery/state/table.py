"""The write-behind table: what is kept of each key, of partition p of one or several topics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import faust

from pipeline.delivery.flow.batches import BatchSource
from pipeline.delivery.flow.processing import process
from pipeline.delivery.partitioner import Partitioner
from pipeline.delivery.state.table_store import URL_SCHEME, TableStore
from pipeline.delivery.state.unit import Unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from faust.types import TP, StoreT

    from pipeline.delivery.app import DeliveryApp
    from pipeline.delivery.flow.batches import Batch
    from pipeline.delivery.flow.processing import Handler, Poison
    from pipeline.delivery.state.unit import AtCommit, Codec

V = TypeVar("V")


class WriteBehindTable(faust.Table[bytes, V]):
    """A table whose changes reach the changelog and the disk once per commit.

    Partition p of all its topics is one unit: one state, one cache, one commit, a watermark for each topic.

    Args:
        app: the application; the table registers itself.
        name: persisted identity: the changelog is `<application id>-<name>-changelog`.
        codec: of the values; keys are bytes.
        topics: the co-partitioned topics that are folded into it.
        partitions: of each of them, and of the changelog.
        at_commit: makes outputs of what handlers noted in `State.notes`; an error of it ends the worker.
        commit_every: at so many commit intervals it is committed once; what changes often and is not urgent costs less.
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
        app.add_write_behind(self)
        self.source: BatchSource = BatchSource(
            app,
            topics=list(topics),
            partitions=partitions,
            on_abandoned=self._on_abandoned,
        )
        """The channel for `app.agent`: its messages are batches of these topics."""

    def info(self) -> Mapping[str, Any]:
        """As Faust's, with what makes this table."""
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
        """Process a batch: in slices, each of which becomes part of the next commit as a whole.

        Records at or below the watermark are left out. What a handler writes, its outputs and the new watermark
        belong together; nothing is awaited in between.

        If a handler raises, nothing since the last commit is kept (it may have changed values in place), and the
        records since then are processed again, each by itself on copies of the values. The one that raises again is
        given to `poison`, whose outputs and writes take the place of its own.

        Returns without a word if the partition is taken away meanwhile.

        Args:
            batch: as an agent on `source` gets it.
            handler: (state, records) to outputs; must not keep the state. With the same state and records it must give
                the same writes and outputs, on any machine, at any time.
            poison: (state, record, error) to outputs; also gets batches that could not be read (`UnreadableBatch`).
        """
        await process(self.app, self.name, batch, handler, poison)

    def peek(self, key: bytes) -> V | None:
        """The value of a key as of now, for a reader beside the stream; None if there is none, or not here.

        On a standby it is the last one that was committed.
        """
        partition = self.partition_of(key)
        owned = self.app.ownership.find(self.name, partition)
        if owned is not None:
            return cast("V | None", owned.unit.peek(key))
        store = self.table_store.opened(partition)
        data = None if store is None else store.get(key)
        return None if data is None else self.codec.decode(data)

    # -- for the package

    @property
    def table_store(self) -> TableStore:
        """The partitions on this machine."""
        return cast("TableStore", self.data)

    def new_unit(self, partition: int, cache_keys: int) -> Unit[V]:
        """The unit of a recovered partition."""
        app = self.app
        return Unit(
            self.name,
            partition,
            self.table_store.open(partition),
            self.codec,
            self.partition_of,
            cache_keys,
            app.options.max_message_bytes,
            app.metrics,
            self.at_commit,
        )

    def persisted_offset(self, tp: TP) -> int | None:
        """As Faust's."""
        return self.table_store.persisted_offset(tp)

    def _directory(self) -> Path:
        return self.app.conf.tabledir

    def _new_store(self) -> StoreT[bytes, bytes]:
        return TableStore(
            URL_SCHEME,
            self.app,
            self,
            table_name=self.name,
            cache=self.app.store_cache,
            directory=self._directory,
        )

    def _on_abandoned(self, batch: Batch) -> None:
        self.app.ownership.add_future(self.app.ownership.redeliver(batch, self.name))

    def on_key_get(self, key: bytes) -> None:
        """Reading needs no books."""

    def on_key_set(self, key: bytes, value: V) -> None:  # noqa: ARG002 - Faust's signature
        """A write past `process` would be lost.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"table {self.name} changes in its process() only")

    def on_key_del(self, key: bytes) -> None:  # noqa: ARG002 - Faust's signature
        """As `on_key_set`."""
        raise TypeError(f"table {self.name} changes in its process() only")
