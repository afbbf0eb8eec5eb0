"""The evaluation of batches of one partition: a list of records in, state changes and outputs out.

The live agent, `ott judge` and the replay all judge through `PartitionEvaluation`.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from pipeline.evaluation.evaluator import Evaluator, Outcome, Users
from pipeline.evaluation.source import Source, key_text
from pipeline.evaluation.verdict import encode_verdict


class Record(Protocol):
    """A record as Kafka clients give it; a negative timestamp means none."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class PartitionState:
    """What is kept of one partition beside its users.

    `counts` since the topics' beginning: each record once (see `count`). `times` holds the partition time P
    of each source topic: the largest min(event time, record timestamp) over its judged events.
    """

    __slots__ = ("counts", "times")

    def __init__(self, counts: dict[str, int] | None = None, times: dict[str, int] | None = None) -> None:
        self.counts: dict[str, int] = {} if counts is None else counts
        self.times: dict[str, int] = {} if times is None else times

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PartitionState):
            return NotImplemented
        return self.counts == other.counts and self.times == other.times

    __hash__ = None  # type: ignore[assignment]  # a partition's state changes


class Flagged(NamedTuple):
    """A verdict for `flagged-events`: the subject's id as it is (it decides the partition), key and value."""

    user_id: str
    key: bytes
    value: bytes


class BatchOutputs(NamedTuple):
    """What a batch gives: verdicts, failed events as (source key, value), and records of other partitions."""

    flagged: list[Flagged]
    failed: list[tuple[bytes | None, bytes]]
    misplaced: list[Record]


def source_of(record: Record) -> Source:
    """The source of a record that has not been re-keyed."""
    timestamp = record.timestamp
    return Source(
        record.topic,
        record.partition,
        record.offset,
        timestamp if timestamp >= 0 else None,
        key_text(record.key),
    )


def evaluate_batch(
    evaluator: Evaluator,
    records: Iterable[Record],
    users: Users,
    partition: PartitionState,
    topic: str,
    *,
    requests: bool = False,
    source: Callable[[Record], Source] = source_of,
) -> BatchOutputs:
    """Judge records of one partition in order; change `users` and `partition`.

    Args:
        topic: the topic whose partition time they move.
        requests: whether they are privacy requests.
        source: gives a record's origin; that of a re-keyed one stands in its headers.
    """
    outputs = BatchOutputs([], [], [])
    for record in records:
        origin = source(record)
        value = record.value
        outcome = evaluator.apply(origin, value, users) if requests else evaluator.judge(origin, value, users)
        count(partition.counts, outcome)
        event = outcome.event
        if outcome.ending == "judged" and event is not None:
            time = event.time
            if origin.timestamp is not None and origin.timestamp < time:
                time = origin.timestamp
            if time > partition.times.get(topic, time - 1):
                partition.times[topic] = time
            if outcome.verdict is not None:
                outputs.flagged.append(
                    Flagged(event.user_id, outcome.verdict.user_id.encode(), encode_verdict(outcome.verdict))
                )
        elif outcome.failed is not None:
            outputs.failed.append((record.key, outcome.failed))
        elif outcome.ending == "misplaced":
            outputs.misplaced.append(record)
    return outputs


def count(counts: dict[str, int], outcome: Outcome) -> None:
    """Count an outcome.

    `judged`, `duplicate`, `failed`, `request`, `misplaced` by ending; `late` and `flagged` among the judged;
    `failed.REASON`, `level.LEVEL`, `rule.ID`, and `shadow.ID` for what a shadow rule would have said.
    """
    ending = outcome.ending
    counts[ending] = counts.get(ending, 0) + 1
    if outcome.reason is not None:
        name = f"failed.{outcome.reason}"
        counts[name] = counts.get(name, 0) + 1
    if outcome.late:
        counts["late"] = counts.get("late", 0) + 1
    for rule_id in outcome.shadow:
        name = f"shadow.{rule_id}"
        counts[name] = counts.get(name, 0) + 1
    verdict = outcome.verdict
    if verdict is None:
        return
    counts["flagged"] = counts.get("flagged", 0) + 1
    name = f"level.{verdict.risk_level}"
    counts[name] = counts.get(name, 0) + 1
    for finding in verdict.findings:
        name = f"rule.{finding.rule_id}"
        counts[name] = counts.get(name, 0) + 1
