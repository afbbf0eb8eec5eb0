"""Watching the topics of a running worker: added partitions, deleted or recreated topics, unassigned partitions.

Kafka reports none of these in a way that a client could act on. A consumer does not read new partitions, a deleted
topic looks like a slow broker, and a recreated topic begins at offset 0 under the old name. So every worker asks a
broker for the topics every few seconds, and compares them with those at its start.

1. A difference makes the worker not ready at once, and is logged once with its reason.
2. Only a lasting difference ends the worker, because a broker that has just restarted may not know its topics yet.
3. A harmless difference is logged, and the worker continues: a topic that is only written to may be recreated.
4. If no worker has some partitions although the topics are as expected, this worker asks for another assignment. The
   group's leader had assigned them by the metadata of a broker that did not know the topics yet.
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
"""How long a difference must last before it ends the worker: within 25 seconds, as looks are 5 seconds apart."""


class TopologyWatch(Service):
    """Compares the topics with those at the start, see above.

    Args:
        runtime: the application.
        expected: partition counts at the start, for all topics that this worker uses.
    """

    mundane_level = "debug"

    def __init__(self, runtime: Runtime, expected: Mapping[str, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._runtime = runtime
        self.trouble: str | None = None
        """Why this worker is not ready; None while the topics and the assignment are as expected."""
        self.unread: dict[TP, int] = {}
        """Number of records in partitions that were added to source topics and that nobody reads."""
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
                    # The consumer already logs that brokers are away.
                    self.log.debug("the brokers do not list the topics now: %s", error)
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
        self._report(trouble)
        if now - min(self._since.values()) >= PATIENCE_SECONDS:
            await self._runtime.crash(TopicError(trouble))

    def _report(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self.trouble:
            self.log.error("not ready: %s", trouble)
        elif trouble is None and self.trouble is not None:
            self.log.info("topics and partitions are as expected again")
        self.trouble = trouble

    # -- topics

    def _difference(self, topic: str, now: Found) -> str | None:
        """What is wrong with a topic; None if the worker can continue."""
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
                    "topic %s was deleted and made anew; its records are gone, the worker continues", topic
                )
        if now.partitions > expected and self._grown.get(topic) != now.partitions:
            self._grown[topic] = now.partitions
            self.log.warning(
                "topic %s has %d partitions now; this worker writes to the first %d until it is restarted",
                topic,
                now.partitions,
                expected,
            )
        return None

    def _way_out(self, found: Mapping[str, Found], topics: Iterable[str]) -> str:
        """What to do about these topics."""
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
            self.log.debug("the brokers do not tell the ends of new partitions now: %s", error)

    # -- the assignment

    async def _look_for_partitions_without_worker(self) -> None:
        """Ask for another assignment, if the same one left out partitions at two looks."""
        runtime = self._runtime
        generation = runtime.consumer_generation_id
        without_worker = [] if runtime.rebalancing else self._without_worker()
        if not without_worker:
            self._without_worker_in = None
            self._report(None)
            return
        names = ", ".join(without_worker)
        self._report(f"no worker has partitions of {names}; asking for another assignment")
        if self._without_worker_in == generation:
            self.log.warning("assignment %d left out %s; asking for another one", generation, names)
            await runtime.consumer.thread.rejoin()
        self._without_worker_in = generation

    def _without_worker(self) -> list[str]:
        """The topics with partitions that the last assignment gave to nobody."""
        assignor = cast("PartitionAssignor", self._runtime.assignor)
        assigned: dict[str, set[int]] = {}
        for distribution in (assignor.changelog_distribution, assignor.external_topic_distribution):
            for topics in distribution.values():
                for topic, partitions in topics.items():
                    assigned.setdefault(topic, set()).update(partitions)
        if not assignor.changelog_distribution:
            return []  # there has been no assignment yet
        return [
            topic
            for topic, count in self._expected.items()
            if self._has_state(topic) and len(assigned.get(topic, ())) < count
        ]
