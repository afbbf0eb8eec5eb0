"""What the parts of the delivery may ask of the application.

No part knows the application's class. Each part gets a `Runtime` in its constructor; `DeliveryApp` implements it, and
so does the driver in `tests/pipeline/delivery/driver.py`, which runs without Faust and without a broker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from faust.types import TP
    from faust.types.assignor import PartitionAssignorT
    from faust.types.settings import Settings

    from pipeline.delivery.kill_points import Hook
    from pipeline.delivery.metrics import Metrics
    from pipeline.delivery.options import DeliveryOptions
    from pipeline.delivery.scheduler import Scheduler
    from pipeline.delivery.state.stores import PartitionStores
    from pipeline.delivery.state.unit import Unit


class Unread(NamedTuple):
    """How far a source partition was read, and how much of it is left.

    Attributes:
        handed_out: the offset after the last record that was handed to the agents.
        position: the offset of the next fetch; what lies between the two is no record (transaction markers).
        behind: number of offsets from `position` to the end of the log.
        withheld: the part of `behind` that the broker does not return yet, because it lies behind an open transaction.
    """

    handed_out: int
    position: int
    behind: int
    withheld: int = 0

    @property
    def readable_until(self) -> int:
        """The offset up to which the broker returns records."""
        return self.position + self.behind - self.withheld


class GroupMember(Protocol):
    """This worker's connection to its consumer group; the consumer's thread implements it."""

    async def first_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        """The oldest existing offset per partition."""

    async def committed(self, tps: Iterable[TP]) -> dict[TP, int | None]:
        """The group's committed offsets; None where it has committed none."""

    async def unread(self, tps: Iterable[TP]) -> dict[TP, Unread]:
        """How much is left of each assigned partition, as of the last fetch."""

    async def ends(self, tps: Iterable[TP]) -> dict[TP, int]:
        """The offset after the last record of each partition."""

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> None:
        """Commit offsets to the group, outside of a transaction."""

    async def rejoin(self) -> None:
        """Ask for a new assignment."""


class Positions(Protocol):
    """Where this worker reads its source partitions; the consumer implements it."""

    @property
    def thread(self) -> GroupMember:
        """The connection to the group."""

    def is_current(self, tp: TP, epoch: int) -> bool:
        """Whether records that were fetched in this epoch still count: the partition was not placed anew since."""

    def stop_reading(self, tps: Iterable[TP]) -> None:
        """Hand out nothing of these partitions until they are placed again."""

    async def place(self, positions: Mapping[TP, int]) -> None:
        """Continue reading at these offsets; what was fetched before is void.

        Raises:
            IllegalStateError: one of the partitions is no longer assigned.
        """

    def assignment(self) -> set[TP]:
        """The partitions that the group has assigned to this worker."""


@runtime_checkable
class RecoverableTable(Protocol):
    """What recovery and ownership ask of a table; `WriteBehindTable` has it."""

    name: str
    source_topics: tuple[str, ...]
    commit_every: int

    @property
    def changelog_name(self) -> str:
        """The changelog topic."""

    @property
    def stores(self) -> PartitionStores:
        """The local stores of its partitions."""

    def new_unit(self, partition: int, cache_keys: int) -> Unit[Any]:
        """The unit of a recovered partition, with room for so many decoded values."""


class Runtime(Protocol):
    """The application, as its parts see it."""

    metrics: Metrics
    scheduler: Scheduler
    reached: Hook
    """Called at each kill point."""
    rebalancing: bool
    consumer_generation_id: int
    """The number of the current assignment."""

    @property
    def options(self) -> DeliveryOptions:
        """Limits and timeouts."""

    @property
    def conf(self) -> Settings:
        """Faust's settings: the group's id, Kafka's timeouts, the commit interval."""

    @property
    def client_options(self) -> Mapping[str, Any]:
        """Bootstrap servers and security for every Kafka client, as aiokafka names them."""

    @property
    def transactional(self) -> bool:
        """Whether the brokers support transactions; only the demo runs without."""

    @property
    def consumer(self) -> Positions:
        """Where source partitions are read."""

    @property
    def assignor(self) -> PartitionAssignorT:
        """The partitions that the last assignment gave to each worker."""

    def is_batch_topic(self, topic: str) -> bool:
        """Whether a topic is folded into a write-behind table."""

    def has_state(self, topic: str) -> bool:
        """Whether tables or offsets depend on a topic: it is folded into a table, or is a changelog."""

    def partition_of(self, topic: str, key: bytes) -> int:
        """The partition of a key in an output topic.

        Raises:
            TopicError: the application was not told this topic's partition count.
        """

    async def go_live(self, *, standbys: bool) -> None:
        """Recovery is complete: let the streams run. `standbys` says whether standby partitions are still behind."""

    def standbys_are_warm(self) -> None:
        """All standby partitions have caught up."""

    async def crash(self, reason: BaseException) -> None:
        """End the worker with this error."""
