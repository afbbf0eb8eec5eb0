"""The verdict index of a worker: filled from all partitions of `flagged-events`, and asked by the web views.

Each worker follows the whole topic outside of any consumer group, so that it answers alone and a rebalance leaves no
gap. It must cost the stream little: SQLite works in threads of its own, and filling takes a bounded share of the time.
What goes wrong here is logged and tried again; it never stops the stream.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mode import Service

from pipeline.kafka.follower import Follower, from_positions
from pipeline.verdict_index.query import Position
from pipeline.verdict_index.reader import VerdictReader
from pipeline.verdict_index.store import FILE_NAME, connect, open_store
from pipeline.verdict_index.writer import Published, VerdictWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from aiokafka import TopicPartition
    from aiokafka.structs import ConsumerRecord

    from pipeline.verdict_index.query import Alerts, Filters, Page
    from pipeline.verdict_index.summary import Span, Tally

T = TypeVar("T")

_SHARE: Final = 0.1
"""Filling takes this part of one processor at most; what it cannot do then waits, and is skipped when it would be
deleted anyway."""
_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 5.0
_RETRY_S: Final = 5.0
_EXPIRY_S: Final = 60.0
_BATCH: Final = 1_000
_COUNTED_S: Final = 5.0
"""Counting by profile looks through the whole index: those who ask within this time share an answer."""
_COUNTED_TIMES: Final = 100
"""They share it for so many times as long as counting took, too: it takes a hundredth of the time at most."""


class IndexUnavailableError(Exception):
    """The index cannot be asked now; the message says why."""


class VerdictIndex(Service):
    """See the module.

    Args:
        directory: where the file is, or will be.
        verdicts: full name of `flagged-events`.
        alerts: full name of `risk-alerts`.
        client_options: bootstrap servers and security, as aiokafka names them.
        limit: so many verdicts are kept.
        retention_ms: of the topic; the index keeps nothing for longer.
    """

    def __init__(
        self,
        directory: Path,
        verdicts: str,
        alerts: str,
        client_options: Mapping[str, Any],
        limit: int,
        retention_ms: int,
    ) -> None:
        super().__init__()
        self._path = directory / FILE_NAME
        self._verdicts = verdicts
        self._alerts = alerts
        self._client_options = dict(client_options)
        self._limit = limit
        self._retention_ms = retention_ms
        self._expired_at = -math.inf
        self._spent_s = 0.0
        self._write_thread = ThreadPoolExecutor(1, "verdict-index-write")
        self._read_thread = ThreadPoolExecutor(1, "verdict-index-read")
        self._reader: VerdictReader | None = None
        self._look_ups: VerdictReader | None = None
        self._trouble = "it is being opened"
        self._skipped: set[TopicPartition] = set()
        self._tallies: tuple[float, list[Tally]] = (-math.inf, [])
        self.behind = 0
        """Published verdicts that are not indexed yet, as of the last look."""

    # -- asking

    async def page(self, filters: Filters, after: Position | None, size: int) -> Page:
        """The newest verdicts that were published before a position; None for the very newest.

        Raises:
            IndexUnavailableError: see there.
        """
        return await self._ask(VerdictReader.page, filters, after, size)

    def newest_of(self, user: str) -> bytes | None:
        """The newest verdict on a user, by the id that verdicts show; None if none is indexed.

        A look-up by the thread that asks, as with a key of a table: to hand it to another thread takes longer than
        it does, and far longer while the stream keeps this one busy.

        Raises:
            IndexUnavailableError: see there.
        """
        reader = self._opened(self._look_ups)
        try:
            return reader.newest_of(user)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    async def alerts(self, size: int) -> Alerts:
        """The most severe alerts, the open ones first.

        Raises:
            IndexUnavailableError: see there.
        """
        return await self._ask(VerdictReader.alerts, size)

    async def tallies(self) -> list[Tally]:
        """All indexed verdicts, counted by profile and region; some seconds old.

        Raises:
            IndexUnavailableError: see there.
        """
        good_until, tallies = self._tallies
        if time.monotonic() > good_until:
            began = time.monotonic()
            tallies = await self._ask(VerdictReader.tallies)
            ended = time.monotonic()
            self._tallies = ended + max(_COUNTED_S, _COUNTED_TIMES * (ended - began)), tallies
        return tallies

    def span(self) -> Span:
        """What is indexed; some look-ups by the thread that asks, see `newest_of`.

        Raises:
            IndexUnavailableError: see there.
        """
        reader = self._opened(self._look_ups)
        try:
            return reader.span(self._limit, self.behind)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    async def _ask(self, question: Callable[..., T], *arguments: object) -> T:
        reader = self._opened(self._reader)
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._read_thread, question, reader, *arguments
            )
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def _opened(self, reader: VerdictReader | None) -> VerdictReader:
        if reader is None:
            raise IndexUnavailableError(f"the verdict index cannot be asked now: {self._trouble}")
        return reader

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
            self._reader = VerdictReader(connect(self._path))
            self._look_ups = VerdictReader(connect(self._path))
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
            reader, self._reader = self._reader, None
            look_ups, self._look_ups = self._look_ups, None
            if look_ups is not None:
                look_ups.close()
            if reader is not None:
                await asyncio.get_running_loop().run_in_executor(self._read_thread, reader.close)
            await self._in_write_thread(writer.close)

    def _open(self) -> VerdictWriter:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        topics = (self._verdicts, self._alerts)
        return VerdictWriter(open_store(self._path, topics), self._limit)

    async def _step(self, follower: Follower, writer: VerdictWriter) -> None:
        batches = await follower.poll(_PAUSE_S, _BATCH)
        self._spent_s = 0.0
        now = time.monotonic()
        if now - self._expired_at > _EXPIRY_S:
            self._expired_at = now
            await self._in_write_thread(writer.expire, int(time.time() * 1000) - self._retention_ms)
        for tp in self._skip_old(follower):
            batches.pop(tp, None)
        if batches:
            await self._index(writer, batches, follower.positions)
        pause = 0.0 if sum(map(len, batches.values())) >= _BATCH else _PAUSE_S
        await self.sleep(min(_LONGEST_PAUSE_S, max(pause, self._spent_s * (1 / _SHARE - 1))))

    async def _index(
        self,
        writer: VerdictWriter,
        batches: Mapping[TopicPartition, list[ConsumerRecord[bytes, bytes]]],
        positions: Mapping[TopicPartition, int],
    ) -> None:
        for tp in self._skipped & batches.keys():
            record = batches[tp][0]
            await self._in_write_thread(writer.skip, tp.topic, tp.partition, record.offset, record.timestamp)
            self._skipped.discard(tp)
        records = [
            Published(Position(record.timestamp, record.partition, record.offset), record.value)
            for tp, batch in batches.items()
            if tp.topic == self._verdicts
            for record in batch
            if record.value is not None
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
        """The file is closed."""
        self._write_thread.shutdown(wait=False)
        self._read_thread.shutdown(wait=False)
