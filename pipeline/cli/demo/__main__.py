"""The command line of `scripts/run`."""

import sys
from typing import Annotated

import typer

from pipeline.cli import run


def demo(
    kafka: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT|local",
            help="Kafka to use instead of the embedded broker; local starts a real Apache Kafka "
            "(needs Java 17 and Maven).",
        ),
    ] = None,
    events: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Stop when N events were sent and accounted for; the accounts go to standard output as one "
            "line of JSON, and the exit status is 0 only if they add up.",
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(metavar="R", help="Events a second (default: 200; with --events as fast as it goes)."),
    ] = None,
    web_port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT", min=0, max=65535, help="Web port of the worker (8000); 0: any free one."
        ),
    ] = None,
    broker_port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT", min=0, max=65535, help="Port of the embedded broker (9092); 0: any free one."
        ),
    ] = None,
    no_generate: Annotated[
        bool, typer.Option("--no-generate", help="Start everything but the generator.")
    ] = False,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of the generated events.")] = None,
) -> int:
    """Set up and start everything: a broker, the topics, a worker, a generator; Ctrl-C stops all of it."""
    from pipeline.cli.demo.runner import Options, run_demo

    return run_demo(
        Options(
            kafka=kafka,
            events=events,
            rate=rate,
            web_port=web_port,
            broker_port=broker_port,
            generate=not no_generate,
            seed=seed,
        )
    )


def _build() -> typer.Typer:
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command(epilog="Example: ./scripts/run --events 20000")(demo)
    return app


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], _build, "scripts/run"))
