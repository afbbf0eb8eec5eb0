"""Follows `model-config`, so that the anomaly models that operators publish reach this worker."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from pipeline.coordination.followed import FollowedTopic
from pipeline.evaluation.model_book import examined, time_of, version_of_key
from pipeline.kafka.topics import MODEL_CONFIG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka.structs import ConsumerRecord

    from pipeline.evaluation.model_book import ModelBook, ModelInForce
    from pipeline.evaluation.rule_book import Refused
    from pipeline.settings.schema import Settings

PARTITION: Final = 0
"""The only partition that is written and read."""

_CATCH_UP_S: Final = 15.0
_TRY_AGAIN_S: Final = 1.0
_log: Final = logging.getLogger(__name__)


class ModelConfig(FollowedTopic):
    """Fills a model book.

    Args:
        book: gets every model and every publication.
        settings: say where the brokers are.
    """

    def __init__(self, book: ModelBook, settings: Settings) -> None:
        super().__init__(settings, settings.topic(MODEL_CONFIG.name))
        self._book = book

    async def wait_for(self, in_force: ModelInForce) -> None:
        """Wait until a batch can be judged. The risk agent calls this before each one.

        A partition may come from a worker that was ahead on the topic, with a model in force that this worker has not
        read yet. So the topic is read to its end first. What is not there then will never come.

        Args:
            in_force: the model in force in the partition.
        """
        await self.read_once()
        while self._book.lacks(in_force) and not await self.catch_up(_CATCH_UP_S):
            self.log.warning("model %s is in force, and %s cannot be read", in_force.version, self._topic)
            await asyncio.sleep(_TRY_AGAIN_S)

    async def take(self, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        """Take records in the order of their offsets: a model comes before the record that puts it in force."""
        for record in sorted(records, key=lambda record: record.offset):
            if record.partition != PARTITION:
                continue
            before = self._book.newest
            version, value, time = version_of_key(record.key), record.value, time_of(record.timestamp)
            if version is not None and value is not None:
                found = await asyncio.to_thread(examined, value, version)
                self._book.keep(version, value, found, time)
            else:
                self._book.offer(record.key, value, time, record.offset)
            newest = self._book.newest
            if newest is not None and newest != before:
                self.log.info("anomaly model %s was published", newest.version)


def log_refused_model(refused: Refused) -> None:
    """Log which model is not used, and why."""
    _log.error(
        "the model that was put in force at offset %d of model-config is refused, and the last good one stays: %s",
        refused.offset,
        refused.reason,
    )
