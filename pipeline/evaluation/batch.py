"""The evaluation of a batch of one partition: a list of records in, state changes and outputs out.

The risk agent calls `evaluate_batch`. `ott judge`, which has no partitions to write, calls the evaluator itself.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from pipeline.anomaly.scoring import NotEvaluated
from pipeline.evaluation.evaluator import Evaluator, Outcome, Users
from pipeline.evaluation.recent import RECENT
from pipeline.evaluation.source import Record
from pipeline.events.event import Event, Request
from pipeline.windows.score import FAILED


class PartitionState(msgspec.Struct, array_like=True):
    """The state of one partition beside its users. It is changed in place.

    Attributes:
        counts: counts since the beginning of the topics. Each record counts once (see `count`).
        times: by source topic the partition time P: the largest min(event time, record timestamp) of its judged events.
        sequence: the number of the last chunk that was published (`pipeline.titles.chunks`).
    """

    counts: dict[str, int] = msgspec.field(default_factory=dict)
    times: dict[str, int] = msgspec.field(default_factory=dict)
    sequence: int = 0

    def count(self, name: str, number: int) -> None:
        """Add to a count."""
        if number:
            self.counts[name] = self.counts.get(name, 0) + number


class Erased(NamedTuple):
    """An erasure: whose window and last place, at which record timestamp, and the region of that last place."""

    user_id: str
    time: int
    region: str | None


class BatchOutputs(NamedTuple):
    """The outputs of a batch.

    Attributes:
        flagged: keys and values for `flagged-events`.
        failed: keys and values for `failed-events`.
        misplaced: records of other partitions: the index in the batch, and the user whose partition it is.
        judged: the last judged records with their outcomes, at most `RECENT`.
        applied: privacy requests that were applied, with their records.
        erased: users who came back after they had been idle (`Outcome.started_anew`).
    """

    flagged: list[tuple[bytes, bytes]]
    failed: list[tuple[bytes | None, bytes]]
    misplaced: list[tuple[int, str]]
    judged: deque[tuple[Record, Outcome]]
    applied: list[tuple[Record, Request]]
    erased: list[Erased]


Note = Callable[[Event, Outcome, int | None], None]
"""Is called with a judged event that was not late, its outcome, and the partition time P before the event."""


def _note_nothing(event: Event, outcome: Outcome, partition_time: int | None) -> None:
    pass


def evaluate_batch(  # noqa: C901, PLR0912 - the hot loop: a call for each record would slow it down
    evaluator: Evaluator,
    records: Sequence[Record],
    users: Users,
    partition: PartitionState,
    topic: str,
    note: Note = _note_nothing,
    *,
    requests: bool = False,
) -> BatchOutputs:
    """Judge records of one partition in order; change `users` and `partition`.

    Args:
        evaluator: judges each record.
        records: the records, as they were where they were first written.
        users: the users of the partition.
        partition: the state of the partition. The caller writes it afterwards.
        topic: the topic that the records were read from, whose partition time they move. For re-keyed records this is
            not the topic in `records`.
        note: is called for each event that counts for titles, devices and regions.
        requests: whether the records are privacy requests.
    """
    outputs = BatchOutputs([], [], [], deque(maxlen=RECENT), [], [])
    remember = outputs.judged.append
    counts, partition_time = partition.counts, partition.times.get(topic)
    if requests:
        outcomes = [evaluator.apply(record, users) for record in records]
    else:
        outcomes = evaluator.judge_batch(records, users)
    plain = 0
    not_evaluated: dict[NotEvaluated, int] = {}
    for number, (record, outcome) in enumerate(zip(records, outcomes, strict=True)):
        event = outcome.event
        if outcome.ending != "judged" or event is None:
            count(counts, outcome)
            if outcome.failed is not None:
                outputs.failed.append((record.key, outcome.failed))
            elif outcome.user_id is not None:
                outputs.misplaced.append((number, outcome.user_id))
            elif outcome.request is not None:
                outputs.applied.append((record, outcome.request))
            continue
        remember((record, outcome))
        if outcome.started_anew:
            outputs.erased.append(Erased(event.user_id, record.timestamp, outcome.erased_region))
        if not outcome.late:
            note(event, outcome, partition_time)
        time = event.time
        if 0 <= record.timestamp < time:
            time = record.timestamp
        if partition_time is None or time > partition_time:
            partition_time = time
        verdict = outcome.verdict
        if verdict is not None and outcome.published is not None:
            outputs.flagged.append((verdict.user_id.encode(), outcome.published))
            count(counts, outcome)
        elif outcome.late or outcome.shadow:
            count(counts, outcome)
        else:
            plain += 1
        reason = outcome.not_evaluated
        if reason is None and (outcome.score is None or outcome.score.paths == FAILED):
            reason = NotEvaluated.FAILED
        if reason is not None:
            not_evaluated[reason] = not_evaluated.get(reason, 0) + 1
    for name, without_score in not_evaluated.items():
        partition.count(f"not_evaluated.{name}", without_score)
    if plain:
        counts["judged"] = counts.get("judged", 0) + plain
    if partition_time is not None:
        partition.times[topic] = partition_time
    return outputs


def count(counts: dict[str, int], outcome: Outcome, number: int = 1) -> None:
    """Count the outcome of one record; `number` is more than 1 only for a batch that cannot be read.

    The names are the endings (`judged`, `duplicate`, `failed`, `request`, `misplaced`), `late` and `flagged` among the
    judged, `failed.REASON`, `level.LEVEL`, `rule.ID` of published findings and `shadow.ID` of unpublished ones.
    """
    ending = outcome.ending
    counts[ending] = counts.get(ending, 0) + number
    if outcome.reason is not None:
        name = f"failed.{outcome.reason}"
        counts[name] = counts.get(name, 0) + number
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
