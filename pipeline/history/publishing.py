"""Publishing the output of a replay to a topic, each verdict once.

Verdicts go out in transactions. Each one also commits, for a consumer group of this replay alone, how many verdicts are
out. So a start that was killed goes on behind the last transaction that became visible.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError, for_code
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from pipeline.delivery.clients import new_producer, stop_producer
from pipeline.delivery.commit.packing import acknowledged, send_outputs
from pipeline.delivery.partitioner import partition_of
from pipeline.delivery.state.outputs import Output
from pipeline.errors import MissingError, UsageError
from pipeline.history.verdicts import lines_of, read_verdict
from pipeline.kafka.brokers import broker_trouble, connected_admin
from pipeline.kafka.topics import FLAGGED_EVENTS, TOPICS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline.settings.schema import Settings

_TOGETHER: Final = 5_000
"""The number of verdicts in a transaction."""
_WAIT_S: Final = 30.0
_REQUEST_S: Final = 15.0
_TRANSACTION_MS: Final = 60_000


async def require_target(settings: Settings, topic: str, *, live: bool) -> None:
    """Check that verdicts may be published to a topic, and make it if it is missing.

    Args:
        settings: where the brokers are, and how topics are made.
        topic: full name.
        live: whether it may be a topic of the application.

    Raises:
        UsageError: it is a topic of the application, and `live` does not say so.
        MissingError: no broker answers, or a broker refuses to make the topic.
    """
    # The application's changelogs and its own topics begin with its id.
    own = topic.startswith(f"{settings.app_id}-") or topic in {settings.topic(one.name) for one in TOPICS}
    if own and not live:
        raise UsageError(
            f"{topic} is a topic of the running application; name another one, or add --into-live"
        )
    async with connected_admin(settings, _WAIT_S) as admin:
        if any(one["topic"] == topic for one in await admin.describe_topics()):
            return
        new = NewTopic(
            topic,
            settings.partitions,
            settings.replication_factor,
            topic_configs=FLAGGED_EVENTS.configs(settings.replication_factor),
        )
        answer: Any = await admin.create_topics([new])
        for name, code, *_ in answer.topic_errors:
            if code:
                raise MissingError(
                    f"topic {name} cannot be created at {settings.bootstrap_servers}: {for_code(code).__name__}"
                )


async def publish(settings: Settings, path: Path, topic: str, replay: str) -> None:
    """Publish the verdicts of a file, behind those that an earlier start has published.

    Args:
        settings: where the brokers are.
        path: of the file, which does not change any more.
        topic: full name; it exists.
        replay: the id of the replay. Transactions and the group have it in their names.

    Raises:
        MissingError: the brokers cannot be reached or refuse, or the file cannot be read.
    """
    group = f"ott-replay-{replay}"
    producer = new_producer(
        settings.kafka_client_options(),
        _REQUEST_S,
        transactional_id=group,
        transaction_timeout_ms=_TRANSACTION_MS,
    )
    try:
        # This ends an open transaction of a start that was killed, so the committed count is the final one.
        await producer.start()
        partitions = len(await producer.partitions_for(topic))
        # The place of the count among the group's offsets. No record has this meaning.
        place = TopicPartition(topic, 0)
        async with connected_admin(settings, _WAIT_S) as admin:
            committed = (await admin.list_consumer_group_offsets(group)).get(place)
        count = 0 if committed is None else max(0, committed.offset)
        lines = islice(lines_of(path), count, None)
        while some := list(islice(lines, _TOGETHER)):
            count += len(some)
            await producer.begin_transaction()
            sent = await send_outputs(
                producer, _outputs(topic, some), lambda _, key: partition_of(key, partitions)
            )
            await acknowledged(sent)
            await producer.send_offsets_to_transaction({place: OffsetAndMetadata(count, "")}, group)
            await producer.commit_transaction()
    except KafkaError as error:
        raise broker_trouble(settings, error) from error
    finally:
        await stop_producer(producer)


def _outputs(topic: str, lines: Iterable[bytes]) -> Iterable[Output]:
    """The records, with the keys that workers give them."""
    for line in lines:
        found = read_verdict(line)
        if found is not None:
            yield Output(topic, found.subject.partition(":")[2].encode(), line)
