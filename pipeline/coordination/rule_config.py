"""Following `rule-config`: rule sets and pauses that operators publish reach this worker.

Outside of any consumer group, as every worker needs all of it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from mode import Service

from pipeline.coordination.pauses import PAUSE_KEY
from pipeline.coordination.revocations import PREFIX as REVOKED
from pipeline.coordination.revocations import Revocations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiokafka.structs import ConsumerRecord

    from pipeline.coordination.pauses import Pauses
    from pipeline.evaluation.rule_book import Refused, RuleBook

KEY: Final = b"ruleset"
_POLL_MS: Final = 500
_RETRY_S: Final = 5.0
_LIMIT_S: Final = 30.0
_log: Final = logging.getLogger(__name__)


class RuleConfig(Service):
    """Fills a rule book, pauses consuming, and learns which tokens were revoked.

    Args:
        book: to fill.
        pauses: of this worker.
        topic: full name.
        partitions: of it.
        client_options: bootstrap servers and security, as aiokafka names them.
    """

    def __init__(
        self,
        book: RuleBook,
        pauses: Pauses,
        topic: str,
        partitions: int,
        client_options: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self._book = book
        self.pauses = pauses
        self.revocations = Revocations()
        self._consumer: AIOKafkaConsumer | None = None
        self._stepped = asyncio.Event()
        self._topic = topic
        self._partitions = [TopicPartition(topic, partition) for partition in range(partitions)]
        self._client_options = dict(client_options)
        self._next: dict[TopicPartition, int] = {}
        self._read_once = asyncio.Event()

    async def read_once(self) -> None:
        """Return when what was published before the start is known; an agent calls this before it judges anything.

        There is no limit of time: a pause may stand there, and must not end because the topic cannot be read.
        """
        while not self._read_once.is_set():
            try:
                await asyncio.wait_for(self._read_once.wait(), _LIMIT_S)
            except TimeoutError:
                self.log.warning(
                    "%s could not be read for %g s; nothing is judged before, because a pause may stand there",
                    self._topic,
                    _LIMIT_S,
                )

    async def catch_up(self, seconds: float) -> bool:
        """Whether this worker has taken in, within some seconds, everything that is on the topic now."""
        try:
            async with asyncio.timeout(seconds):
                await self._read_once.wait()
                while (consumer := self._consumer) is None:
                    await self._next_step()
                ends = await consumer.end_offsets(self._partitions)
                while any(self._next.get(tp, 0) < end for tp, end in ends.items()):
                    await self._next_step()
        except (KafkaError, TimeoutError):
            return False
        return True

    async def _next_step(self) -> None:
        self._stepped.clear()
        await self._stepped.wait()

    @Service.task
    async def _fill(self) -> None:
        while not self.should_stop:
            try:
                await self._follow()
            except (KafkaError, OSError) as error:
                self.log.warning(
                    "%s cannot be read, the rule set stays; trying again in %g s: %s",
                    self._topic,
                    _RETRY_S,
                    str(error) or type(error).__name__,
                )
                await self.sleep(_RETRY_S)

    async def _follow(self) -> None:
        async with AIOKafkaConsumer(
            **self._client_options,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=_POLL_MS,
        ) as consumer:
            consumer.assign(self._partitions)
            if self._next:
                for tp, offset in self._next.items():
                    consumer.seek(tp, offset)
            else:
                await consumer.seek_to_beginning()
                self._offer(await self._all_so_far(consumer))
                await self._note_positions(consumer)
                self.revocations.complete = True
                self._read_once.set()
            self._consumer = consumer
            try:
                while not self.should_stop:
                    batches = await consumer.getmany(timeout_ms=_POLL_MS)
                    self._offer([record for batch in batches.values() for record in batch])
                    await self._note_positions(consumer)
            finally:
                self._consumer = None

    async def _note_positions(self, consumer: AIOKafkaConsumer) -> None:
        self._next = {tp: await consumer.position(tp) for tp in self._partitions}
        self._stepped.set()

    async def _all_so_far(self, consumer: AIOKafkaConsumer) -> list[ConsumerRecord[bytes, bytes]]:
        """What stands there at the start: of several rule sets that were not compacted yet only the last counts."""
        ends = await consumer.end_offsets(self._partitions)
        records: list[ConsumerRecord[bytes, bytes]] = []
        while not self.should_stop:
            positions = await asyncio.gather(*(consumer.position(tp) for tp in self._partitions))
            if all(position >= ends[tp] for tp, position in zip(self._partitions, positions, strict=True)):
                break
            batches = await consumer.getmany(timeout_ms=_POLL_MS)
            records += [record for batch in batches.values() for record in batch]
        return records

    def _offer(self, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        newest_pause = None
        for record in sorted(records, key=lambda record: (record.timestamp, record.offset)):
            if record.key == PAUSE_KEY:
                newest_pause = record
            elif record.key is not None and record.key.startswith(REVOKED):
                self.revocations.apply(record.key, record.offset)
            elif record.key == KEY:
                self._book.offer(record.value, record.timestamp, record.offset)
                if self._book.refused is None and self._book.newest is not None:
                    self.log.info("rule set %s was published", self._book.newest.version)
        if newest_pause is not None:
            # Only the last one counts: between two pauses nothing is to be judged.
            self.pauses.apply(newest_pause.value, newest_pause.offset)


def tell_refused(refused: Refused) -> None:
    """Say which rule set is not used, and why."""
    _log.error(
        "the rule set at offset %d of rule-config is refused, and the last good one stays: %s",
        refused.offset,
        refused.reason,
    )


def tell_unusable(reason: str) -> None:
    """Say that a rule set in force cannot be used any more."""
    _log.error(
        "%s; this worker judges with the rule set of its settings until a good one is published", reason
    )
