"""Sends a stream at its rate: to a file in order, or to Kafka or HTTP with several tasks at once."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType

    from pipeline.lab.generator.lines import LineSink
    from pipeline.lab.generator.pace import Chunk
    from pipeline.lab.generator.stream import Record

# A request to stop is noticed within this time.
_NAP_S = 0.2
# So many chunks may wait for a task: enough to keep it busy, and few enough to bound memory.
_WAITING = 4


class Sink(Protocol):
    """Sends records over a network, and tells the ledger of each one."""

    def lane(self, record: Record, lanes: int) -> int:
        """The number of the task that sends a record. All records of a user have the same one, to keep their order."""

    async def send(self, records: list[Record]) -> None:
        """Sends records in their order, and returns when all of them are acknowledged."""


@dataclass(slots=True)
class Stop:
    """Whether somebody asked the run to end before its count.

    Attributes:
        signal: the signal that asked for it, or None.
    """

    signal: int | None = None

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Lets SIGINT and SIGTERM end the run in order. A second one ends it at once."""

        def ask(number: int, _frame: FrameType | None) -> None:
            if self.signal is not None:
                raise KeyboardInterrupt
            self.signal = number

        former = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


class Clock:
    """Milliseconds since the start, by a clock that never goes back."""

    def __init__(self) -> None:
        self.started_ms = int(time.time() * 1000)
        self._started_s = time.monotonic()

    def until_s(self, due_ms: float) -> float:
        """Seconds from now until a moment, negative when it has passed."""
        return self._started_s + due_ms / 1000 - time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started_s


def write_lines(paced: Iterable[Chunk], sink: LineSink, clock: Clock, stop: Stop) -> None:
    """Writes everything to a file, or until it is told to stop."""
    for chunk in paced:
        while (left_s := clock.until_s(chunk.due_ms)) > 0 and stop.signal is None:
            sink.file.flush()
            time.sleep(min(left_s, _NAP_S))
        if stop.signal is not None:
            break
        sink.write(chunk.records)
    sink.file.flush()


async def send_all(paced: Iterable[Chunk], sink: Sink, lanes: int, clock: Clock, stop: Stop) -> None:
    """Sends everything by `lanes` tasks, or until it is told to stop; what has begun is completed.

    Raises:
        OttError: the first one that a task met; the others end.
    """
    queues: list[asyncio.Queue[list[Record] | None]] = [asyncio.Queue(_WAITING) for _ in range(lanes)]
    tasks = [asyncio.create_task(_work(sink, queue)) for queue in queues]
    feeding = asyncio.create_task(_feed(paced, sink, queues, clock, stop))
    try:
        pending = {feeding, *tasks}
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in (feeding, *tasks):
            task.cancel()
        await asyncio.gather(feeding, *tasks, return_exceptions=True)


async def _feed(
    paced: Iterable[Chunk],
    sink: Sink,
    queues: list[asyncio.Queue[list[Record] | None]],
    clock: Clock,
    stop: Stop,
) -> None:
    for chunk in paced:
        # It sleeps for short times, because the handler of a signal cannot set an asyncio.Event.
        while (left_s := clock.until_s(chunk.due_ms)) > 0 and stop.signal is None:  # noqa: ASYNC110
            await asyncio.sleep(min(left_s, _NAP_S))
        if stop.signal is not None:
            break
        lanes: list[list[Record]] = [[] for _ in queues]
        for record in chunk.records:
            lanes[sink.lane(record, len(queues))].append(record)
        for queue, records in zip(queues, lanes, strict=True):
            if records:
                await queue.put(records)
        # The simulation never waits, so the other tasks get their turn here.
        await asyncio.sleep(0)
    for queue in queues:
        await queue.put(None)


async def _work(sink: Sink, queue: asyncio.Queue[list[Record] | None]) -> None:
    while (records := await queue.get()) is not None:
        await sink.send(records)
