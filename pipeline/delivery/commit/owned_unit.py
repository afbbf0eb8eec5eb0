"""A unit together with its writer: when it is committed, and what happens when a commit fails."""

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

from pipeline.delivery.commit.steps import commit
from pipeline.delivery.errors import DeliveryError
from pipeline.delivery.state.outputs import MAX_OUTPUT_BYTES
from pipeline.delivery.state.unit import EncodingError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipeline.delivery.commit.transaction import TransactionWriter
    from pipeline.delivery.runtime import Runtime
    from pipeline.delivery.state.unit import Unit

V = TypeVar("V")

# Errors that the next attempt would meet again.
REFUSALS: Final = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
# Errors after which the unit is given up. Kafka knows what was committed, and the next assignment asks it. A producer
# that was fenced between two steps refuses the next step with IllegalOperation or a failed assert.
LOSSES: Final = (KafkaError, IllegalOperation, TimeoutError, OSError, AssertionError)


@dataclass(frozen=True, slots=True)
class Listeners:
    """Called with the outcome of a commit.

    Attributes:
        lost: another worker owns the unit now, or its transaction failed; called at most once per unit.
        not_encodable: a value cannot be encoded; the unit must go back to its last commit and find the bad record.
        committed: the new offsets of the source topics.
    """

    lost: Callable[[OwnedUnit[Any], BaseException], None]
    not_encodable: Callable[[OwnedUnit[Any], EncodingError], Awaitable[None]]
    committed: Callable[[OwnedUnit[Any], dict[str, int]], Awaitable[None]]


class OwnedUnit(Generic[V]):
    """A unit that this worker owns, from the end of its recovery until it is given up.

    Args:
        unit: the state.
        writer: already started, so this worker is the one writer.
        topics: the source topics that are folded into the unit.
        runtime: the application.
        listeners: called with the outcome of each commit.
        commit_every: the unit is committed once in so many commit intervals.
    """

    def __init__(
        self,
        unit: Unit[V],
        writer: TransactionWriter,
        topics: tuple[str, ...],
        runtime: Runtime,
        listeners: Listeners,
        commit_every: int = 1,
    ) -> None:
        self.unit = unit
        self.writer = writer
        self.topics = topics
        self.commit_every = commit_every
        self.started_at: float | None = None
        """When the commit under way began, by the monotonic clock; None without one."""
        self._runtime = runtime
        self._listeners = listeners
        self._task: asyncio.Task[None] | None = None
        # Clear while a snapshot is taken, in which time the unit must not change.
        self._may_change = asyncio.Event()
        self._may_change.set()

    def __str__(self) -> str:
        return str(self.unit)

    @property
    def full(self) -> bool:
        """Whether so much is uncommitted that processing must wait."""
        unit, limits = self.unit, self._runtime.options.limits
        return (
            len(unit.dirty) >= limits.dirty_keys
            or len(unit.outputs) >= limits.outputs
            or unit.output_bytes >= limits.output_bytes
        )

    @property
    def may_change(self) -> bool:
        """Whether no snapshot of the unit is being taken."""
        return self._may_change.is_set()

    def start(self) -> asyncio.Task[None] | None:
        """Begin a commit, unless one is under way or nothing is to be committed; return the one under way, if any."""
        unit = self.unit
        # A snapshot in flight without a task is that of a commit that failed for good.
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

    async def admit(self) -> None:
        """Wait for a turn in which the unit may change; if it is full, force a commit and wait for it."""
        while not self.unit.closed:
            if self.full:
                self.start()
                await self._may_change.wait()
                if self.full:
                    await self.settled()
            await self._runtime.scheduler.turn()
            if self.may_change and not self.full:
                return
            await self._may_change.wait()

    async def commit_all(self) -> None:
        """Commit until nothing is left, or until a commit fails."""
        while (task := self.start()) is not None:
            await asyncio.wait((task,))
            if task.cancelled() or self.unit.in_flight is not None:
                return

    async def stop(self) -> None:
        """Cancel the commit under way, and close the connection."""
        self.unit.closed = True
        task = self._task
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait((task,))
        await self.writer.stop()

    async def _commit(self, began: float) -> None:
        unit, runtime, listeners = self.unit, self._runtime, self._listeners
        try:
            snapshot = await commit(unit, self.writer, runtime, self._may_change.set)
        except EncodingError as error:
            unit.broken = True
            await listeners.not_encodable(self, error)
            return
        except REFUSALS as error:
            unit.closed = True
            await runtime.crash(
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
            # aiokafka cancelled one of its own tasks, not this one.
            listeners.lost(self, error)
            return
        except Exception as error:  # noqa: BLE001 - nobody awaits this task, so its error would go unseen
            unit.closed = True
            await runtime.crash(error)
            return
        finally:
            self._task, self.started_at = None, None
            self._may_change.set()
        runtime.metrics.committed(
            time.monotonic() - began, outputs=len(snapshot.outputs), keys=len(snapshot.keys)
        )
        await listeners.committed(self, snapshot.moved)
