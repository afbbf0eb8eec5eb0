"""The demo from start to end: starts a broker, a worker and a generator, watches them, and stops them."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pipeline.anomaly.shipped import shipped_file, shipped_model
from pipeline.cli.demo.children import Child
from pipeline.cli.demo.narration import say
from pipeline.cli.demo.progress import Broker, Progress
from pipeline.cli.demo.watch import Watch
from pipeline.cli.model_topic import put_in_force
from pipeline.errors import MissingError, RefusedError, UsageError
from pipeline.kafka.topics import ensure_topics
from pipeline.lab.local.ports import free_ports, is_free
from pipeline.logs import quiet_kafka_client
from pipeline.settings.schema import load_settings

if TYPE_CHECKING:
    from types import FrameType

    from pipeline.cli.demo.progress import Start
    from pipeline.settings.schema import Settings

DEFAULT_RATE = 200.0
# The embedded broker completes the join of a group after half of it. The default would cost five seconds at each start.
EMBEDDED_SESSION_TIMEOUT_MS = 6000
# Long enough to fill some windows, short enough for a laptop to catch up with the clock.
_HISTORY = "5m"
_BROKER_PORT = 9092
_BROKER_TIMEOUT_S = 10.0

_TERMINATED = 128 + signal.SIGTERM


class _Terminated(SystemExit):
    """Raised at SIGTERM and SIGHUP, so that everything is stopped in order, as with Ctrl-C.

    It is a SystemExit, because asyncio would swallow other exceptions that a signal handler raises.
    """


@dataclass(frozen=True, slots=True)
class Options:
    """The options of `scripts/run`; None for the default."""

    kafka: str | None
    events: int | None
    rate: float | None
    web_port: int | None
    broker_port: int | None
    generate: bool
    seed: int | None


def run_demo(options: Options) -> int:
    """Run the demo until Ctrl-C, or until the given number of events is accounted for.

    Returns:
        the exit status: 0, or 143 after SIGTERM.

    Raises:
        RefusedError: the accounts do not add up.
        MissingError: a port or a broker is missing, or a child failed.
        UsageError: options do not go together.
    """
    if options.kafka is not None and options.broker_port is not None:
        raise UsageError(
            "--broker-port is the embedded broker's; with --kafka the port is part of the address"
        )
    if not options.generate and (options.rate is not None or options.seed is not None):
        raise UsageError("--rate and --seed are the generator's; they do not go with --no-generate")
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets it
            signal.signal(number, _raise_terminated)
    quiet_kafka_client()
    directory = Path(tempfile.mkdtemp(prefix="ott-run-"))
    failed = True
    try:
        with ExitStack() as stack:
            demo = _Demo(options, directory, stack)
            try:
                demo.run()
            finally:
                # Everything is being stopped now. A second Ctrl-C would leave some of it running.
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN)
                if demo.has_started:
                    say("stopping everything")
        failed = False
    except (KeyboardInterrupt, _Terminated) as stopped:
        failed = False
        say("stopped; nothing is left running")
        if isinstance(stopped, KeyboardInterrupt):
            raise
        return _TERMINATED
    finally:
        _clean(directory, keep_logs=failed)
    return 0


def _clean(directory: Path, *, keep_logs: bool) -> None:
    """Delete the state, and also the logs unless a message names them."""
    if keep_logs and any(directory.glob("*.log")):
        shutil.rmtree(directory / "state", ignore_errors=True)
    else:
        shutil.rmtree(directory, ignore_errors=True)


def _raise_terminated(_number: int, _frame: FrameType | None) -> NoReturn:
    raise _Terminated


class _Demo:
    """One run. `stack` stops what was started, the last one first.

    Attributes:
        has_started: whether something has to be stopped.
    """

    def __init__(self, options: Options, directory: Path, stack: ExitStack) -> None:
        self._options = options
        self._directory = directory
        self._stack = stack
        self.has_started = False

    def run(self) -> None:
        # A wrong setting is reported before anything is started.
        settings = load_settings({"demo": True, "web_port": self._options.web_port})
        is_default = settings.origin("web_port") == "default"
        web_port = self._choose_port(settings.web_port, "web server", "--web-port", is_default=is_default)
        broker = self._start_broker()
        self.has_started = True
        variables = self._variables(broker, web_port)
        settings = load_settings(environ={**os.environ, **variables})
        report = asyncio.run(ensure_topics(settings, _BROKER_TIMEOUT_S))
        if report.created:
            say(f"created {len(report.created)} topics with {settings.partitions} partitions")
        if broker.is_new:
            asyncio.run(put_in_force(settings, shipped_model().version, shipped_file()))
            say("published the shipped anomaly model, which was trained on generated data")
        watch = self._stack.enter_context(
            Watch(settings, from_beginning=broker.is_new, each_id_once=self._options.events is not None)
        )
        say("starting the worker")
        worker = Child("worker", ["worker"], variables, self._directory / "worker.log")
        self._stack.enter_context(worker)
        web_address = _web_address(settings)
        progress = Progress(broker, worker, watch, web_address)
        start = progress.wait_until_ready()
        say(f"the worker is ready; its web address: {web_address}")
        say(
            f"verdicts in another terminal: .venv/bin/ott tail --bootstrap-servers {broker.bootstrap_servers}"
        )
        generator = self._start_generator(variables)
        if self._options.events is None:
            say("Ctrl-C stops everything")
            progress.follow(generator)
        self._account(progress, generator, start, self._options.events or 0)

    def _choose_port(self, port: int, what: str, flag: str, *, is_default: bool) -> int:
        if port == 0:
            return free_ports()[0]
        if is_free(port):
            return port
        if not is_default:
            raise MissingError(
                f"port {port} on 127.0.0.1 ({what}) is taken by another program; choose another with {flag}"
            )
        (other,) = free_ports()
        say(f"port {port} is taken by another program, so the {what} gets {other} (choose one with {flag})")
        return other

    def _start_broker(self) -> Broker:
        kafka = self._options.kafka
        if kafka == "local":
            from pipeline.lab.local.apache import KafkaCluster

            say("starting a real Apache Kafka (the first time Maven fetches its jars)")
            cluster = self._stack.enter_context(KafkaCluster())
            say(f"Apache Kafka is up on {cluster.bootstrap_servers}")
            return Broker(
                cluster.bootstrap_servers,
                is_embedded=False,
                is_new=True,
                has_ended=lambda: cluster.pid(1) is None,
                log=str(cluster.log(1)),
            )
        if kafka is not None:
            say(f"using the Kafka at {kafka}")
            return Broker(kafka, is_embedded=False, is_new=False, has_ended=lambda: False, log="")
        from pipeline.lab.local.tansu import EmbeddedBroker

        wanted = self._options.broker_port
        port = self._choose_port(
            _BROKER_PORT if wanted is None else wanted,
            "embedded broker",
            "--broker-port",
            is_default=wanted is None,
        )
        log = self._directory / "broker.log"
        embedded = self._stack.enter_context(EmbeddedBroker(port, log))
        say(f"the embedded Kafka broker is up on {embedded.bootstrap_servers}; it keeps everything in memory")
        return Broker(
            embedded.bootstrap_servers,
            is_embedded=True,
            is_new=True,
            has_ended=lambda: embedded.exit_code is not None,
            log=str(log),
        )

    def _variables(self, broker: Broker, web_port: int) -> dict[str, str]:
        """The variables that the children get beside those of this process."""
        variables = {
            "OTT_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "OTT_WEB_PORT": str(web_port),
            "OTT_DEMO": "true",
        }
        settings = load_settings(environ={**os.environ, **variables})
        # A state directory belongs to one cluster. The changelogs hold everything, so a new directory will do.
        if broker.is_new or settings.origin("state_dir") == "default":
            variables["OTT_STATE_DIR"] = str(self._directory / "state")
        if broker.is_embedded and settings.origin("session_timeout_ms") == "default":
            variables["OTT_SESSION_TIMEOUT_MS"] = str(EMBEDDED_SESSION_TIMEOUT_MS)
        return variables

    def _start_generator(self, variables: dict[str, str]) -> Child | None:
        options = self._options
        if not options.generate:
            say("no generator, as asked; send events to the topic raw-events")
            return None
        rate = options.rate
        if rate is None and options.events is None:
            rate = DEFAULT_RATE
        arguments = ["generate", "--json"]
        if options.events is not None:
            arguments += ["--events", str(options.events)]
        else:
            arguments += ["--events", "0", "--history", _HISTORY]
        if rate is not None:
            arguments += ["--rate", f"{rate:g}"]
        if options.seed is not None:
            arguments += ["--seed", str(options.seed)]
        generator = self._stack.enter_context(
            Child("generator", arguments, variables, self._directory / "generator.log")
        )
        how_many = "events without end" if options.events is None else f"{options.events:,} events"
        say(f"generating {how_many}" + ("" if rate is None else f", {rate:g} a second"))
        return generator

    def _account(self, progress: Progress, generator: Child | None, start: Start, asked: int) -> None:
        """Wait for the end of the run, print the accounts, and refuse them if they do not add up."""
        sent = asked if generator is None else progress.wait_until_sent(generator)
        balance = progress.wait_until_settled(start, sent)
        sys.stdout.write(balance.as_json() + "\n")
        sys.stdout.flush()
        faults = balance.faults()
        if faults:
            raise RefusedError(
                f"the accounts do not add up: {'; '.join(faults)}; the worker's log: "
                f"{self._directory / 'worker.log'}"
            )
        say(f"the accounts add up: all {sent:,} events are judged, duplicate or failed events")


def _web_address(settings: Settings) -> str:
    host = f"[{settings.web_host}]" if ":" in settings.web_host else settings.web_host
    return f"http://{host}:{settings.web_port}"
