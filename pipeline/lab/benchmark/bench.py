"""The benchmark from start to end: measures everything in order, and takes medians."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from pipeline.anomaly.artefact import read_model
from pipeline.anomaly.shipped import shipped_file
from pipeline.assembly import build_evaluator
from pipeline.errors import RefusedError
from pipeline.evaluation.model_book import records_of
from pipeline.events.instants import format_instant
from pipeline.kafka.brokers import wait_for_broker
from pipeline.kafka.topics import MODEL_CONFIG, RAW_EVENTS, ensure_topics
from pipeline.lab.benchmark.clients import Sender, delete_topics, topics_with
from pipeline.lab.benchmark.latency import measure_latency
from pipeline.lab.benchmark.load import Load
from pipeline.lab.benchmark.recovery import measure_recovery
from pipeline.lab.benchmark.requests import subjects_of
from pipeline.lab.benchmark.results import MEBIBYTE, Measured
from pipeline.lab.benchmark.running import SCORING, WORKER, YARDSTICK, Contestant, Running
from pipeline.lab.benchmark.soak import Soak, measure_soak
from pipeline.lab.benchmark.stages import StageCosts, profile
from pipeline.lab.benchmark.state import measure_state
from pipeline.lab.benchmark.throughput import measure_throughput
from pipeline.lab.benchmark.web import WARM_UP_S, Backlog, measure_answers, measure_backlog
from pipeline.settings.schema import load_settings
from tables.risk import TABLE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pipeline.lab.benchmark.requests import Subject
    from pipeline.lab.benchmark.running import Process
    from pipeline.lab.benchmark.throughput import Throughput
    from pipeline.lab.benchmark.web import Answers
    from pipeline.settings.schema import Settings

THROUGHPUT: Final = "throughput"
LATENCY: Final = "latency"
RECOVERY: Final = "recovery"
PARTS: Final = (THROUGHPUT, LATENCY, RECOVERY)

_BROKER_TIMEOUT_S: Final = 5.0
_LATENCY_SECONDS: Final = 25
_LOAD_WITHOUT_THROUGHPUT: Final = 30_000.0
_SOAK_LOAD: Final = 5_000.0
# Two stretches wait for their last answers, at most as long as the client does.
_WEB_MARGIN_S: Final = 40.0
_ASKED_RECORDS: Final = 1_000
_STRETCH_S: Final = 4.0
"""Long enough for a dozen commits, and short enough that the machine does not drift meanwhile."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the benchmark.

    Attributes:
        events: preloaded for a run; also the most that a run of the latency sends.
        runs: of everything but the recovery of what each run left.
        users: size of the audience.
        partitions: of the topics.
        load_per_s: of the latency; None is half of the worker's throughput, as measured just before.
        parts: which of `PARTS`.
    """

    events: int
    runs: int
    users: int
    partitions: int
    load_per_s: float | None
    parts: frozenset[str]


@dataclass(frozen=True, slots=True)
class Environment:
    """The brokers and means of a benchmark.

    Attributes:
        bootstrap_servers: the brokers.
        is_embedded: whether they are the in-memory broker, which needs a short session timeout.
        directory: for states and logs.
        launch: starts a process that cannot outlive this one.
        free_port: a port of loopback on which nobody listens.
        say: gets messages about the progress.
    """

    bootstrap_servers: str
    is_embedded: bool
    directory: Path
    launch: Callable[[Sequence[str], Mapping[str, str], Path], Process]
    free_port: Callable[[], int]
    say: Callable[[str], None]


class Bench:
    """One benchmark. It has its own topics, and deletes them at its end."""

    def __init__(self, options: Options, environment: Environment) -> None:
        self._options = options
        self._environment = environment
        self._tag = f"bench-{uuid.uuid4().hex[:8]}"
        self._started = 0
        self._measured = {contestant.name: Measured() for contestant in (WORKER, SCORING, YARDSTICK)}

    def run(self) -> dict[str, Measured]:
        """Measure everything that was asked for.

        Raises:
            MissingError: a broker, or a contestant that ended or makes no progress.
            RefusedError: accounts do not add up, or the two do not agree.
        """
        parts = self._options.parts
        with self._own_topics():
            if parts & {THROUGHPUT, RECOVERY}:
                self._run_preloaded()
            if LATENCY in parts:
                self._run_paced()
        return self._measured

    def profile(self) -> StageCosts:
        """Measure the stages of the evaluation, and the rest of a real run.

        Raises:
            MissingError: a broker, or a worker that ended or makes no progress.
        """
        options, environment = self._options, self._environment
        prefix, end_ms = f"{self._tag}.profiled.", _now_ms()
        with self._own_topics():
            self._preload(prefix, end_ms)
            with self._start(WORKER, prefix, f"{self._tag}-{WORKER.name}") as running:
                run = measure_throughput(running, options.events)
                settings = running.settings
            environment.say(f"the worker takes {run.cpu_s_per_million:.1f} us of processor time for an event")
            records = list(Load(options.events, options.users, end_ms, self._tag))
            ruleset = build_evaluator(settings).ruleset
            found = profile(records, settings, ruleset, environment.directory, options.runs)
        rest = round(run.cpu_s_per_million - sum(found.stages.values()), 2)
        return StageCosts({**found.stages, "everything else in the worker": rest}, found.functions)

    def soak(self, minutes: float) -> Soak:
        """A worker under an even load for so long.

        Raises:
            MissingError: a broker, or a worker that ended or makes no progress.
        """
        options, prefix = self._options, f"{self._tag}.soaked."
        load = options.load_per_s or _SOAK_LOAD
        events = int(minutes * 60 * load)
        with self._own_topics():
            asyncio.run(
                ensure_topics(self._settings({"OTT_TOPIC_PREFIX": prefix}), say=self._environment.say)
            )
            records = Load(events, options.users, _now_ms(), self._tag)
            with self._start(WORKER, prefix, f"{self._tag}-{WORKER.name}") as running:
                return measure_soak(running, records, events, load, self._environment.say)

    def web(self, seconds: float) -> dict[str, Any]:
        """Measure the cost of requests for a worker with a backlog, and the time of answers beside an even load.

        Args:
            seconds: of each of the four stretches under the even load; those at a full backlog last as long, at most
                four seconds.

        Returns:
            the figures of a `Backlog` and of `Answers`, by name.

        Raises:
            MissingError: a broker, or a worker that ended or makes no progress.
            RefusedError: accounts do not add up, or an even load is not one.
        """
        with self._own_topics():
            backlog = self._run_asked_backlog(min(seconds, _STRETCH_S))
            load = self._options.load_per_s or backlog.over_all(with_requests=False).events_per_s / 2
            answers = self._run_asked_paced(load, seconds)
        return {**backlog.as_dict(), **answers.as_dict()}

    def _run_asked_backlog(self, stretch_s: float) -> Backlog:
        options, backlog, end_ms = self._options, Backlog(), _now_ms()
        subjects = self._subjects(end_ms)
        for number in range(1, options.runs + 1):
            # It gets topics of its own, because a worker also reads what others publish on its topics.
            prefix = f"{self._tag}.asked-preloaded-{number}."
            self._preload(prefix, end_ms)
            with self._start(WORKER, prefix, f"{self._tag}-asked-{number}") as running:
                measure_backlog(running, options.events, subjects, stretch_s, backlog)
            self._environment.say(
                f"worker {number} of {options.runs}: in {len(backlog.groups)} groups of stretches up to now "
                f"{backlog.over_all(with_requests=False).events_per_s:,.0f} events/s without requests, "
                f"{backlog.over_all(with_requests=True).events_per_s:,.0f} with"
            )
        return backlog

    def _run_asked_paced(self, load: float, seconds: float) -> Answers:
        prefix = f"{self._tag}.asked."
        events, end_ms = int((4 * seconds + WARM_UP_S + _WEB_MARGIN_S) * load), _now_ms()
        asyncio.run(ensure_topics(self._settings({"OTT_TOPIC_PREFIX": prefix}), say=self._environment.say))
        records = Load(events, self._options.users, end_ms, self._tag)
        subjects = subjects_of(islice(records, _ASKED_RECORDS))
        self._environment.say(f"an even load of {load:,.0f} events/s, four stretches of {seconds:g} s")
        with self._start(WORKER, prefix, f"{self._tag}-{WORKER.name}") as running:
            return measure_answers(running, records, subjects, load, seconds)

    def _subjects(self, end_ms: int) -> list[Subject]:
        """Whom the first of the preloaded records are about."""
        options = self._options
        load = Load(options.events, options.users, end_ms, self._tag)
        return subjects_of(islice(load, _ASKED_RECORDS))

    @contextmanager
    def _own_topics(self) -> Iterator[None]:
        """A broker that answers; the topics are deleted at the end where it stays."""
        settings = self._settings({})
        asyncio.run(wait_for_broker(settings, _BROKER_TIMEOUT_S, self._environment.say))
        try:
            yield
        finally:
            if not self._environment.is_embedded:
                delete_topics(settings, topics_with(settings, self._tag))

    def _run_preloaded(self) -> None:
        options, say = self._options, self._environment.say
        end_ms = _now_ms()
        contestants = (WORKER, YARDSTICK, SCORING) if THROUGHPUT in options.parts else (WORKER,)
        for number in range(1, options.runs + 1):
            # New topics: a worker would also read what the one of an earlier run has published. The yardstick does not.
            prefix = f"{self._tag}.preloaded-{number}."
            self._preload(prefix, end_ms)
            for contestant in contestants:
                if contestant.scores:
                    prefix = f"{self._tag}.preloaded-{number}-scored."
                    self._preload(prefix, end_ms)
                    self._publish_model(prefix)
                measured = self._measured[contestant.name]
                app_id = f"{self._tag}-{contestant.name}-{number}"
                with self._start(contestant, prefix, app_id) as running:
                    run = measure_throughput(running, options.events)
                    settings = running.settings
                if THROUGHPUT in options.parts:
                    measured.throughputs.append(run)
                    say(
                        f"run {number} of {options.runs}, {contestant.name}: "
                        f"{run.events_per_s:,.0f} events/s, "
                        f"{run.cpu_s_per_million:.1f} CPU s per million, "
                        f"{run.peak_memory_bytes / MEBIBYTE:,.0f} MB at most"
                    )
                    if not contestant.scores:
                        self._compare(run)
                if contestant is WORKER:
                    self._look_back(settings, app_id, prefix, number)

    def _look_back(self, settings: Settings, app_id: str, prefix: str, number: int) -> None:
        """What the worker left: its state's size, and how soon another has it."""
        measured, say = self._measured[WORKER.name], self._environment.say
        if measured.state is None:
            (changelog,) = topics_with(settings, f"{app_id}-{TABLE_NAME}-changelog")
            measured.state = measure_state(settings, changelog)
            say(
                f"the state of {measured.state.users:,} users takes {measured.state.bytes_per_user:,.0f} "
                f"bytes each, with {measured.state.events_per_user:.1f} events in the window"
            )
        if RECOVERY in self._options.parts:
            with self._start(WORKER, prefix, app_id) as running:
                recovery = measure_recovery(running, self._options.events)
            measured.recoveries.append(recovery)
            say(
                f"run {number} of {self._options.runs}, worker: recovered {recovery.keys:,} changelog "
                f"records in {recovery.seconds:.2f} s"
            )

    def _compare(self, run: Throughput) -> None:
        """Both judge the same records with the same evaluation: their counts are the same."""
        for name, measured in self._measured.items():
            for other in measured.throughputs[:1]:
                if other.accounts != run.accounts:
                    raise RefusedError(
                        f"two contestants disagree: {name} has {other.accounts}, now {run.accounts}"
                    )

    def _run_paced(self) -> None:
        options, say = self._options, self._environment.say
        load = options.load_per_s or self._half_load()
        events = min(options.events, int(load * _LATENCY_SECONDS))
        records = list(Load(events, options.users, _now_ms(), self._tag))
        for number in range(1, options.runs + 1):
            for contestant in (WORKER, SCORING, YARDSTICK):
                app_id = f"{self._tag}-{contestant.name}-paced-{number}"
                prefix = f"{app_id}."
                asyncio.run(ensure_topics(self._settings({"OTT_TOPIC_PREFIX": prefix}), say=say))
                if contestant.scores:
                    self._publish_model(prefix)
                with self._start(contestant, prefix, app_id) as running:
                    latency = measure_latency(running, records, load)
                self._measured[contestant.name].latencies.append(latency)
                say(
                    f"run {number} of {options.runs}, {contestant.name}: at {latency.load_per_s:,.0f} "
                    f"events/s a verdict takes {latency.p50_ms:,.0f} ms (p50), {latency.p99_ms:,.0f} ms (p99)"
                )

    def _half_load(self) -> float:
        runs = self._measured[WORKER.name].throughputs
        return median(run.events_per_s for run in runs) / 2 if runs else _LOAD_WITHOUT_THROUGHPUT

    def _preload(self, prefix: str, end_ms: int) -> None:
        """Send the events, the last of which are of this time."""
        options = self._options
        settings = self._settings({"OTT_TOPIC_PREFIX": prefix})
        asyncio.run(ensure_topics(settings, say=self._environment.say))
        begin = time.perf_counter()
        Sender(settings, settings.topic(RAW_EVENTS.name)).send_all(
            Load(options.events, options.users, end_ms, self._tag)
        )
        self._environment.say(
            f"preloaded {options.events:,} events of {options.users:,} users into {options.partitions} "
            f"partitions in {time.perf_counter() - begin:.1f} s"
        )

    def _publish_model(self, prefix: str) -> None:
        """Put the shipped model in force for the workers of a prefix."""
        settings = self._settings({"OTT_TOPIC_PREFIX": prefix})
        data = shipped_file()
        version = read_model(data, "the shipped model").version
        records = records_of(version, data, "ott bench", format_instant(_now_ms()))
        Sender(settings, settings.topic(MODEL_CONFIG.name), partition=0).send_all(records)

    def _start(self, contestant: Contestant, prefix: str, app_id: str) -> Running:
        self._started += 1
        directory = self._environment.directory
        variables = self._variables(
            {
                "OTT_TOPIC_PREFIX": prefix,
                "OTT_APP_ID": app_id,
                "OTT_STATE_DIR": str(directory / f"state-{self._started}"),
                "OTT_WEB_HOST": "127.0.0.1",
                "OTT_WEB_PORT": str(self._environment.free_port()),
                "OTT_DEMO": "true",
            }
        )
        log = directory / f"{self._started}-{contestant.name}.log"
        return Running(contestant, variables, log, self._environment.launch)

    def _settings(self, variables: Mapping[str, str]) -> Settings:
        return load_settings(environ={**os.environ, **self._variables(variables)})

    def _variables(self, more: Mapping[str, str]) -> dict[str, str]:
        variables = {
            "OTT_BOOTSTRAP_SERVERS": self._environment.bootstrap_servers,
            "OTT_PARTITIONS": str(self._options.partitions),
            **more,
        }
        if self._environment.is_embedded:
            # A group's join takes half of it there.
            variables["OTT_SESSION_TIMEOUT_MS"] = "6000"
        return variables


def _now_ms() -> int:
    return int(time.time() * 1000)
