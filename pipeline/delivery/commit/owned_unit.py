"""The commit of one unit: snapshot, Kafka, local store, books; in this order, one at a time, each unit for itself."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalOperation,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from pipeline.delivery.errors import DeliveryError, FencedError
from pipeline.delivery.state.outputs import MAX_OUTPUT_BYTES
from pipeline.delivery.state.unit import EncodingError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipeline.delivery.commit.steps import Commit
    from pipeline.delivery.flow.turns import Turns
    from pipeline.delivery.kill_points import Hook
    from pipeline.delivery.metrics import Metrics
    from pipeline.delivery.state.unit import Snapshot, Unit

V = TypeVar("V")


# What will not change when it is tried again.
REFUSALS: Final = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
# Whatever went wrong, Kafka knows what was committed, and the next assignment asks it. A producer that was shut out
# between two steps of a commit refuses the next one with IllegalOperation or a failed assert.
LOSSES: Final = (FencedError, KafkaError, IllegalOperation, TimeoutError, OSError, AssertionError)


@dataclass(frozen=True, slots=True)
class Limits:
    """What may wait for a commit in one unit. Beyond it a commit is forced, and processing waits for it.

    Attributes:
        outputs: records to publish.
        output_bytes: their size.
        dirty_keys: changed keys.
    """

    outputs: int = 20_000
    output_bytes: int = 32 << 20
    dirty_keys: int = 20_000


@dataclass(frozen=True, slots=True)
class Listeners:
    """Whom a commit tells how it went.

    Attributes:
        lost: the unit is not ours any more, or its transaction failed; called once.
        failed: nothing can go on.
        not_encodable: a value cannot be written; the unit must go back and find the record that made it.
        committed: how far the source topics are committed.
    """

    lost: Callable[[OwnedUnit[Any], BaseException], None]
    failed: Callable[[Exception], Awaitable[None]]
    not_encodable: Callable[[OwnedUnit[Any], EncodingError], Awaitable[None]]
    committed: Callable[[OwnedUnit[Any], dict[str, int]], Awaitable[None]]


class OwnedUnit(Generic[V]):
    """A unit with its way to Kafka.

    Args:
        unit: the state.
        writer: started; we are the one writer.
        topics: that are folded into the unit.
        limits: of what may wait.
        listeners: told how commits go.
        reached: called at each kill point.
        metrics: of the worker.
        turns: for what takes long.
        commit_every: at so many intervals it is committed once.
    """

    def __init__(
        self,
        unit: Unit[V],
        writer: Commit,
        topics: tuple[str, ...],
        limits: Limits,
        listeners: Listeners,
        reached: Hook,
        metrics: Metrics,
        turns: Turns,
        commit_every: int = 1,
    ) -> None:
        self.unit = unit
        self.writer = writer
        self.topics = topics
        self.commit_every = commit_every
        self.started_at: float | None = None
        self._limits = limits
        self._listeners = listeners
        self._reached = reached
        self._metrics = metrics
        self._turns = turns
        self._task: asyncio.Task[None] | None = None
        # Clear from the start of a commit until its snapshot is made, in which time the unit must not change.
        self._may_change = asyncio.Event()
        self._may_change.set()

    def __str__(self) -> str:
        return str(self.unit)

    @property
    def full(self) -> bool:
        """Whether so much waits for a commit that processing must wait, too."""
        unit, limits = self.unit, self._limits
        return (
            len(unit.dirty) >= limits.dirty_keys
            or len(unit.outputs) >= limits.outputs
            or unit.output_bytes >= limits.output_bytes
        )

    def start(self) -> asyncio.Task[None] | None:
        """Begin a commit, unless one is under way or there is nothing to commit; the commit under way, if any."""
        unit = self.unit
        # A snapshot that is still in flight without a task has failed for good.
        if self._task is None and unit.in_flight is None and unit.changed and not unit.broken:
            self.started_at = time.monotonic()
            self._may_change.clear()
            self._task = asyncio.create_task(self._commit(self.started_at), name=f"commit of {self}")
        return self._task

    async def settled(self) -> None:
        """Wait until no commit is under way."""
        task = self._task
        if task is not None and task is not asyncio.current_task():
            await asyncio.wait((task,))

    @property
    def may_change(self) -> bool:
        """Whether no snapshot is being made of the unit."""
        return self._may_change.is_set()

    async def admit(self) -> None:
        """Wait for a turn in which the unit may change and more may wait for a commit; begins one if need be."""
        while not self.unit.closed:
            if self.full:
                self.start()
                await self._may_change.wait()
                if self.full:
                    await self.settled()
            await self._turns.next()
            if self.may_change and not self.full:
                return
            await self._may_change.wait()

    async def commit_all(self) -> None:
        """Commit until nothing is left."""
        while (task := self.start()) is not None:
            await asyncio.wait((task,))
            if task.cancelled() or self.unit.in_flight is not None:
                return

    async def stop(self) -> None:
        """Give up a commit that is under way, and close the connection."""
        self.unit.closed = True
        task = self._task
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait((task,))
        await self.writer.stop()

    async def _commit(self, began: float) -> None:
        unit, listeners = self.unit, self._listeners
        try:
            snapshot = await self._snapshot()
            self._reached("commit:snapshot")
            offset = await self.writer.write(snapshot)
            self._reached("commit:committed")
            await self._turns.next()
            committed = time.monotonic()
            unit.settle(snapshot, offset)
            self._metrics.store_seconds += time.monotonic() - committed
            self._reached("commit:stored")
        except EncodingError as error:
            unit.broken = True
            await listeners.not_encodable(self, error)
            return
        except DeliveryError as error:
            unit.closed = True
            await listeners.failed(error)
            return
        except REFUSALS as error:
            unit.closed = True
            await listeners.failed(
                DeliveryError(
                    f"{self}: the brokers refuse its commit ({error!r}); check the rights to the topics, and that "
                    f"each of them takes records of {MAX_OUTPUT_BYTES} bytes (max.message.bytes)"
                )
            )
            return
        except LOSSES as error:
            listeners.lost(self, error)
            return
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Not this task was cancelled, but one of aiokafka's.
            listeners.lost(self, error)
            return
        except Exception as error:  # noqa: BLE001 - nobody waits for this task: what it raised would go unseen
            unit.closed = True
            await listeners.failed(error)
            return
        finally:
            self._task, self.started_at = None, None
            self._may_change.set()
        metrics = self._metrics
        seconds = time.monotonic() - began
        metrics.commits += 1
        metrics.commit_seconds += seconds
        metrics.last_commit_seconds = seconds
        metrics.outputs += len(snapshot.outputs)
        metrics.flushed_keys += len(snapshot.keys)
        await listeners.committed(self, snapshot.moved)

    async def _snapshot(self) -> Snapshot:
        """The unit's snapshot, one piece of work a turn.

        Raises:
            EncodingError: a value cannot be encoded.
        """
        await self._turns.next()
        for snapshot in self.unit.take():
            if snapshot is not None:
                self._may_change.set()
                return snapshot
            await self._turns.next()
        raise RuntimeError(f"no snapshot of {self}")
