"""A backtest: what a new rule set would have said of a range, beside the rule sets that were in force.

Each event is read once and judged twice, each time with users of its own. Titles and devices are not judged.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiokafka.errors import KafkaError

from pipeline.assembly import build_evaluator
from pipeline.history.diff import Difference, Example
from pipeline.history.partition import Job, PartitionReplay
from pipeline.history.processes import Pool, count_read
from pipeline.history.survey import survey
from pipeline.history.verdicts import read_verdict
from pipeline.kafka.brokers import broker_trouble
from pipeline.rules.ruleset import parse_ruleset

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from pipeline.history.partition import Judged
    from pipeline.history.survey import TimeRange
    from pipeline.history.verdicts import Found, Place
    from pipeline.settings.schema import Settings

CONCERNED: Final = 10
"""The number of users that are named."""


@dataclass
class Backtest:
    """What a new rule set changes.

    Attributes:
        difference: of the verdicts; the first lot is that of the rule sets that were in force.
        users: by user, the number of verdicts that are added, removed or changed.
        judged: the number of events that were judged.
    """

    difference: Difference = field(default_factory=Difference)
    users: Counter[str] = field(default_factory=Counter)
    judged: int = 0

    def compare(self, judged: Judged, examples: int) -> None:
        """Compare the verdicts that both rule sets give on some records."""
        before, after = _by_place(judged.verdicts), _by_place(judged.candidate)
        found = self.difference
        found.first += len(before)
        found.second += len(after)
        for place in before | after:
            example = Example(before.get(place), after.get(place))
            if _alike(example):
                found.same += 1
            else:
                found.take(example, examples)
                self.users[(example.after or example.before).subject] += 1  # type: ignore[union-attr]  # one is there


def backtest(
    settings: Settings,
    document: str,
    times: TimeRange,
    partitions: Collection[int] | None,
    workers: int,
    examples: int,
    progress: Callable[[int, int], None],
) -> Backtest:
    """Judge a range with a new rule set, beside those that were in force. Nothing is written.

    Args:
        settings: as those of the workers.
        document: the new rule set, which is valid.
        times: the range.
        partitions: their numbers; None for all.
        workers: the number of processes.
        examples: the largest number of examples of each kind of difference.
        progress: is called with the numbers of records that were judged and that are to be judged.

    Raises:
        MissingError: see `survey` and `PartitionReplay.run`.
        UsageError: there is no such partition.
    """
    found = asyncio.run(survey(settings, times, partitions, None))
    jobs = [
        Job(
            settings,
            one,
            found.sources,
            (times.begin, times.end),
            found.lines[one.partition],
            found.rules,
            found.models,
            found.origin_key,
            None,
        )
        for one in found.ranges
    ]
    total = sum(one.end - one.warm for one in found.ranges)
    result = Backtest()
    with Pool(min(workers, max(1, len(jobs)))) as pool:
        futures = [pool.submit(_judge_partition, job, document, examples) for job in jobs]
        for future in pool.finished(futures, lambda read: progress(read, total)):
            part = future.result()
            result.difference.add(part.difference, examples)
            result.users.update(part.users)
            result.judged += part.judged
    return result


def _judge_partition(job: Job, document: str, examples: int) -> Backtest:
    """It runs in a process of the pool."""
    result = Backtest()
    candidate = build_evaluator(job.settings)
    candidate.ruleset = parse_ruleset(document)
    partition = PartitionReplay(
        job,
        build_evaluator(job.settings),
        lambda judged: result.compare(judged, examples),
        count_read,
        candidate=candidate,
    )
    try:
        asyncio.run(partition.run())
    except KafkaError as error:
        raise broker_trouble(job.settings, error) from error
    result.judged = partition.counts["judged"]
    return result


def _by_place(verdicts: Sequence[tuple[bytes, bytes]]) -> dict[Place, Found]:
    found = [read_verdict(value) for _, value in verdicts]
    return {one.place: one for one in found if one is not None}


def _alike(example: Example) -> bool:
    """Whether both say the same, whatever the name of the rule set."""
    before, after = example
    return before is not None and after is not None and _said(before.value) == _said(after.value)


def _said(value: bytes) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.json.decode(value)
    return {name: said for name, said in document.items() if name not in {"verdict_id", "ruleset_version"}}
