"""Following a topic of which every worker needs all records: it is read outside of any consumer group."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiokafka.errors import KafkaError
from mode import Service

from pipeline.kafka.follower import Follower

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka.structs import ConsumerRecord

    from pipeline.settings.schema import Settings

_WARN_EVERY_S: Final = 30.0


class FollowedTopic(Service):
    """Reads a topic from its beginning, and goes on with what comes. A subclass says what is done with the records.

    Args:
        settings: say where the brokers are.
        topic: its full name.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        super().__init__()
        self._topic = topic
        self._follower = Follower(settings.kafka_client_options(), [topic], retry=True)
        self._read_once = asyncio.Event()

    async def take(self, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        """Take records that arrived together, sorted by timestamp."""
        raise NotImplementedError

    def took(self) -> None:
        """Called after `take`, but at the start only after everything that was there was taken."""

    async def read_once(self) -> None:
        """Wait until everything that was published before the start is known. Agents call this before they judge.

        There is no time limit, because nobody knows what stands on a topic that cannot be read.
        """
        while not self._read_once.is_set():
            try:
                await asyncio.wait_for(self._read_once.wait(), _WARN_EVERY_S)
            except TimeoutError:
                self.log.warning(
                    "%s could not be read for %g s, and nothing is judged before it is",
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
            while True:
                await self.take(await follower.next_records())
                if self._read_once.is_set() or follower.at_end:
                    self.took()
                    self._read_once.set()
