"""Where no worker has judged, a replay merges rule sets and requests with the events by their timestamps on Kafka."""

import asyncio
import json
import time
from collections import Counter, defaultdict

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from pipeline.assembly import build_evaluator
from pipeline.evaluation.batch import PartitionState, evaluate_batch
from pipeline.evaluation.source import PlainRecord
from pipeline.judging.file import AllUsers
from pipeline.kafka.topics import ensure_topics
from pipeline.rules.ruleset import built_in, parse_ruleset
from tests.stream.events import generated
from tests.stream.harness import Stored, Stream
from tests.stream.test_replay import V2, lines, ott, request

EVENTS = 1_500
RULES, REQUEST, EVENT = range(3)


def merged(stream: Stream) -> dict[int, list[tuple[int, int, int, Stored]]]:
    """By partition, everything that counts there: timestamp, kind, offset and record, sorted."""
    found: dict[int, list[tuple[int, int, int, Stored]]] = defaultdict(list)
    for name, kind in (("raw-events", EVENT), ("privacy-requests", REQUEST)):
        for record in stream.read(stream.topic(name)):
            found[record.partition].append((record.timestamp, kind, record.offset, record))
    for record in stream.read(stream.topic("rule-config")):
        for partition in range(stream.partitions):
            found[partition].append((record.timestamp, RULES, record.offset, record))
    return {partition: sorted(found[partition]) for partition in sorted(found)}


def judged_in_order(stream: Stream) -> list[bytes]:
    """The verdicts of one record after the other."""
    verdicts: list[bytes] = []
    for records in merged(stream).values():
        evaluator, users, state = build_evaluator(stream.settings), AllUsers(), PartitionState()
        for _, kind, _, one in records:
            if kind == RULES:
                evaluator.ruleset = (
                    built_in() if one.value is None else parse_ruleset(one.value.decode(), "rules")
                )
                continue
            record = PlainRecord(one.topic, one.partition, one.offset, one.timestamp, one.key, one.value)
            outputs = evaluate_batch(evaluator, [record], users, state, one.topic, requests=kind == REQUEST)
            verdicts += [value for _, value in outputs.flagged]
    return verdicts


def test_requests_and_rule_sets_take_effect_at_their_time(stream: Stream) -> None:
    asyncio.run(ensure_topics(stream.settings))
    events = [(None, key, value) for _, key, value in generated(EVENTS, 61).events if key is not None]
    users = sorted({key for _, key, _ in events})[:30]
    third = len(events) // 3
    stream.write("privacy-requests", [request(n, user) for n, user in enumerate(users[:10])])
    stream.write("raw-events", events[:third])
    time.sleep(0.05)
    stream.write("privacy-requests", [request(n, user) for n, user in enumerate(users)])
    stream.write("rule-config", [(None, b"ruleset", json.dumps(V2).encode())])
    time.sleep(0.05)
    stream.write("raw-events", events[third : 2 * third])
    time.sleep(0.05)
    stream.write("rule-config", [(None, b"ruleset", None)])
    stream.write("raw-events", events[2 * third :])
    output = stream.directory / "merged.jsonl"
    accounts = json.loads(ott(stream, "replay", "--output", output, "--no-subjects", "--json").stdout)
    assert accounts["requests"] == 40
    versions = [json.loads(value)["ruleset_version"] for value in lines(output)]
    assert set(versions) == {"built-in/1", "v2"}
    assert lines(output) == judged_in_order(stream)


def test_a_range_that_kafka_has_deleted_is_refused_and_from_the_oldest_record_is_not(stream: Stream) -> None:
    asyncio.run(ensure_topics(stream.settings))
    events = [(None, key, value) for _, key, value in generated(400, 62).events if key is not None]
    stream.write("raw-events", events)
    admin = AdminClient({"bootstrap.servers": stream.servers})
    topic = stream.topic("raw-events")
    ((partition, _),) = Counter(record.partition for record in stream.read(topic)).most_common(1)
    for done in admin.delete_records([TopicPartition(topic, partition, 10)]).values():
        done.result(15)
    output = stream.directory / "some.jsonl"
    refused = ott(stream, "replay", "--from", "2020-01-01T00:00:00Z", "--output", output, status=3)
    assert f"{topic}/{partition} keeps nothing from before 2020-01-01T00:00:00.000Z" in refused.stderr
    assert not list(stream.directory.glob("some*"))
    accounts = json.loads(ott(stream, "replay", "--output", output, "--no-subjects", "--json").stdout)
    assert accounts["read"] == len(events) - 10
