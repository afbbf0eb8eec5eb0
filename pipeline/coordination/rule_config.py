"""Follows `rule-config`, so that rule sets, pauses and revocations that operators publish reach this worker.

Every worker needs all of them, so it reads the topic outside of any consumer group.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from aiokafka.errors import KafkaError
from mode import Service

from pipeline.coordination.pauses import PAUSE_KEY
from pipeline.coordination.revocations import PREFIX as REVOKED
from pipeline.coordination.revocations import Revocations
from pipeline.kafka.follower import Follower
from pipeline.kafka.topics import RULE_CONFIG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka.structs import ConsumerRecord

    from pipeline.coordination.pauses import Pauses
    from pipeline.evaluation.rule_book import Refused, RuleBook
    from pipeline.settings.schema import Settings

KEY: Final = b"ruleset"
_WARN_EVERY_S: Final = 30.0
_log: Final = logging.getLogger(__name__)


class RuleConfig(Service):
    """Fills a rule book, pauses consuming, and learns which tokens were revoked.

    Args:
        book: gets every rule set.
        pauses: gets every pause.
        settings: say where the brokers are.
    """

    def __init__(self, book: RuleBook, pauses: Pauses, settings: Settings) -> None:
        super().__init__()
        self._book = book
        self.pauses = pauses
        self.revocations = Revocations()
        self._topic = settings.topic(RULE_CONFIG.name)
        self._follower = Follower(settings.kafka_client_options(), [self._topic], retry=True)
        self._read_once = asyncio.Event()

    async def read_once(self) -> None:
        """Wait until everything that was published before the start is known. Agents call this before they judge.

        There is no time limit: a pause may stand on the topic, and it must not end because the topic cannot be read.
        """
        while not self._read_once.is_set():
            try:
                await asyncio.wait_for(self._read_once.wait(), _WARN_EVERY_S)
            except TimeoutError:
                self.log.warning(
                    "%s could not be read for %g s; nothing is judged before, because a pause may stand there",
                    self._topic,
                    _WARN_EVERY_S,
                )

    async def catch_up(self, seconds: float) -> bool:
        """Whether this worker takes in, within some seconds, everything that is on the topic now."""
        try:
            async with asyncio.timeout(seconds):
                await self._read_once.wait()
                await self._follower.handled_all()
        except (KafkaError, TimeoutError):
            return False
        return True

    @Service.task
    async def _follow(self) -> None:
        async with self._follower as follower:
            first: list[ConsumerRecord[bytes, bytes]] = []
            while not follower.at_end:
                first += await follower.next_records()
            # They are taken together: of several pauses that were not compacted yet only the last one counts.
            self._take(first)
            self.revocations.complete = True
            self._read_once.set()
            while True:
                self._take(await follower.next_records())

    def _take(self, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        newest_pause = None
        for record in sorted(records, key=lambda record: record.timestamp):
            if record.key == PAUSE_KEY:
                newest_pause = record
            elif record.key is not None and record.key.startswith(REVOKED):
                self.revocations.apply(record.key, record.offset)
            elif record.key == KEY:
                self._book.offer(record.value, record.timestamp, record.offset)
                if self._book.refused is None and self._book.newest is not None:
                    self.log.info("rule set %s was published", self._book.newest.version)
        if newest_pause is not None:
            # Only the last one counts: nothing must be judged between two pauses.
            self.pauses.apply(newest_pause.value, newest_pause.offset)


def log_refused(refused: Refused) -> None:
    """Log which rule set is not used, and why."""
    _log.error(
        "the rule set at offset %d of rule-config is refused, and the last good one stays: %s",
        refused.offset,
        refused.reason,
    )


def log_unusable(reason: str) -> None:
    """Log that a rule set in force cannot be used any more."""
    _log.error(
        "%s; this worker judges with the rule set of its settings until a good one is published", reason
    )
