"""Watching the topics of a running worker: partitions added, topics deleted or made anew, partitions nobody has.

Kafka tells consumers and producers of none of these in a way that they could act on: a consumer does not read new
partitions, a deleted topic looks like a slow broker, and one that was made anew begins at offset 0 under the old name.
So every worker asks a broker every few seconds for the topics and compares them with those at its start.

1. A difference makes the worker not ready at once, with a reason in words, and is logged once.
2. A broker that has just come back may not know its topics yet, so only a difference that lasts ends the worker.
3. A difference that does no harm is logged, and the work goes on: a topic that is only written to may be made anew.
4. Partitions that no worker has, though nothing is wrong with the topics, make this worker ask for another assignment:
   the group's leader shared them out by metadata of a broker that did not know the topics yet.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

from aiokafka.errors import KafkaError
from faust.types import TP
from mode import Service

from pipeline.delivery.assignment.topic_metadata import Found, TopicMetadata
from pipeline.delivery.errors import TopicError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from faust.assignor.partition_assignor import PartitionAssignor

    from pipeline.delivery.runtime import Runtime

LOOK_SECONDS = 5.0
PATIENCE_SECONDS = 15.0
"""How long a difference must last before it ends the worker. With two looks it ends within 25 seconds."""


class TopologyWatch(Service):
    """Compares the topics with those at the start; see the module.

    Args:
        runtime: the application.
        expected: partition counts at the start, of all topics that this worker uses.
    """

    mundane_level = "debug"

    def __init__(self, runtime: Runtime, expected: Mapping[str, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._runtime = runtime
        self.trouble: str | None = None
        """Why this worker is not ready; None while nothing is wrong with the topics or the assignment."""
        self.unread: dict[TP, int] = {}
        """How many records lie in partitions that were added to source topics and that nobody reads."""
        self._expected = dict(expected)
        self._ids: dict[str, bytes] = {}
        self._since: dict[str, float] = {}
        self._grown: dict[str, int] = {}
        self._without_worker_in: int | None = None

    @Service.task
    async def _watch(self) -> None:
        metadata = TopicMetadata(self._runtime.client_options, self._runtime.conf.broker_request_timeout)
        try:
            while not self.should_stop:
                try:
                    found = await metadata.ask(self._expected)
                except (KafkaError, TimeoutError, OSError) as error:
                    # The delivery tells of brokers that are away.
                    self.log.debug("topics are not known now: %s", error)
                else:
                    await self._compare(found)
                await self.sleep(LOOK_SECONDS)
        finally:
            await metadata.close()

    async def _compare(self, found: Mapping[str, Found]) -> None:
        differences = {
            topic: difference
            for topic, now in found.items()
            if (difference := self._difference(topic, now)) is not None
        }
        now = time.monotonic()
        self._since = {topic: self._since.get(topic, now) for topic in differences}
        await self._count_unread(found)
        if not differences:
            await self._look_for_partitions_without_worker()
            return
        trouble = f"{', '.join(differences.values())}: {self._way_out(found, differences)}"
        self._say(trouble)
        if now - min(self._since.values()) >= PATIENCE_SECONDS:
            await self._runtime.crash(TopicError(trouble))

    def _say(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self.trouble:
            self.log.error("not ready: %s", trouble)
        elif trouble is None and self.trouble is not None:
            self.log.info("topics and partitions are as they should be again")
        self.trouble = trouble

    # -- topics

    def _difference(self, topic: str, now: Found) -> str | None:
        """What is wrong with a topic; None where work can go on."""
        expected = self._expected[topic]
        only_written = topic in self._runtime.options.only_written
        if not now.partitions:
            return f"topic {topic} was deleted"
        if now.partitions < expected or (now.partitions > expected and not only_written):
            return f"topic {topic} has {now.partitions} partitions, {expected} when this worker started"
        if now.topic_id is not None:
            first = self._ids.setdefault(topic, now.topic_id)
            if first != now.topic_id and not only_written:
                return f"topic {topic} was deleted and made anew"
            self._ids[topic] = now.topic_id
            if first != now.topic_id:
                self.log.warning(
                    "topic %s was deleted and made anew; what was on it is gone, work goes on", topic
                )
        if now.partitions > expected and self._grown.get(topic) != now.partitions:
            self._grown[topic] = now.partitions
            self.log.warning(
                "topic %s has %d partitions now; this worker goes on writing to the first %d until it is started again",
                topic,
                now.partitions,
                expected,
            )
        return None

    def _way_out(self, found: Mapping[str, Found], topics: Iterable[str]) -> str:
        """What a person has to do about these topics."""
        with_state = [topic for topic in topics if self._has_state(topic)]
        if not with_state:
            return "start the workers again; they create what is missing and take what there is"
        count = max(found[topic].partitions for topic in with_state)
        if count > max(self._expected[topic] for topic in with_state):
            return (
                f"keys belong to other partitions now; give all topics {count} partitions and start with "
                f"OTT_PARTITIONS={count}, a new OTT_APP_ID and an empty state directory, or use a new OTT_TOPIC_PREFIX "
                "and OTT_APP_ID"
            )
        return (
            "tables and offsets belong to the records that are gone; start with a new OTT_APP_ID and an empty state "
            "directory"
        )

    def _has_state(self, topic: str) -> bool:
        """Whether tables or offsets depend on what is on a topic."""
        return self._runtime.has_state(topic)

    async def _count_unread(self, found: Mapping[str, Found]) -> None:
        added = [
            TP(topic, partition)
            for topic, now in found.items()
            if self._runtime.is_batch_topic(topic)
            for partition in range(self._expected[topic], now.partitions)
        ]
        try:
            self.unread = await self._runtime.consumer.thread.ends(added) if added else {}
        except (KafkaError, TimeoutError) as error:
            self.log.debug("ends of new partitions are not known now: %s", error)

    # -- the assignment

    async def _look_for_partitions_without_worker(self) -> None:
        """Ask for another assignment, if one left partitions out at two looks."""
        runtime = self._runtime
        generation = runtime.consumer_generation_id
        without_worker = [] if runtime.rebalancing else self._without_worker()
        if not without_worker:
            self._without_worker_in = None
            self._say(None)
            return
        names = ", ".join(without_worker)
        self._say(f"no worker has partitions of {names}; asking for another assignment")
        if self._without_worker_in == generation:
            self.log.warning("assignment %d left out %s; asking for another one", generation, names)
            await runtime.consumer.thread.rejoin()
        self._without_worker_in = generation

    def _without_worker(self) -> list[str]:
        """The topics of which the last assignment gave partitions to nobody."""
        assignor = cast("PartitionAssignor", self._runtime.assignor)
        assigned: dict[str, set[int]] = {}
        for distribution in (assignor.changelog_distribution, assignor.external_topic_distribution):
            for topics in distribution.values():
                for topic, partitions in topics.items():
                    assigned.setdefault(topic, set()).update(partitions)
        if not assignor.changelog_distribution:
            return []  # there was no assignment yet
        return [
            topic
            for topic, count in self._expected.items()
            if self._has_state(topic) and len(assigned.get(topic, ())) < count
        ]
