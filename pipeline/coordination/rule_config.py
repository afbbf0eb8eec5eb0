"""Follows `rule-config`, so that rule sets, pauses and revocations that operators publish reach this worker."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from pipeline.coordination.followed import FollowedTopic
from pipeline.coordination.pauses import PAUSE_KEY
from pipeline.coordination.revocations import PREFIX as REVOKED
from pipeline.coordination.revocations import Revocations
from pipeline.kafka.topics import RULE_CONFIG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka.structs import ConsumerRecord

    from pipeline.coordination.pauses import Pauses
    from pipeline.evaluation.rule_book import Refused, RuleBook
    from pipeline.settings.schema import Settings

KEY: Final = b"ruleset"
_log: Final = logging.getLogger(__name__)


class RuleConfig(FollowedTopic):
    """Fills a rule book, pauses consuming, and learns which tokens were revoked.

    Nothing is judged before the topic was read: a pause may stand there.

    Args:
        book: gets every rule set.
        pauses: gets every pause.
        settings: say where the brokers are.
    """

    def __init__(self, book: RuleBook, pauses: Pauses, settings: Settings) -> None:
        super().__init__(settings, settings.topic(RULE_CONFIG.name))
        self._book = book
        self.pauses = pauses
        self.revocations = Revocations()
        self._newest_pause: ConsumerRecord[bytes, bytes] | None = None

    async def take(self, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        """Take records that arrived together."""
        for record in records:
            if record.key == PAUSE_KEY:
                self._newest_pause = record
            elif record.key is not None and record.key.startswith(REVOKED):
                self.revocations.apply(record.key, record.offset)
            elif record.key == KEY:
                self._book.offer(record.value, record.timestamp, record.offset)
                if self._book.refused is None and self._book.newest is not None:
                    self.log.info("rule set %s was published", self._book.newest.version)

    def took(self) -> None:
        """Apply the last one of several pauses: nothing must be judged between two of them."""
        self.revocations.complete = True
        pause, self._newest_pause = self._newest_pause, None
        if pause is not None:
            self.pauses.apply(pause.value, pause.offset)


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
