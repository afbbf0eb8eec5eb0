"""Following topics outside of any consumer group: whoever needs all records of all partitions uses this one class.

Workers follow `rule-config` and the topics of the verdict index with it; `GET /audit`, `ott tail`, the demo and the
benchmark read with it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from pipeline.delivery.clients import stop_consumer
from pipeline.delivery.flow.fetched import UnreadableBatch
from pipeline.errors import MissingError
from pipeline.kafka.brokers import broker_trouble, say_on_stderr, wait_for_broker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterable, Mapping, Sequence

    from aiokafka.structs import ConsumerRecord

    from pipeline.settings.schema import Settings

    Record = ConsumerRecord[bytes, bytes]
    Partitions = Sequence[TopicPartition]
    Offsets = Mapping[TopicPartition, int]
    Start = Callable[[AIOKafkaConsumer, Partitions], Awaitable[Offsets]]
    """Asks a broker for the first offset to read of each partition."""

_POLL_S: Final = 0.5
_FETCH_WAIT_MS: Final = 250
_REQUEST_TIMEOUT_MS: Final = 15_000
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 5.0
_SILENCE_S: Final = 10.0
_log: Final = logging.getLogger(__name__)


class TopicMissingError(KafkaError):
    """The brokers know no topic of this name. A topic that was created just now is not known to all of them yet."""

    retriable = True

    def __init__(self, topic: str) -> None:
        super().__init__(f"there is no topic {topic}")
        self.topic = topic


async def from_beginning(_: AIOKafkaConsumer, partitions: Partitions) -> Offsets:
    """Start with the oldest records."""
    return dict.fromkeys(partitions, 0)


async def from_end(consumer: AIOKafkaConsumer, partitions: Partitions) -> Offsets:
    """Start with the next record to come. On the embedded broker the last batch comes again (decision 2)."""
    ends: Offsets = await consumer.end_offsets(partitions)
    return ends


def from_newest(count: int) -> Start:
    """Start with the newest records, so many of each partition."""

    async def start(consumer: AIOKafkaConsumer, partitions: Partitions) -> Offsets:
        return {tp: max(0, end - count) for tp, end in (await from_end(consumer, partitions)).items()}

    return start


def from_time(timestamp_ms: int) -> Start:
    """Start with the first record that is not older than this timestamp, in milliseconds since 1970."""

    async def start(consumer: AIOKafkaConsumer, partitions: Partitions) -> Offsets:
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, timestamp_ms))
        ends = await from_end(consumer, partitions)
        return {tp: ends[tp] if first is None else first.offset for tp, first in found.items()}

    return start


def from_positions(known: Mapping[tuple[str, int], int]) -> Start:
    """Start with these offsets, by topic and partition. Partitions that are not among them start with the oldest."""

    async def start(_: AIOKafkaConsumer, partitions: Partitions) -> Offsets:
        return {tp: known.get((tp.topic, tp.partition), 0) for tp in partitions}

    return start


class Follower:
    """Reads all partitions of some topics. Use it in an `async with` block, and call `poll` from one task only.

    `poll` connects if necessary, so it can be called again after an error; reading goes on where it ended. A batch that
    cannot be read is logged and skipped. If the next offset was deleted, that is logged, and the oldest record follows.

    Args:
        client_options: bootstrap servers and security, as aiokafka names them.
        topics: full names.
        start: gives the first offsets; it is asked once, with the first connection.
        retry: whether `poll` logs an error, at most once in ten seconds, and waits some seconds. Otherwise it raises
            the error.
        committed_only: whether records of open and aborted transactions are left out.
        partitions: the numbers of the partitions that are read; None for all.
        unreadable: whether `poll` returns an `UnreadableBatch` in the place of a batch that cannot be read.
        on_truncated: called before topics are read again because one of them was made anew, or lost its end.

    Attributes:
        positions: by partition, the offset after the last record that `poll` returned.
        ends: by partition, the end as the last answer of a broker told it; empty before the first answer.
    """

    def __init__(
        self,
        client_options: Mapping[str, Any],
        topics: Iterable[str],
        start: Start = from_beginning,
        *,
        retry: bool = False,
        committed_only: bool = True,
        partitions: Container[int] | None = None,
        unreadable: bool = False,
        on_truncated: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._client_options = dict(client_options)
        self._topics = tuple(topics)
        self._start = start
        self._retry = retry
        self._committed_only = committed_only
        self._numbers = partitions
        self._unreadable = unreadable
        self._on_truncated = on_truncated
        self._consumer: AIOKafkaConsumer | None = None
        self._seen: set[str] = set()
        self._pause_s = _FIRST_PAUSE_S
        self._said_at = float("-inf")
        self._handled: Mapping[TopicPartition, int] = {}
        self._polled = asyncio.Event()
        self.positions: dict[TopicPartition, int] = {}
        self.ends: dict[TopicPartition, int] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._disconnect()

    @property
    def at_end(self) -> bool:
        """Whether `poll` has returned everything that was published when a broker last answered."""
        return bool(self.ends) and all(
            position >= self.ends.get(tp, position + 1) for tp, position in self.positions.items()
        )

    async def connect(self) -> None:
        """Connect now. Whoever reads from the end misses no record that is published after this returns.

        Raises:
            TopicMissingError: a topic is not there.
            KafkaError: the brokers cannot be reached, or refuse.
        """
        consumer = AIOKafkaConsumer(
            **self._client_options,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed" if self._committed_only else "read_uncommitted",
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
        )
        try:
            await consumer.start()
            partitions = await self._partitions(consumer)
            consumer.assign(partitions)
            if not self.positions:
                self.positions = dict(await self._start(consumer, partitions))
            for tp in partitions:
                consumer.seek(tp, self.positions.setdefault(tp, 0))
        except BaseException:
            await stop_consumer(consumer)
            raise
        self._consumer = consumer
        self._seen = set()

    async def poll(
        self, timeout_s: float = _POLL_S, max_records: int | None = None
    ) -> dict[TopicPartition, list[Record]]:
        """The records that arrived, by partition; empty if none did within the time.

        Raises:
            KafkaError: see `connect`; not with `retry`.
            OSError: as above.
        """
        # The caller is done with the records of its last call.
        self._handled = dict(self.positions)
        self._polled.set()
        try:
            found = await self._fetch(timeout_s, max_records)
        except (KafkaError, OSError) as error:
            await self._disconnect()
            if not self._retry:
                raise
            self._say("cannot be read, and this is tried again: %s", str(error) or type(error).__name__)
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(_LONGEST_PAUSE_S, 2 * self._pause_s)
            return {}
        self._pause_s = _FIRST_PAUSE_S
        return found

    async def next_records(self, timeout_s: float = _POLL_S) -> list[Record]:
        """As `poll`, of all partitions together, sorted by timestamp."""
        batches = await self.poll(timeout_s)
        return sorted(
            (record for batch in batches.values() for record in batch), key=lambda record: record.timestamp
        )

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Go on at another offset of a partition; allowed between two calls of `poll`."""
        self.positions[tp] = offset
        if self._consumer is not None:
            self._consumer.seek(tp, offset)

    async def handled_all(self) -> None:
        """Wait until everything that is published now was polled, and `poll` was called once more.

        It is for other tasks than the one that polls. The caller sets a time limit.

        Raises:
            KafkaError: the brokers do not tell how much is published.
        """
        while (consumer := self._consumer) is None:
            await self._next_poll()
        ends = await consumer.end_offsets(list(self.positions))
        while any(self._handled.get(tp, 0) < end for tp, end in ends.items()):
            await self._next_poll()

    async def _next_poll(self) -> None:
        self._polled.clear()
        await self._polled.wait()

    async def _fetch(self, timeout_s: float, max_records: int | None) -> dict[TopicPartition, list[Record]]:
        if self._consumer is None:
            await self.connect()
        consumer = self._consumer
        assert consumer is not None
        self._require_topics(consumer)
        try:
            batches = await consumer.getmany(timeout_ms=int(timeout_s * 1000), max_records=max_records)
        except OffsetOutOfRangeError as error:
            await self._leave_lost_offsets(consumer, error.args[0])
            return {}
        for tp in self.positions:
            self.positions[tp] = await consumer.position(tp)
            end = self._end(consumer, tp)
            if end is not None:
                self.ends[tp] = end
        if self._unreadable:
            return batches
        readable = {tp: self._readable(batch) for tp, batch in batches.items()}
        return {tp: batch for tp, batch in readable.items() if batch}

    async def _partitions(self, consumer: AIOKafkaConsumer) -> list[TopicPartition]:
        # All topics are asked for: naming one that is missing would create it where auto-creation is on. The
        # consumer's own `topics()` gives their names only.
        cluster = await consumer._client.fetch_all_metadata()  # noqa: SLF001
        partitions: list[TopicPartition] = []
        for topic in self._topics:
            numbers = cluster.partitions_for_topic(topic)
            if not numbers:
                raise TopicMissingError(topic)
            chosen = [
                number for number in sorted(numbers) if self._numbers is None or number in self._numbers
            ]
            partitions += [TopicPartition(topic, number) for number in chosen]
        return partitions

    def _require_topics(self, consumer: AIOKafkaConsumer) -> None:
        """Raise an error if a topic was deleted: aiokafka asks for it without a pause, and logs that each time."""
        for topic in self._topics:
            if consumer.partitions_for_topic(topic) is not None:
                self._seen.add(topic)
            elif topic in self._seen:
                raise TopicMissingError(topic)

    def _end(self, consumer: AIOKafkaConsumer, tp: TopicPartition) -> int | None:
        """The end, as the answer to the last fetch told it. A request for it would fail on a topic that is new."""
        end: int | None = consumer.highwater(tp)
        if self._committed_only:
            stable = consumer.last_stable_offset(tp)
            # A broker without transactions does not tell it.
            if end is not None and stable is not None and stable >= 0:
                return min(end, int(stable))
        return end

    def _readable(self, batch: list[Record]) -> list[Record]:
        for record in batch:
            if isinstance(record, UnreadableBatch):
                self._say("has records that are skipped: %s", record)
        return [record for record in batch if not isinstance(record, UnreadableBatch)]

    async def _leave_lost_offsets(
        self, consumer: AIOKafkaConsumer, lost: Mapping[TopicPartition, int]
    ) -> None:
        first: Mapping[TopicPartition, int] = await consumer.beginning_offsets(list(self.positions))
        if any(offset > first[tp] for tp, offset in lost.items()):
            _log.warning("%s: a topic was made anew, or lost its end; all are read again", self._names)
            if self._on_truncated is not None:
                await self._on_truncated()
            lost = first
        elif any(lost.values()):
            _log.warning("%s: records were deleted before they were read here", self._names)
        for tp in lost:
            self.seek(tp, first[tp])

    @property
    def _names(self) -> str:
        return ", ".join(self._topics)

    def _say(self, message: str, *arguments: object) -> None:
        """Log, at most once in ten seconds."""
        now = time.monotonic()
        if now - self._said_at >= _SILENCE_S:
            self._said_at = now
            _log.warning(f"%s {message}", self._names, *arguments)

    async def _disconnect(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stop_consumer(consumer)


@asynccontextmanager
async def follow(
    settings: Settings,
    topics: Sequence[str],
    *,
    from_oldest: bool,
    timeout_s: float = 30.0,
    say: Callable[[str], None] = say_on_stderr,
) -> AsyncIterator[Follower]:
    """A connected follower for a command. Its errors become sentences for the person at the terminal.

    Args:
        settings: where the brokers are.
        topics: full names.
        from_oldest: start with the oldest record kept instead of the next one to come.
        timeout_s: how long to wait for a broker.
        say: told when a wait begins.

    Raises:
        MissingError: no broker answers, or a topic is not there.
    """
    await wait_for_broker(settings, timeout_s, say)
    start = from_beginning if from_oldest else from_end
    try:
        async with Follower(settings.kafka_client_options(), topics, start) as follower:
            await follower.connect()
            yield follower
    except TopicMissingError as error:
        raise MissingError(
            f"{error.args[0]} at {settings.bootstrap_servers}; create ours with: ott topics create"
        ) from error
    except KafkaError as error:
        raise broker_trouble(settings, error) from error
