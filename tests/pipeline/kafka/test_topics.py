"""Topics are created as the contract has them, and differences are told."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.errors import MissingError, RefusedError
from pipeline.kafka.topics import BY_USER, RAW_EVENTS, TOPICS, Difference, check_topics, ensure_topics
from pipeline.settings.schema import load_settings

DAY_MS = 24 * 3600 * 1000
NAMES = [topic.name for topic in TOPICS]


def settings_for(servers, prefix, **flags):
    return load_settings({"bootstrap_servers": servers, "topic_prefix": prefix, "partitions": 3, **flags}, {})


async def create(servers, name, partitions, configs=None):
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=configs or {})])
        # Apache Kafka answers before its metadata knows the topic.
        while name not in await admin.list_topics():  # noqa: ASYNC110 - a cluster's state has no event
            await asyncio.sleep(0.05)
    finally:
        await admin.close()


def test_the_topics_are_those_of_the_contract():
    expected = {
        "raw-events": ("delete", 7 * DAY_MS, "LogAppendTime"),
        "raw-events-rekeyed": ("delete", 7 * DAY_MS, "LogAppendTime"),
        "privacy-requests": ("delete", -1, "CreateTime"),
        "flagged-events": ("delete", 30 * DAY_MS, "CreateTime"),
        "failed-events": ("delete", 30 * DAY_MS, "CreateTime"),
        "risk-alerts": ("compact", None, "CreateTime"),
        "health-partials": ("delete", DAY_MS, "CreateTime"),
        "rule-config": ("compact", None, "CreateTime"),
        "model-config": ("compact", None, "CreateTime"),
        "control-journal": ("delete", 7 * DAY_MS, "CreateTime"),
        "audit-trail": ("delete", 730 * DAY_MS, "LogAppendTime"),
    }
    assert {t.name: (t.cleanup, t.retention_ms, t.timestamps) for t in TOPICS} == expected
    assert [t.name for t in TOPICS if t.copartitioned == BY_USER] == NAMES[:3]


@pytest.mark.parametrize(("replicas", "in_sync"), [(1, None), (2, None), (3, "2"), (5, "2")])
def test_two_replicas_must_be_in_sync_where_one_of_three_may_be_lost(replicas, in_sync):
    assert RAW_EVENTS.configs(replicas).get("min.insync.replicas") == in_sync


async def test_missing_topics_are_created_and_then_nothing_differs(any_broker, topic_prefix):
    settings = settings_for(any_broker, topic_prefix)
    missing = await check_topics(settings)
    assert missing == [Difference(topic_prefix + name, "topic", "present", "missing") for name in NAMES]

    report = await ensure_topics(settings)
    assert sorted(report.created) == sorted(topic_prefix + name for name in NAMES)
    assert report.existing == ()
    assert report.partitions == {topic_prefix + name: 3 for name in NAMES}
    assert await check_topics(settings) == []

    again = await ensure_topics(settings)
    assert again.created == ()
    assert again.existing == tuple(topic_prefix + name for name in NAMES)


async def test_only_what_is_missing_is_created(any_broker, topic_prefix):
    settings = settings_for(any_broker, topic_prefix)
    await create(any_broker, topic_prefix + "flagged-events", 1)
    report = await ensure_topics(settings)
    assert report.existing == (topic_prefix + "flagged-events",)
    assert report.partitions[topic_prefix + "flagged-events"] == 1


async def test_a_topic_with_another_count_than_its_peers_is_refused_before_anything_is_created(
    any_broker, topic_prefix
):
    settings = settings_for(any_broker, topic_prefix)
    await create(any_broker, topic_prefix + "raw-events", 3)
    await create(any_broker, topic_prefix + "privacy-requests", 5)
    with pytest.raises(RefusedError) as caught:
        await ensure_topics(settings)
    message = caught.value.message
    assert (
        f"topic {topic_prefix}privacy-requests has 5 partitions and {topic_prefix}raw-events has 3" in message
    )
    assert "delete or rename" in message
    left = {difference.topic for difference in await check_topics(settings) if difference.what == "topic"}
    assert len(left) == len(NAMES) - 2


async def test_a_topic_that_the_settings_count_would_not_fit_says_which_count_would(any_broker, topic_prefix):
    await create(any_broker, topic_prefix + "raw-events", 5)
    with pytest.raises(RefusedError) as caught:
        await ensure_topics(settings_for(any_broker, topic_prefix))
    assert f"topic {topic_prefix}raw-events has 5 partitions" in caught.value.message
    assert f"{topic_prefix}raw-events-rekeyed would be created with 3" in caught.value.message
    assert caught.value.message.endswith("set OTT_PARTITIONS=5")
    report = await ensure_topics(settings_for(any_broker, topic_prefix, partitions=5))
    assert set(report.partitions.values()) == {5}


async def test_check_names_what_differs(any_broker, topic_prefix):
    name = topic_prefix + "flagged-events"
    await create(any_broker, name, 2, {"cleanup.policy": "compact", "retention.ms": "1000"})
    settings = settings_for(any_broker, topic_prefix)
    differences = {d.what: (d.expected, d.found) for d in await check_topics(settings) if d.topic == name}
    assert differences == {
        "partition count": ("3", "2"),
        "cleanup.policy": ("delete", "compact"),
        "retention.ms": (str(30 * DAY_MS), "1000"),
    }


async def test_a_configuration_that_was_left_to_the_broker_is_no_difference_where_it_is_not_reported(
    embedded_broker, topic_prefix
):
    await create(embedded_broker, topic_prefix + "raw-events", 3)
    settings = settings_for(embedded_broker, topic_prefix)
    assert [d for d in await check_topics(settings) if d.topic.endswith("raw-events")] == []


async def test_a_configuration_that_was_left_to_the_broker_is_a_difference_where_it_is_reported(
    apache_kafka, topic_prefix
):
    await create(apache_kafka, topic_prefix + "raw-events", 3)
    differences = await check_topics(settings_for(apache_kafka, topic_prefix))
    timestamps = Difference(
        topic_prefix + "raw-events", "message.timestamp.type", "LogAppendTime", "CreateTime"
    )
    assert timestamps in differences


async def test_a_replication_factor_that_the_cluster_cannot_give_is_told(apache_kafka, topic_prefix):
    with pytest.raises(MissingError, match=r"7 replicas cannot be created .* OTT_REPLICATION_FACTOR"):
        await ensure_topics(settings_for(apache_kafka, topic_prefix, replication_factor=7))


async def test_an_unreachable_broker_is_named_after_a_bounded_wait(free_port):
    said = []
    settings = settings_for(f"127.0.0.1:{free_port}", "")
    with pytest.raises(MissingError, match=f"no Kafka broker answers at 127.0.0.1:{free_port}") as caught:
        await ensure_topics(settings, 0.6, said.append)
    assert "connection refused" in caught.value.message
    assert said == [f"waiting up to 0.6 s for a Kafka broker at 127.0.0.1:{free_port} (connection refused)"]


async def test_what_does_not_speak_kafka_is_told(silent_port):
    settings = settings_for(f"127.0.0.1:{silent_port}", "")
    with pytest.raises(MissingError, match="does not answer as Kafka"):
        await check_topics(settings, 1)
