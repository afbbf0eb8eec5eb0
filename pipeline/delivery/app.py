"""The application: Faust's, with the transport, tables and ownership of this package."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import faust
from faust.types import TP
from filelock import FileLock, Timeout
from yarl import URL

from pipeline.delivery.assignment.assignor import Assignor
from pipeline.delivery.assignment.ownership import Ownership
from pipeline.delivery.assignment.recovery import DeliveryTables
from pipeline.delivery.assignment.topology import TopologyWatch
from pipeline.delivery.commit.owned_unit import Limits
from pipeline.delivery.errors import DeliveryError, StoreError, TopicError
from pipeline.delivery.flow.gate import Valve
from pipeline.delivery.flow.turns import Turns
from pipeline.delivery.kill_points import pass_by
from pipeline.delivery.metrics import Metrics
from pipeline.delivery.plugin.transport import DeliveryTransport
from pipeline.delivery.private_files import make_private
from pipeline.delivery.process import DeliveryWorker
from pipeline.delivery.state.outputs import MAX_OUTPUT_BYTES
from pipeline.delivery.state.store import StoreOptions
from pipeline.delivery.state.table_store import new_cache

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from faust.types import TransportT

    from pipeline.delivery.commit.owned_unit import OwnedUnit
    from pipeline.delivery.kill_points import Hook
    from pipeline.delivery.plugin.consumer import DeliveryConsumer
    from pipeline.delivery.state.table import WriteBehindTable

_LOCK = "worker.lock"


@dataclass(frozen=True, slots=True)
class DeliveryOptions:
    """How much may wait, and for how long. Times in seconds.

    Attributes:
        cache_keys: decoded values kept in memory, of all partitions of a table together.
        limits: of what may wait for a commit in one unit.
        max_message_bytes: of an output and of a table's value, as all topics take it.
        commit_timeout: after it a commit counts as lost, and its partition is given up.
        give_up_timeout: for the last commits when partitions are taken away, or the worker stops.
        transaction_timeout: after it the brokers abort an open transaction.
        only_written: topics that nothing is read from, see `TopologyWatch`.
        store: the memory of RocksDB.
    """

    cache_keys: int = 200_000
    limits: Limits = field(default_factory=Limits)
    max_message_bytes: int = MAX_OUTPUT_BYTES
    commit_timeout: float = 40.0
    give_up_timeout: float = 4.0
    transaction_timeout: float = 15.0
    only_written: frozenset[str] = frozenset()
    store: StoreOptions = field(default_factory=StoreOptions)


class DeliveryApp(faust.App):
    """A Faust application whose tables are `WriteBehindTable`s.

    Args:
        id: application id: consumer group, prefix of changelogs and transactional ids.
        client_options: bootstrap servers and security, as aiokafka names them; of every client.
        transactional: whether the brokers have transactions, see `guarantee.has_transactions`.
        topic_partitions: partition counts of all topics that are used.
        options: of the delivery.
        reached: called at each kill point, in tests.
        faust_options: Faust's own settings.
    """

    consumer: DeliveryConsumer
    tables: DeliveryTables

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
        self.store_cache = new_cache(self.options.store)
        self._topic_partitions = dict(topic_partitions)
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
            # Each owned partition has at most two batches under way; the queue never has to say no.
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
        self.ownership = Ownership(self, beacon=self.beacon)
        self.topology = TopologyWatch(self, topic_partitions, beacon=self.beacon)
        self.valve = Valve()
        self.turns = Turns()

    # -- what the parts of this package ask

    @property
    def limits(self) -> Limits:
        """Of what may wait for a commit in one unit."""
        return self.options.limits

    def add_write_behind(self, table: WriteBehindTable[Any]) -> None:
        """Register a table, and its topics as read in batches."""
        taken = self._batch_topics & set(table.source_topics)
        if taken:
            raise ValueError(f"{', '.join(sorted(taken))} is folded into another table already")
        self._batch_topics.update(table.source_topics)
        self.tables.add(table)

    def is_batch_topic(self, topic: str) -> bool:
        """Whether a topic is folded into a table."""
        return topic in self._batch_topics

    def partition_count(self, topic: str) -> int:
        """The partitions of an output topic.

        Raises:
            TopicError: nobody said so.
        """
        count = self._topic_partitions.get(topic)
        if count is None:
            raise TopicError(f"{topic} is published to, and is not among topic_partitions")
        return count

    @staticmethod
    def topic_partitions_of(owned: OwnedUnit[Any], topics: Iterable[str]) -> list[TP]:
        """The partitions of topics that are folded into a unit."""
        return [TP(topic, owned.unit.partition) for topic in topics]

    # -- Faust's life

    def _new_transport(self) -> TransportT:
        return DeliveryTransport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> TransportT:
        return DeliveryTransport(self.conf.broker_producer, self)

    async def on_first_start(self) -> None:
        """One worker at a time uses a state directory.

        Raises:
            StoreError: another one does, or it cannot be made.
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
            # A broker in memory may have forgotten what this state was made of: begin with what its topics hold now.
            shutil.rmtree(self.conf.tabledir, ignore_errors=True)

    async def on_start(self) -> None:
        """Say what is guaranteed."""
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
        """Commit what is done, and leave."""
        self.reached("stop:begin")
        await super().on_stop()

    async def on_shutdown(self) -> None:
        """Nothing uses the state directory any more."""
        await super().on_shutdown()
        if self._lock is not None:
            self._lock.release()

    async def crash(self, reason: BaseException) -> None:
        """End the worker; what a person can understand is said without a traceback, see `DeliveryWorker`."""
        if isinstance(reason, DeliveryError):
            root = self.beacon.root
            (self if root is None or root.data is None else root.data)._crash(reason)  # noqa: SLF001 - mode's own
            self._crash(reason)
            return
        await super().crash(reason)
