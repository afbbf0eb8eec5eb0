"""The risk agent on a plain state: what it publishes, and that a record reaches its user's partition once."""

import json
from typing import NamedTuple

import pytest
from aiokafka.structs import TopicPartition

from agents.risk import RiskAgent, RiskTopics
from pipeline.delivery.flow.fetched import UnreadableBatch
from pipeline.delivery.flow.rekeying import Misplaced, Origins
from pipeline.delivery.metrics import Metrics
from pipeline.delivery.partitioner import Partitioner
from pipeline.delivery.state.unit import State
from pipeline.evaluation.evaluator import Evaluator
from pipeline.evaluation.model_book import ModelBook
from pipeline.evaluation.rule_book import RuleBook
from pipeline.events.instants import format_instant
from pipeline.judging.file import AllUsers
from pipeline.rules.ruleset import built_in
from tables.risk import PARTITION_KEY, user_key
from tests.pipeline.evaluation.records import NOW, request
from tests.pipeline.events.messages import encoded

TOPICS = RiskTopics(
    "raw-events",
    "raw-events-rekeyed",
    "privacy-requests",
    "flagged-events",
    "failed-events",
    "control-journal",
)
PARTITIONS = 4
HOME = Partitioner(PARTITIONS)(b"user-1")
ELSEWHERE = (HOME + 1) % PARTITIONS


class Consumed(NamedTuple):
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple = ()
    timestamp_type: int = 1


class PlainState(State):
    """A state that is all in its cache."""

    def __init__(self, partition, partition_of):
        super().__init__(partition, partition_of)
        self.next_offsets = {}

    def load(self, key):  # noqa: ARG002 - nothing is stored elsewhere
        return None


class Worker:
    """An agent with the states of all partitions."""

    def __init__(self):
        self.metrics = Metrics()
        self.journal = []
        partitioner = Partitioner(PARTITIONS)
        self.states = [PlainState(number, partitioner) for number in range(PARTITIONS)]
        self.origins = Origins(bytes(32), self.metrics)
        misplaced = Misplaced(self.metrics, "user_id")
        self.agent = RiskAgent(
            Evaluator(built_in(), "1"),
            RuleBook(built_in()),
            ModelBook(),
            TOPICS,
            partitioner,
            misplaced,
            self.origins,
        )

    def handle(self, *records):
        outputs = self.agent.handle(self.states[records[0].partition], records)
        self.journal += [json.loads(output.value) for output in outputs if output.topic == TOPICS.journal]
        return [output for output in outputs if output.topic != TOPICS.journal]

    def poison(self, record, error):
        return self.agent.poison(self.states[record.partition], record, error)

    def user(self, partition=HOME):
        return self.states[partition].get(user_key("user-1"))


@pytest.fixture
def worker():
    return Worker()


def event(offset=0, partition=HOME, key=b"user-1", **changes):
    return Consumed("raw-events", partition, offset, NOW, key, encoded(**changes), (("trace", b"7"),))


def asked(kind, partition=HOME, **changes):
    return Consumed("privacy-requests", partition, 5, NOW, b"user-1", request(kind, **changes).value)


def arrives(output, offset=99):
    """A published record as its partition's consumer gets it, later."""
    return Consumed(
        output.topic,
        output.partition,
        offset,
        NOW + 10**6,
        output.key,
        output.value,
        tuple(output.headers),
    )


def test_verdicts_and_failed_events_go_to_their_topics_with_their_keys(worker):
    outputs = worker.handle(event(is_eu=False), event(1, key=b"k", region="x"), event(2, event_id="event-2"))
    assert [(output.topic, output.key) for output in outputs] == [
        ("flagged-events", b"user-1"),
        ("failed-events", b"k"),
    ]
    assert json.loads(outputs[0].value)["source"] == {"topic": "raw-events", "partition": HOME, "offset": 0}
    assert len(worker.user().window) == 2
    partition = worker.states[HOME][PARTITION_KEY]
    assert (partition.counts["judged"], partition.counts["failed"]) == (2, 1)
    assert partition.times == {"raw-events": NOW}


def test_what_changed_is_to_be_stored(worker):
    worker.handle(event())
    assert {user_key("user-1"), PARTITION_KEY} <= worker.states[HOME].dirty


def test_a_misplaced_event_is_forwarded_once_and_judged_where_its_user_is(worker):
    (output,) = worker.handle(event(7, ELSEWHERE, key=None, is_eu=False))
    assert (output.topic, output.partition, output.key) == ("raw-events-rekeyed", HOME, None)
    assert output.value == encoded(is_eu=False)
    assert worker.user(ELSEWHERE) is None
    assert worker.metrics.rekeyed == {"raw-events": 1}
    assert worker.states[ELSEWHERE][PARTITION_KEY].times == {}
    forwarded = arrives(output)
    assert ("trace", b"7") in forwarded.headers
    assert worker.origins.of(forwarded) == ("raw-events", ELSEWHERE, 7, NOW)
    (verdict,) = worker.handle(forwarded)
    assert verdict.topic == "flagged-events"
    # Where it was first written counts, and so does its first timestamp.
    assert json.loads(verdict.value)["source"] == {"topic": "raw-events", "partition": ELSEWHERE, "offset": 7}
    assert worker.user().last_record_time == NOW
    assert worker.states[HOME][PARTITION_KEY].times == {"raw-events-rekeyed": NOW}


def test_a_misplaced_event_has_the_verdict_of_one_that_came_directly(worker):
    (output,) = worker.handle(event(7, ELSEWHERE, is_eu=False))
    (forwarded,) = worker.handle(arrives(output))
    direct = Evaluator(built_in(), "1").judge(event(7, ELSEWHERE, is_eu=False), AllUsers())
    assert forwarded.value == direct.published


@pytest.mark.parametrize("topic", ["raw-events", "raw-events-rekeyed"])
def test_an_origin_that_a_producer_invents_does_not_count(worker, topic):
    names = ("origin-topic", "origin-partition", "origin-offset", "origin-timestamp")
    headers = tuple(zip(names, (b"raw-events", b"3", b"9" * 200, b"1"), strict=True))
    forged = event(7, is_eu=False)._replace(topic=topic, headers=headers)
    (verdict,) = worker.handle(forged)
    assert json.loads(verdict.value)["source"] == {"topic": topic, "partition": HOME, "offset": 7}
    assert worker.user().last_record_time == NOW


def test_a_copy_of_a_proof_on_the_topic_of_producers_does_not_count(worker):
    (output,) = worker.handle(event(7, ELSEWHERE, is_eu=False))
    copied = arrives(output)._replace(topic="raw-events", timestamp=NOW)
    (verdict,) = worker.handle(copied)
    assert json.loads(verdict.value)["source"] == {"topic": "raw-events", "partition": HOME, "offset": 99}


def test_keys_that_nobody_limits_do_not_stop_failed_events(worker):
    (failed,) = worker.handle(event(7, key=b"\x00" * 900_000, region="x"))
    assert len(failed.key) == 1_024
    assert failed.size < 1_000_000


def test_an_invalid_event_fails_where_it_is_read(worker):
    (output,) = worker.handle(event(7, ELSEWHERE, region="x"))
    assert output.topic == "failed-events"
    assert json.loads(output.value)["source"]["partition"] == ELSEWHERE


def test_a_forwarded_event_that_fails_names_its_origin(worker):
    worker.handle(event())
    (output,) = worker.handle(event(8, ELSEWHERE, region="DE"))
    (failed,) = worker.handle(arrives(output))
    shown = json.loads(failed.value)
    assert shown["reason"] == "duplicate_id_conflict"
    assert shown["source"] == {
        "topic": "raw-events",
        "partition": ELSEWHERE,
        "offset": 8,
        "timestamp": NOW,
        "key": "user-1",
    }


def test_requests_reach_the_privacy_record(worker):
    assert worker.handle(asked("delete")) == []
    assert worker.user().privacy.deletion.since == NOW - 1000
    (verdict,) = worker.handle(event())
    assert json.loads(verdict.value)["findings"][0]["rule_id"] == "retention.opt_out_ignored"
    assert worker.handle(asked("reinstate")) == []
    assert worker.handle(event(1, event_id="event-2")) == []


def test_only_a_request_that_took_effect_stands_in_the_journal(worker):
    worker.handle(asked("delete"))
    worker.handle(asked("forget"))
    worker.handle(asked("delete", ELSEWHERE))
    requests = [line for line in worker.journal if line["kind"] == "request"]
    assert [(line["partition"], line["offset"], line["id"]) for line in requests] == [(HOME, 0, "r1")]


def test_the_journal_says_where_rekeyed_events_were_judged(worker):
    (forwarded,) = worker.handle(event(7, ELSEWHERE))
    worker.states[HOME].next_offsets["raw-events"] = 12
    worker.handle(arrives(forwarded, offset=99))
    (line,) = [line for line in worker.journal if line["kind"] == "rekeyed"]
    assert (line["partition"], line["offset"], line["id"]) == (HOME, 12, "99")
    assert line["at"] == format_instant(NOW), "the time of its first record, not that of the forwarded one"


def test_a_misplaced_request_is_forwarded_on_its_own_topic(worker):
    (output,) = worker.handle(asked("delete", ELSEWHERE))
    assert (output.topic, output.partition) == ("privacy-requests", HOME)
    assert worker.user(ELSEWHERE) is None
    assert worker.handle(arrives(output)) == []
    assert worker.user().privacy.deletion.since == NOW - 1000


def test_an_invalid_request_fails(worker):
    (output,) = worker.handle(asked("forget"))
    shown = json.loads(output.value)
    assert (output.topic, shown["event_schema"], shown["reason"]) == (
        "failed-events",
        "privacy-request/1",
        "schema_violation",
    )


@pytest.mark.parametrize(
    ("record", "schema"), [(event(gpc=True), "raw-event/1"), (asked("delete"), "privacy-request/1")]
)
def test_poison_becomes_a_failed_event_that_says_what_is_lost(worker, record, schema):
    (output,) = worker.poison(record, ZeroDivisionError("a bug"))
    shown = json.loads(output.value)
    assert (output.topic, output.key, shown["reason"]) == ("failed-events", b"user-1", "processing_error")
    assert shown["event_schema"] == schema
    assert [error["type"] for error in shown["errors"]] == ["processing_error", "opt_out_not_recorded"]


def test_poison_is_in_the_counts(worker):
    worker.poison(event(), ZeroDivisionError())
    assert worker.states[HOME][PARTITION_KEY].counts == {"failed": 1, "failed.processing_error": 1}


@pytest.mark.parametrize(
    ("topic", "schema", "lost"),
    [("raw-events", "raw-event/1", []), ("privacy-requests", "privacy-request/1", ["opt_out_not_recorded"])],
)
def test_a_batch_that_cannot_be_read_is_one_failed_event_and_all_its_offsets_count(
    worker, topic, schema, lost
):
    batch = UnreadableBatch(TopicPartition(topic, HOME), 7, 16, "CorruptRecordException: Invalid CRC")
    (output,) = worker.poison(batch, ValueError())
    shown = json.loads(output.value)
    assert (output.topic, output.key, shown["reason"]) == ("failed-events", None, "unreadable_batch")
    assert shown["source"] == {"topic": topic, "partition": HOME, "offset": 7, "timestamp": None, "key": None}
    assert shown["event_schema"] == schema
    assert [error["type"] for error in shown["errors"]] == ["unreadable_batch", *lost]
    assert f"offsets 7 to 16 of {topic}/{HOME} cannot be read" in shown["errors"][0]["message"]
    assert worker.states[HOME][PARTITION_KEY].counts == {"failed": 10, "failed.unreadable_batch": 10}


def test_poison_that_was_forwarded_names_its_origin(worker):
    (output,) = worker.handle(event(7, ELSEWHERE))
    (failed,) = worker.poison(arrives(output), ZeroDivisionError())
    assert json.loads(failed.value)["source"]["partition"] == ELSEWHERE
