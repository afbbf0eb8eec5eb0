"""The risk agent: it judges batches of events and privacy requests, and publishes verdicts and failed events.

A batch has records of one partition of one topic. The evaluation judges them; the agent writes the table and makes the
outputs. A user's window is kept in the partition of the user's id. A record that its producer wrote to another
partition is forwarded there, once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.delivery.flow.fetched import UnreadableBatch
from pipeline.delivery.flow.rekeying import Misplaced, Origin, Origins, SourceRecord
from pipeline.delivery.partitioner import Partitioner
from pipeline.delivery.state.outputs import Output
from pipeline.delivery.state.unit import State
from pipeline.evaluation.batch import count, evaluate_batch
from pipeline.evaluation.control import ControlKind, encode_control
from pipeline.evaluation.evaluator import Evaluator
from pipeline.evaluation.model_book import ModelBook
from pipeline.evaluation.rule_book import RuleBook
from pipeline.evaluation.source import PlainRecord, Record, bounded_key
from pipeline.events.instants import format_instant
from pipeline.titles.notes import Notes
from tables.risk import (
    MODEL_KEY,
    PARTITION_KEY,
    RECENT_KEY,
    RULES_KEY,
    RiskValue,
    UnitUsers,
    model_of,
    partition_state,
    recent_results,
    record_erasure,
    request_history,
    requests_key,
    rules_in_force,
)

LOG_APPEND_TIME: Final = 1
"""Kafka's timestamp type of records whose timestamp the broker made. 0 (CreateTime) means that the producer did."""


@dataclass(frozen=True, slots=True)
class RiskTopics:
    """The full names of the agent's topics."""

    raw: str
    rekeyed: str
    requests: str
    flagged: str
    failed: str
    journal: str


class RiskAgent:
    """Judges batches. The delivery calls `handle`, and `poison` for a record on which `handle` failed.

    Args:
        evaluator: the evaluation. Its rule set and its model are set to those of the partition before each batch.
        book: the rule sets.
        models: the anomaly models.
        topics: the full names of the topics.
        partition_of: gives a message key's partition of the co-partitioned topics. It must be the table's own, because
            its memory of keys is shared.
        misplaced: counts records that are forwarded.
        origins: says where a record was first written, where that is proven.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        book: RuleBook,
        models: ModelBook,
        topics: RiskTopics,
        partition_of: Partitioner,
        misplaced: Misplaced,
        origins: Origins,
    ) -> None:
        self._evaluator = evaluator
        self._book = book
        self._models = models
        self._topics = topics
        self._partition_of = partition_of
        self._misplaced = misplaced
        self._origins = origins

    def handle(self, unit: State[RiskValue], records: Sequence[SourceRecord]) -> list[Output]:
        """Judge records of one partition of one topic, in order."""
        topics, topic = self._topics, records[0].topic
        # New users trigger an ownership check. Their ids are usually the record keys, so hash those in bulk first.
        self._partition_of.learn(record.key for record in records)
        partition = partition_state(unit)
        published = [*self._take_rules(unit, records[0]), *self._take_model(unit, records[0])]
        # Nothing is ever forwarded to `raw-events`, so headers there that name an origin are a producer's and not ours.
        judged = records if topic == topics.raw else [self._at_origin(record) for record in records]
        if topic == topics.rekeyed:
            # Nothing else says between which records of `raw-events` these were judged.
            earliest = min(record.timestamp for record in judged)
            published.append(self._journal(unit, "rekeyed", str(records[-1].offset), earliest))
        notes = Notes(topic)
        outputs = evaluate_batch(
            self._evaluator,
            judged,
            UnitUsers(unit),
            partition,
            topic,
            notes.observe,
            requests=topic == topics.requests,
        )
        unit[PARTITION_KEY] = partition
        if topic != topics.requests:
            unit.notes.append(notes)
        if topic == topics.raw and records[-1].timestamp_type == LOG_APPEND_TIME:
            notes.stamped = records[-1].timestamp
        if outputs.judged:
            unit[RECENT_KEY] = recent_results(unit).followed_by(outputs.judged)
        for record, request in outputs.applied:
            history = request_history(unit, request.user_id)
            unit[requests_key(request.user_id)] = history.followed_by(request, record.timestamp)
            published.append(self._journal(unit, "request", request.request_id, record.timestamp))
        for erased in outputs.erased:
            record_erasure(unit, partition, erased)
        published += [Output(topics.flagged, key, value) for key, value in outputs.flagged]
        published += [Output(topics.failed, bounded_key(key), value) for key, value in outputs.failed]
        if outputs.misplaced:
            published += [
                self._forward(records[index], judged[index], user_id) for index, user_id in outputs.misplaced
            ]
            self._misplaced.count(topic, len(outputs.misplaced))
        return published

    def poison(self, unit: State[RiskValue], record: SourceRecord, error: Exception) -> list[Output]:
        """The failed event of a record that our code failed on, or of a batch that cannot be read."""
        request, number = record.topic == self._topics.requests, 1
        if isinstance(record, UnreadableBatch):
            number = record.count
            first = PlainRecord(
                record.topic, record.partition, record.first_offset, record.timestamp, None, None
            )
            outcome = self._evaluator.unreadable(first, str(record), request=request)
        else:
            origin = record if record.topic == self._topics.raw else self._at_origin(record)
            outcome = self._evaluator.poisoned(origin, error, request=request)
        partition = partition_state(unit)
        count(partition.counts, outcome, number)
        unit[PARTITION_KEY] = partition
        return [Output(self._topics.failed, bounded_key(record.key), outcome.failed)]

    def _take_rules(self, unit: State[RiskValue], record: SourceRecord) -> list[Output]:
        """Put the rule set in force that judges from this record on. A new one gets a line in the journal."""
        before = rules_in_force(unit)
        now = self._book.for_partition(before)
        self._evaluator.ruleset = self._book.ruleset(now)
        if now == before:
            return []
        unit[RULES_KEY] = now
        return [self._journal(unit, "ruleset", now.version, record.timestamp)]

    def _take_model(self, unit: State[RiskValue], record: SourceRecord) -> list[Output]:
        """Put the anomaly model in force that scores from this record on. A new one gets a line in the journal."""
        before = model_of(unit.get(MODEL_KEY))
        now = self._models.for_partition(before)
        self._evaluator.model = self._models.model(now)
        self._evaluator.without_model = self._models.without_model
        if now == before:
            return []
        unit[MODEL_KEY] = now
        return [self._journal(unit, "model", now.version, record.timestamp)]

    def _journal(self, unit: State[RiskValue], kind: ControlKind, name: str, timestamp: int) -> Output:
        """The line in the journal for what took effect before the next record of `raw-events`."""
        at = None if timestamp < 0 else format_instant(timestamp)
        offset = unit.next_offsets.get(self._topics.raw, 0)
        value = encode_control(unit.partition, offset, kind, name, at)
        return Output(self._topics.journal, b"%d" % unit.partition, value)

    def _forward(self, record: SourceRecord, judged: Record, user_id: str) -> Output:
        """The record, addressed to its user's partition: a request on its own topic, an event on the re-keyed one."""
        topics = self._topics
        topic = topics.requests if record.topic == topics.requests else topics.rekeyed
        origin = Origin(judged.topic or record.topic, judged.partition, judged.offset, judged.timestamp)
        return self._origins.forward(record, origin, topic, self._partition_of(user_id.encode()))

    def _at_origin(self, record: SourceRecord) -> PlainRecord:
        """The record as it was where it was first written: that topic, partition, offset and timestamp."""
        topic, partition, offset, timestamp = self._origins.of(record)
        return PlainRecord(topic, partition, offset, timestamp, record.key, record.value)
