"""The processor time of an event by stage.

A tracer would make small calls look expensive. So the same records are judged several times with less and less of the
evaluation (no verdicts, no rules, only parsing), and the differences are the stages. The rest of a worker's processor
time is the delivery: Faust, the event loop and the commits.
"""

from __future__ import annotations

import asyncio
import cProfile
import pstats
import time
from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from pipeline import __version__
from pipeline.delivery.clients import new_producer, stop_producer
from pipeline.delivery.commit.packing import acknowledged, send_entries, send_outputs
from pipeline.delivery.partitioner import Partitioner
from pipeline.delivery.state.outputs import Output
from pipeline.delivery.state.store import PartitionStore, StoreCache, StoreOptions
from pipeline.evaluation.batch import PartitionState, evaluate_batch
from pipeline.evaluation.evaluator import Evaluator
from pipeline.evaluation.source import PlainRecord
from pipeline.events.decode import EventDecoder
from pipeline.events.invalid import InvalidMessageError
from pipeline.kafka.follower import Follower
from pipeline.kafka.topics import FLAGGED_EVENTS, RAW_EVENTS
from pipeline.lab.benchmark.yardstick import PartitionUsers
from pipeline.rules.ruleset import RuleSet, read_ruleset

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline.delivery.state.changelog import Entry
    from pipeline.settings.schema import Settings

_SLICE: Final = 500
"""Records that are judged at once, as in the worker."""
_COMMIT_EVERY: Final = 50_000
"""Events between two commits, about as many as in a second."""
_TRACED: Final = 50_000
_SHOWN: Final = 15
_REQUEST_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Function:
    """A function, as the tracer measured it.

    Attributes:
        place: file, line and name.
        calls: of one event, on average.
        own_share: its share of the traced time, without the functions that it calls.
    """

    place: str
    calls: float
    own_share: float


@dataclass(frozen=True, slots=True)
class StageCosts:
    """What the stages of the work cost, measured.

    Attributes:
        stages: microseconds of processor time for an event, by stage, in the order of the work.
        functions: the functions of the evaluation that take most time, as traced.
    """

    stages: dict[str, float]
    functions: list[Function]


@dataclass(slots=True)
class _Judged:
    """The processor seconds of one pass over the records, and its outputs."""

    evaluation: float = 0.0
    encoding: float = 0.0
    outputs: list[Output] = field(default_factory=list)
    commits: list[list[Entry]] = field(default_factory=list)


def profile(
    records: list[tuple[bytes, bytes]], settings: Settings, ruleset: RuleSet, directory: Path, runs: int
) -> StageCosts:
    """Measure the stages on these records, which the topic `raw-events` of the settings holds too.

    Args:
        records: keys and values.
        settings: of the brokers and topics.
        ruleset: the rules.
        directory: for a store; must be there.
        runs: the median of so many is taken.

    Raises:
        KafkaError: the broker fails.
    """
    now = int(time.time() * 1000)
    partition_of = Partitioner(settings.partitions)
    topic = settings.topic(RAW_EVENTS.name)
    plain = [
        PlainRecord(topic, partition_of(key), offset, now, key, value)
        for offset, (key, value) in enumerate(records)
    ]
    found: defaultdict[str, list[float]] = defaultdict(list)
    for number in range(runs):
        parsing = _parse(plain)
        silent = _judge(plain, _with_mode(ruleset, "off")).evaluation
        shadow = _judge(plain, _with_mode(ruleset, "shadow")).evaluation
        judged = _judge(plain, ruleset)
        for name, seconds in (
            ("fetch (aiokafka)", asyncio.run(_fetch(settings, topic, len(plain)))),
            ("parse and validate", parsing),
            ("ids and window", silent - parsing),
            ("rules", shadow - silent),
            ("verdicts", judged.evaluation - shadow),
            ("state encoding", judged.encoding),
            ("RocksDB", _store(judged.commits, directory / f"stage-{number}")),
            ("outputs and changelog (aiokafka)", asyncio.run(_publish(settings, judged))),
        ):
            found[name].append(seconds / len(plain) * 1e6)
    return StageCosts(
        {name: round(median(values), 2) for name, values in found.items()}, _trace(plain[:_TRACED], ruleset)
    )


def _with_mode(ruleset: RuleSet, mode: str) -> RuleSet:
    """Every rule switched to one mode. Parameters have their defaults, which cost the same."""
    rules = {rule_id: {"mode": mode} for rule_id in ruleset.rules}
    return read_ruleset({"version": ruleset.version, "rules": rules})


def _parse(records: Iterable[PlainRecord]) -> float:
    decode = EventDecoder().event
    begin = time.process_time()
    for record in records:
        try:
            decode(record.value)
        except InvalidMessageError:
            continue
    return time.process_time() - begin


def _judge(records: list[PlainRecord], ruleset: RuleSet) -> _Judged:
    evaluator = Evaluator(ruleset, __version__)
    states: defaultdict[int, tuple[PartitionUsers, PartitionState]] = defaultdict(
        lambda: (PartitionUsers(), PartitionState())
    )
    judged = _Judged()
    for start in range(0, len(records), _COMMIT_EVERY):
        part = records[start : start + _COMMIT_EVERY]
        waiting = _slices(part)
        begin = time.process_time()
        for partition, batch in waiting:
            users, state = states[partition]
            outputs = evaluate_batch(evaluator, batch, users, state, RAW_EVENTS.name)
            judged.outputs += [Output(FLAGGED_EVENTS.name, key, value) for key, value in outputs.flagged]
        middle = time.process_time()
        for users, _ in states.values():
            judged.commits.append(users.take_changes())
        judged.evaluation += middle - begin
        judged.encoding += time.process_time() - middle
    return judged


def _slices(records: Iterable[PlainRecord]) -> list[tuple[int, list[PlainRecord]]]:
    """The records in slices: each holds records of one partition in their order, and the partitions take turns."""
    slices: list[tuple[int, list[PlainRecord]]] = []
    growing: dict[int, list[PlainRecord]] = {}
    for record in records:
        batch = growing.get(record.partition)
        if batch is None or len(batch) == _SLICE:
            batch = growing[record.partition] = []
            slices.append((record.partition, batch))
        batch.append(record)
    return slices


def _store(commits: list[list[Entry]], path: Path) -> float:
    store = PartitionStore(path, "profile", StoreCache(StoreOptions()))
    begin = time.process_time()
    for entries in commits:
        store.write(entries, None)
    seconds = time.process_time() - begin
    store.close()
    return seconds


async def _fetch(settings: Settings, topic: str, records: int) -> float:
    async with Follower(settings.kafka_client_options(), [topic], committed_only=False) as follower:
        await follower.connect()
        begin, count = time.process_time(), 0
        async with asyncio.timeout(_REQUEST_TIMEOUT_S + records / 1000):
            while count < records:
                count += sum(map(len, (await follower.poll()).values()))
        return time.process_time() - begin


async def _publish(settings: Settings, judged: _Judged) -> float:
    """Write all outputs and changelog entries to `flagged-events`. A record costs the same on any topic."""
    topic = settings.topic(FLAGGED_EVENTS.name)
    partition_of = Partitioner(settings.partitions)
    producer = new_producer(settings.kafka_client_options(), _REQUEST_TIMEOUT_S)
    await producer.start()
    try:
        begin = time.process_time()
        outputs = [output._replace(topic=topic) for output in judged.outputs]
        sent = await send_outputs(producer, outputs, lambda _, key: partition_of(key))
        for number, entries in enumerate(judged.commits):
            sent += await send_entries(producer, topic, number % settings.partitions, entries)
        await acknowledged(sent)
        return time.process_time() - begin
    finally:
        await stop_producer(producer)


def _trace(records: list[PlainRecord], ruleset: RuleSet) -> list[Function]:
    tracer = cProfile.Profile()
    tracer.runcall(_judge, records, ruleset)
    stats: dict[tuple[str, int, str], tuple[int, int, float, float, Any]] = pstats.Stats(tracer).stats  # type: ignore[attr-defined]  # typeshed leaves it out
    total = sum(entry[2] for entry in stats.values())
    ordered = sorted(stats.items(), key=lambda item: item[1][2], reverse=True)
    return [
        Function(_place(*where), round(entry[1] / len(records), 2), round(entry[2] / total, 3))
        for where, entry in ordered[:_SHOWN]
    ]


def _place(file: str, line: int, name: str) -> str:
    """`pipeline/windows/window.py:106 observe`; functions in C have no file."""
    if file == "~":
        return name
    parts = file.replace("\\", "/").split("/")
    return f"{'/'.join(parts[-3:])}:{line} {name}"
