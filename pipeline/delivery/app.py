"""The application: Faust's, with the transport, tables and ownership of this package."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, Final

import faust
from filelock import FileLock, Timeout
from yarl import URL

from pipeline.delivery.assignment.assignor import Assignor
from pipeline.delivery.assignment.ownership import Ownership
from pipeline.delivery.assignment.recovery import Recovery
from pipeline.delivery.assignment.topology import TopologyWatch
from pipeline.delivery.errors import DeliveryError, StoreError, TopicError
from pipeline.delivery.flow.gate import Gate
from pipeline.delivery.flow.processing import Processing
from pipeline.delivery.flow.progress import Progress
from pipeline.delivery.kill_points import pass_by
from pipeline.delivery.metrics import Metrics
from pipeline.delivery.options import DeliveryOptions
from pipeline.delivery.partitioner import Partitioner
from pipeline.delivery.plugin.consumer import DeliveryConsumer
from pipeline.delivery.plugin.tables import DeliveryTables
from pipeline.delivery.plugin.transport import DeliveryTransport
from pipeline.delivery.private_files import make_private
from pipeline.delivery.process import DeliveryWorker
from pipeline.delivery.scheduler import Scheduler
from pipeline.delivery.state.store import StoreCache

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faust.types import TransportT
    from faust.types.tables import CollectionT

    from pipeline.delivery.kill_points import Hook

_LOCK: Final = "worker.lock"


class DeliveryApp(faust.App):
    """A Faust application whose tables are `WriteBehindTable`s; implements `Runtime`.

    It makes the parts of the delivery and gives each of them what it needs. No part knows this class.

    Args:
        id: application id: the consumer group, and the prefix of changelogs and transactional ids.
        client_options: bootstrap servers and security of every Kafka client, as aiokafka names them.
        transactional: whether the brokers support transactions, see `clients.has_transactions`.
        topic_partitions: partition counts of all topics that are used.
        options: limits and timeouts.
        reached: called at each kill point, in tests.
        faust_options: Faust's own settings.
    """

    consumer: DeliveryConsumer
    tables: DeliveryTables
    rebalancing: bool
    consumer_generation_id: int

    def __init__(
        self,
        id: str,  # noqa: A002 - Faust's name
        *,
        client_options: Mapping[str, Any],
        transactional: bool,
        topic_partitions: Mapping[str, int],
        options: DeliveryOptions | None = None,
        reached: Hook = pass_by,
        **faust_options: Any,
    ) -> None:
        self.client_options = dict(client_options)
        self.transactional = transactional
        self.options = options or DeliveryOptions()
        self.reached = reached
        self.metrics = Metrics()
        self.scheduler = Scheduler()
        self.gate = Gate()
        self.store_cache = StoreCache(self.options.store)
        self._partitioners = {topic: Partitioner(count) for topic, count in topic_partitions.items()}
        self._batch_topics: set[str] = set()
        self._lock: FileLock | None = None
        servers = str(client_options["bootstrap_servers"]).split(",")
        defaults: dict[str, Any] = {
            "broker": [URL(f"kafka://{server.strip()}") for server in servers],
            "store": "memory://",
            "TableManager": DeliveryTables,
            "Worker": DeliveryWorker,
            "PartitionAssignor": Assignor,
            "topic_disable_leader": True,
            "stream_recovery_delay": 0.0,
            "stream_wait_empty": False,
            # Each owned partition has at most two batches in flight, so this queue is never full.
            "stream_buffer_maxsize": 4096,
            "broker_session_timeout": 10.0,
            "broker_heartbeat_interval": 3.0,
            "broker_rebalance_timeout": 15.0,
            "broker_request_timeout": 15.0,
            "broker_commit_interval": 1.0,
            "broker_max_poll_records": 5_000,
            "consumer_max_fetch_size": 1 << 20,
            "producer_request_timeout": 15.0,
        }
        super().__init__(id, **(defaults | faust_options))
        self.processing = Processing(self, self.gate)
        self.ownership = Ownership(self, self.processing, beacon=self.beacon)
        self.topology = TopologyWatch(self, topic_partitions, beacon=self.beacon)
        progress = Progress(
            self, self.ownership.units.values, lambda: self.topology.unread, beacon=self.beacon
        )
        self.recovery = Recovery(self, self.ownership, self.tables.write_behind, beacon=self.beacon)
        self.tables.install(self.recovery, (self.ownership, progress, self.topology, self.recovery))

    # -- as in `Runtime`

    def is_batch_topic(self, topic: str) -> bool:
        """Whether a topic is folded into a write-behind table."""
        return topic in self._batch_topics

    def has_state(self, topic: str) -> bool:
        """Whether tables or offsets depend on a topic: it is folded into a table, or is a changelog."""
        return topic in self._batch_topics or topic in self.tables.changelog_topics

    def partition_of(self, topic: str, key: bytes) -> int:
        """The partition of a key in an output topic.

        Raises:
            TopicError: the application was not told this topic's partition count.
        """
        partitioner = self._partitioners.get(topic)
        if partitioner is None:
            raise TopicError(f"{topic} is published to, and is not among topic_partitions")
        return partitioner(key)

    async def go_live(self, *, standbys: bool) -> None:
        """Recovery is complete: let Faust's streams run, as Faust's own recovery does at its end."""
        self.flow_control.resume()
        self.consumer.resume_flow()
        await self._fetcher.maybe_start()
        self.tables.on_actives_ready()
        if not standbys:
            self.tables.on_standbys_ready()
        self.on_rebalance_end()

    def standbys_are_warm(self) -> None:
        """All standby partitions have caught up."""
        self.tables.on_standbys_ready()

    async def crash(self, reason: BaseException) -> None:
        """End the worker. A `DeliveryError` is shown without a traceback, see `DeliveryWorker`."""
        if isinstance(reason, DeliveryError):
            root = self.beacon.root
            (self if root is None or root.data is None else root.data)._crash(reason)  # noqa: SLF001 - mode's own
            self._crash(reason)
            return
        await super().crash(reason)

    # -- called by `WriteBehindTable`

    def add_write_behind(self, table: CollectionT, topics: tuple[str, ...]) -> None:
        """Register a table and its source topics.

        Raises:
            ValueError: another table has one of the topics already.
        """
        taken = self._batch_topics & set(topics)
        if taken:
            raise ValueError(f"{', '.join(sorted(taken))} is folded into another table already")
        self._batch_topics.update(topics)
        self.tables.add(table)

    # -- called by Faust

    def _new_transport(self) -> TransportT:
        return DeliveryTransport(self.conf.broker_consumer, self, self.client_options)

    def _new_producer_transport(self) -> TransportT:
        return DeliveryTransport(self.conf.broker_producer, self, self.client_options)

    def _new_consumer(self) -> DeliveryConsumer:
        return DeliveryConsumer(
            self.transport,
            callback=self.topics.on_message,
            on_partitions_revoked=self._on_partitions_revoked,
            on_partitions_assigned=self._on_partitions_assigned,
            runtime=self,
            ownership=self.ownership,
            recovery=self.recovery,
            gate=self.gate,
            loop=self.loop,
            beacon=self.beacon,
        )

    async def on_first_start(self) -> None:
        """Lock the state directory, which one worker at a time may use.

        Raises:
            StoreError: another worker uses it, or it cannot be created.
        """
        directory = self.conf.appdir
        try:
            make_private(directory.parent, lambda name: name == directory.name)
            await super().on_first_start()
            self._lock = FileLock(directory / _LOCK)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise StoreError(
                f"the state directory {directory} is used by another worker; stop it, or give this one another "
                "directory"
            ) from error
        except OSError as error:
            raise StoreError(f"the state directory {directory} cannot be used: {error.strerror}") from error
        if not self.transactional:
            # A broker in memory may have been restarted, and the topics that made this state may be gone.
            shutil.rmtree(self.conf.tabledir, ignore_errors=True)

    async def on_start(self) -> None:
        """Log the guarantee."""
        await super().on_start()
        if self.transactional:
            self.log.info(
                "delivery is exactly once: outputs, state and offsets are committed in transactions"
            )
        else:
            self.log.warning(
                "this broker has no transactions: good for the demo only; after a crash verdicts may be missing or "
                "published twice"
            )

    async def on_stop(self) -> None:
        """Commit what is processed, and leave the group."""
        self.reached("stop:begin")
        await super().on_stop()

    async def on_shutdown(self) -> None:
        """Release the state directory."""
        await super().on_shutdown()
        if self._lock is not None:
            self._lock.release()
