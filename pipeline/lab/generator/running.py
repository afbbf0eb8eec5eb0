"""One run from its options to its summary: opens what is written to, sends, closes."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from pipeline.kafka.topics import PRIVACY_REQUESTS, RAW_EVENTS
from pipeline.lab.generator.casts import Stories
from pipeline.lab.generator.deliver import Clock, Stop, send_all, write_lines
from pipeline.lab.generator.http_sink import http_sink
from pipeline.lab.generator.kafka_sink import kafka_sink
from pipeline.lab.generator.labels import Label, Truth
from pipeline.lab.generator.ledger import Ledger
from pipeline.lab.generator.lines import EnvelopeLines, LineForm, LineSink, RawLines
from pipeline.lab.generator.pace import Chunk, chunks
from pipeline.lab.generator.planning import Stretch, settle
from pipeline.lab.generator.stream import EventStream, Plan
from pipeline.writing import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.settings.schema import Settings

STANDARD_OUTPUT = "-"


@dataclass(frozen=True, slots=True)
class ToFile:
    """Lines of a file.

    Attributes:
        name: the file, `-` = standard output.
        envelopes: whether lines are envelopes; else raw values.
    """

    name: str
    envelopes: bool


@dataclass(frozen=True, slots=True)
class ToHttp:
    """An ingest over HTTP.

    Attributes:
        url: where to post.
        patience_s: how long one event is tried again.
    """

    url: str
    patience_s: float


@dataclass(frozen=True, slots=True)
class ToKafka:
    """The topics of the settings.

    Attributes:
        wait_s: how long to wait for a broker.
    """

    wait_s: float


@dataclass(frozen=True, slots=True)
class Job:
    """What to do.

    Attributes:
        seed: of all chance.
        stretch: when and how much.
        target: where to.
        concurrency: tasks that send at once; a file has one writer.
        labels: file for the truth, None = nobody wants it.
        requests: privacy requests beside the events.
        broken_share: share of records that are not valid.
        duplicate_share: share that repeat an earlier one.
        late_share: share that come more than an hour behind their user.
        risk_share: share of the load that belongs to stories and their look-alikes.
        stories: which stories are told.
    """

    seed: int
    stretch: Stretch
    target: ToFile | ToHttp | ToKafka
    concurrency: int
    labels: Path | None
    requests: int
    broken_share: float
    duplicate_share: float
    late_share: float
    risk_share: float
    stories: Stories = Stories.USUAL

    def plan(self, now_ms: int) -> Plan:
        """What to simulate, if it starts now.

        Raises:
            UsageError: the options contradict each other.
        """
        schedule, users = settle(self.stretch, now_ms)
        to_envelopes = isinstance(self.target, ToFile) and self.target.envelopes
        return Plan(
            seed=self.seed,
            schedule=schedule,
            users=users,
            requests=self.requests,
            broken_share=self.broken_share,
            duplicate_share=self.duplicate_share,
            late_share=self.late_share,
            risk_share=self.risk_share,
            stories=self.stories,
            with_topic=to_envelopes or not isinstance(self.target, ToFile),
            stamped_on_arrival=to_envelopes,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went.

    Attributes:
        ledger: the counts.
        plan: what was simulated.
        elapsed_s: how long it took.
        stopped_by: the signal that ended it, None = it came to its own end.
    """

    ledger: Ledger
    plan: Plan
    elapsed_s: float
    stopped_by: int | None

    def summary(self) -> dict[str, object]:
        """For programs."""
        return {
            **self.ledger.summary(),
            "seed": self.plan.seed,
            "audience": self.plan.users,
            "seconds": round(self.elapsed_s, 3),
            "events_per_s": round(self.ledger.done / max(self.elapsed_s, 1e-9), 1),
        }


def run_job(job: Job, settings: Settings, watch: Callable[[Plan], Callable[[int], None]]) -> Outcome:
    """Does it.

    Args:
        job: what to do.
        settings: of the brokers, and the names and partitions of the topics.
        watch: is shown the plan and gives what is told of every number of events done.

    Raises:
        UsageError: the options contradict each other.
        MissingError: a file, a broker or an ingest is missing or gives up.
    """
    clock, stop = Clock(), Stop()
    plan = job.plan(clock.started_ms)
    ledger = Ledger()
    with ExitStack() as stack:
        if job.labels is not None:
            ledger.truth = Truth(_label_writer(stack.enter_context(Output.to_path(job.labels))))
        sink = None
        if isinstance(job.target, ToFile):
            form: LineForm = RawLines()
            if job.target.envelopes:
                topics = (settings.topic(RAW_EVENTS.name), settings.topic(PRIVACY_REQUESTS.name))
                form = EnvelopeLines(*topics, settings.partitions)
            sink = LineSink(_output(job.target.name, stack), form, ledger)
        ledger.advance = watch(plan)
        paced = chunks(EventStream(plan), job.stretch.rate, clock.started_ms)
        stack.enter_context(stop.on_signals())
        try:
            if sink is not None:
                write_lines(paced, sink, clock, stop)
            else:
                asyncio.run(_send(job, settings, paced, ledger, clock, stop))
        finally:
            # What was sent before a failure stays true.
            if ledger.truth is not None:
                ledger.truth.finish()
    return Outcome(ledger, plan, clock.elapsed_s, stop.signal)


async def _send(
    job: Job, settings: Settings, paced: Iterator[Chunk], ledger: Ledger, clock: Clock, stop: Stop
) -> None:
    if isinstance(job.target, ToHttp):
        async with http_sink(job.target.url, ledger, job.concurrency, job.target.patience_s) as http:
            await send_all(paced, http, job.concurrency, clock, stop)
        return
    assert isinstance(job.target, ToKafka)
    async with kafka_sink(settings, ledger, job.target.wait_s) as kafka:
        await send_all(paced, kafka, job.concurrency, clock, stop)


def _output(name: str, stack: ExitStack) -> Output:
    return Output.standard() if name == STANDARD_OUTPUT else stack.enter_context(Output.to_path(name))


def _label_writer(file: Output) -> Callable[[Label], None]:
    encode = msgspec.json.Encoder().encode

    def write(label: Label) -> None:
        file.write(encode(label) + b"\n")

    return write
