"""Partitions side by side: processes that each judge one partition at a time, and report how far they are."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Final, Self, TypeVar

from pipeline.app import tune_collector
from pipeline.errors import MissingError
from pipeline.logs import quiet_kafka_client

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from concurrent.futures import Future
    from multiprocessing.sharedctypes import Synchronized
    from types import TracebackType

T = TypeVar("T")

_LOOK_S: Final = 0.2


class Pool:
    """Processes that judge partitions. If this process dies, they die. Use it in a `with` block."""

    def __init__(self, workers: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._read: Synchronized[int] = context.Value("q", 0)
        self._pool = ProcessPoolExecutor(workers, context, _start_process, (self._read,))

    def submit(self, call: Callable[..., T], *arguments: object) -> Future[T]:
        """Call a function of a module in one of the processes."""
        return self._pool.submit(call, *arguments)

    def finished(
        self, futures: Collection[Future[T]], progress: Callable[[int], None]
    ) -> Iterator[Future[T]]:
        """The futures, each when it is done or has failed."""
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, _LOOK_S, FIRST_COMPLETED)
            progress(self._read.value)
            yield from done

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            for process in multiprocessing.active_children():
                process.terminate()
        self._pool.shutdown(cancel_futures=True)
        if isinstance(error, BrokenProcessPool):
            raise MissingError(
                "a process of the replay was ended from outside, perhaps for want of memory; start it again to go on, "
                "with fewer --workers"
            ) from error


_read: Synchronized[int] | None = None
"""In a process of the pool: the number of records that all of them have read."""


def _start_process(read: Synchronized[int]) -> None:
    global _read  # noqa: PLW0603 - a value that processes share can only be given to them at their start
    _read = read
    # The parent hears Ctrl-C and ends its processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    quiet_kafka_client()
    tune_collector()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def count_read(records: int) -> None:
    """Tell the parent that this process of the pool has read some records more."""
    assert _read is not None
    with _read.get_lock():
        _read.value += records
