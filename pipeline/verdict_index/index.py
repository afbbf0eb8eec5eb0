"""The verdict index of a worker: filled from `flagged-events` and `risk-alerts`, and asked by the web views.

Each worker follows all partitions outside of any consumer group. So it answers alone, and a rebalance leaves no gap.
The index must not slow the stream: SQLite works in threads of its own, and filling takes a bounded share of the time.
What goes wrong here is logged and tried again; it never stops the stream.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from mode import Service

from pipeline.kafka.follower import Follower, from_positions
from pipeline.kafka.topics import FLAGGED_EVENTS, RISK_ALERTS
from pipeline.verdict_index.pages import PagePosition
from pipeline.verdict_index.queries import IndexQueries
from pipeline.verdict_index.store import FILE_NAME, connect, open_store
from pipeline.verdict_index.writer import IndexWriter, Published

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from aiokafka import TopicPartition
    from aiokafka.structs import ConsumerRecord

    from pipeline.settings.schema import Settings
    from pipeline.verdict_index.pages import Alerts, Filters, Page
    from pipeline.verdict_index.summary import Span, Tally

T = TypeVar("T")

_SHARE: Final = 0.1
"""The largest part of one processor that filling takes. What it cannot do then waits, and is skipped if it would be
deleted anyway."""
_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 5.0
_RETRY_S: Final = 5.0
_EXPIRY_S: Final = 60.0
_BATCH: Final = 1_000
_COUNTS_KEPT_S: Final = 5.0
"""Counting by profile scans the whole index, so an answer is given again for this time."""
_COUNTS_KEPT_TIMES: Final = 100
"""And for so many times as long as counting took: it takes a hundredth of the time at most."""


class IndexUnavailableError(Exception):
    """The index cannot be asked now; the message says why."""


class VerdictIndex(Service):
    """The service of the index. All questions raise IndexUnavailableError while the file cannot be used.

    Args:
        directory: where the file is, or will be.
        settings: say where the brokers are, and how many verdicts are kept.

    Attributes:
        behind: published verdicts that were not indexed yet when the topic was last read.
    """

    def __init__(self, directory: Path, settings: Settings) -> None:
        super().__init__()
        self._path = directory / FILE_NAME
        self._verdicts = settings.topic(FLAGGED_EVENTS.name)
        self._alerts = settings.topic(RISK_ALERTS.name)
        self._client_options = settings.kafka_client_options()
        self._limit = settings.indexed_verdicts
        self._expired_at = -math.inf
        self._spent_s = 0.0
        self._write_thread = ThreadPoolExecutor(1, "verdict-index-write")
        self._read_thread = ThreadPoolExecutor(1, "verdict-index-read")
        # One connection for the reading thread, and one for look-ups by the event loop.
        self._queries: IndexQueries | None = None
        self._look_ups: IndexQueries | None = None
        self._trouble = "it is being opened"
        self._skipped: set[TopicPartition] = set()
        self._tallies: tuple[float, list[Tally]] = (-math.inf, [])
        self.behind = 0

    # -- asking

    async def page(self, filters: Filters, after: PagePosition | None, size: int) -> Page:
        """The newest verdicts that were published before a position, or the very newest for None."""
        return await self._ask(IndexQueries.page, filters, after, size)

    async def alerts(self, size: int) -> Alerts:
        """The most severe alerts, open ones first."""
        return await self._ask(IndexQueries.alerts, size)

    async def tallies(self) -> list[Tally]:
        """All indexed verdicts, counted by profile and region. The answer may be some seconds old."""
        good_until, tallies = self._tallies
        if time.monotonic() > good_until:
            began = time.monotonic()
            tallies = await self._ask(IndexQueries.tallies)
            ended = time.monotonic()
            kept_s = max(_COUNTS_KEPT_S, _COUNTS_KEPT_TIMES * (ended - began))
            self._tallies = ended + kept_s, tallies
        return tallies

    def newest_of(self, user: str) -> bytes | None:
        """The newest indexed verdict on a user, by the id that verdicts show; None if there is none."""
        return self._look_up(IndexQueries.newest_of, user)

    def span(self) -> Span:
        """What is indexed."""
        return self._look_up(IndexQueries.span, self._limit, self.behind)

    async def _ask(self, question: Callable[..., T], *arguments: object) -> T:
        queries = self._opened(self._queries)
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._read_thread, question, queries, *arguments
            )
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def _look_up(self, question: Callable[..., T], *arguments: object) -> T:
        """Ask in the event loop itself: handing over to a thread would take longer than a look-up in an index."""
        queries = self._opened(self._look_ups)
        try:
            return question(queries, *arguments)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def _opened(self, queries: IndexQueries | None) -> IndexQueries:
        if queries is None:
            raise IndexUnavailableError(f"the verdict index cannot be asked now: {self._trouble}")
        return queries

    def _unreadable(self, error: sqlite3.Error) -> IndexUnavailableError:
        return IndexUnavailableError(f"the verdict index {self._path} cannot be read: {error}")

    # -- filling

    @Service.task
    async def _fill(self) -> None:
        while not self.should_stop:
            try:
                await self._follow()
            except (sqlite3.Error, OSError) as error:
                self._trouble = str(error) or type(error).__name__
                self.log.warning(
                    "the verdict index %s is not filled now, trying again in %g s: %s",
                    self._path,
                    _RETRY_S,
                    self._trouble,
                )
                await self.sleep(_RETRY_S)

    async def _follow(self) -> None:
        writer = await self._in_write_thread(self._open)
        try:
            self._queries = IndexQueries(connect(self._path))
            self._look_ups = IndexQueries(connect(self._path))
            known = await self._in_write_thread(writer.next_offsets)
            async with Follower(
                self._client_options,
                [self._verdicts, self._alerts],
                from_positions(known),
                retry=True,
                on_truncated=partial(self._in_write_thread, writer.clear),
            ) as follower:
                while not self.should_stop:
                    await self._step(follower, writer)
        finally:
            queries, self._queries = self._queries, None
            look_ups, self._look_ups = self._look_ups, None
            if look_ups is not None:
                look_ups.close()
            if queries is not None:
                await asyncio.get_running_loop().run_in_executor(self._read_thread, queries.close)
            await self._in_write_thread(writer.close)

    def _open(self) -> IndexWriter:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return IndexWriter(open_store(self._path, (self._verdicts, self._alerts)), self._limit)

    async def _step(self, follower: Follower, writer: IndexWriter) -> None:
        batches = await follower.poll(_PAUSE_S, _BATCH)
        self._spent_s = 0.0
        # The index keeps nothing for longer than the topic does.
        assert FLAGGED_EVENTS.retention_ms is not None
        oldest_ms = int(time.time() * 1000) - FLAGGED_EVENTS.retention_ms
        now = time.monotonic()
        if now - self._expired_at > _EXPIRY_S:
            self._expired_at = now
            await self._in_write_thread(writer.expire, oldest_ms)
        for tp in self._skip_old(follower):
            batches.pop(tp, None)
        if batches:
            await self._index(writer, batches, follower.positions, oldest_ms)
        pause_s = 0.0 if sum(map(len, batches.values())) >= _BATCH else _PAUSE_S
        await self.sleep(min(_LONGEST_PAUSE_S, max(pause_s, self._spent_s * (1 / _SHARE - 1))))

    async def _index(
        self,
        writer: IndexWriter,
        batches: Mapping[TopicPartition, list[ConsumerRecord[bytes, bytes]]],
        positions: Mapping[TopicPartition, int],
        oldest_ms: int,
    ) -> None:
        for tp in self._skipped & batches.keys():
            record = batches[tp][0]
            await self._in_write_thread(writer.skip, tp.topic, tp.partition, record.offset, record.timestamp)
            self._skipped.discard(tp)
        records = [
            Published(PagePosition(record.timestamp, record.partition, record.offset), record.value)
            for tp, batch in batches.items()
            if tp.topic == self._verdicts
            for record in batch
            if record.value is not None and record.timestamp >= oldest_ms
        ]
        alerts = [
            (record.key, record.value)
            for tp, batch in batches.items()
            if tp.topic == self._alerts
            for record in batch
            if record.key is not None
        ]
        next_offsets = {(tp.topic, tp.partition): positions[tp] for tp in batches}
        refused = await self._in_write_thread(writer.add, records, {})
        # The offsets are written last. If they are lost, the same records are read again, and change nothing.
        refused += await self._in_write_thread(writer.fold, alerts, next_offsets)
        if refused:
            self.log.warning("%d records are no verdicts or alerts, and are not indexed", refused)

    def _skip_old(self, follower: Follower) -> list[TopicPartition]:
        """Skip verdicts where more are published than the index keeps, because it would delete them at once.

        Returns:
            the partitions in which reading goes on further ahead.
        """
        behind = {
            tp: max(0, end - follower.positions[tp])
            for tp, end in follower.ends.items()
            if tp.topic == self._verdicts
        }
        self.behind = sum(behind.values())
        if self.behind <= self._limit:
            return []
        share = max(1, self._limit // len(behind))
        skipped = [tp for tp, count in behind.items() if count > share]
        for tp in skipped:
            follower.seek(tp, follower.ends[tp] - share)
        self._skipped.update(skipped)
        self.log.info(
            "%d published verdicts are not indexed, and the index keeps %d: it goes on with the newest",
            self.behind,
            self._limit,
        )
        return skipped

    async def _in_write_thread(self, work: Callable[..., T], *arguments: object) -> T:
        def timed() -> T:
            began = time.thread_time()
            try:
                return work(*arguments)
            finally:
                self._spent_s += time.thread_time() - began

        return await asyncio.get_running_loop().run_in_executor(self._write_thread, timed)

    async def on_shutdown(self) -> None:
        """End the threads. The file is closed by then."""
        self._write_thread.shutdown(wait=False)
        self._read_thread.shutdown(wait=False)
