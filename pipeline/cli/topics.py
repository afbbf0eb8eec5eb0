"""`ott topics`: creates missing topics, and compares topics with the contract and the settings."""

import asyncio
import sys
from typing import Annotated

import typer

from pipeline.cli.options import AsJson, BootstrapServers, Config, TopicPrefix, Wait

app = typer.Typer(help="Create the topics, or check them against the contract and the settings.")

Partitions = Annotated[int | None, typer.Option(metavar="N", help="Partitions of each topic.")]
ReplicationFactor = Annotated[int | None, typer.Option(metavar="N", help="Replicas of each partition.")]


@app.command(epilog="Example: ott topics create --partitions 8")
def create(
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    partitions: Partitions = None,
    replication_factor: ReplicationFactor = None,
    config: Config = None,
    wait: Wait = 10.0,
    as_json: AsJson = False,
) -> None:
    """Create the topics that are missing; those that exist stay as they are."""
    flags = {name: value for name, value in locals().items() if name not in {"wait", "as_json"}}
    from pipeline.kafka.topics import ensure_topics
    from pipeline.settings.schema import load_settings
    from pipeline.writing import print_json

    settings = load_settings(flags)
    report = asyncio.run(ensure_topics(settings, wait))
    if as_json:
        print_json(
            {
                "created": list(report.created),
                "existing": list(report.existing),
                "partitions": dict(report.partitions),
            }
        )
        return
    for name, count in report.partitions.items():
        state = "created" if name in report.created else "there already"
        typer.echo(f"{name}: {state}, {count} partitions")


@app.command(epilog="Example: ott topics check --json")
def check(
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    partitions: Partitions = None,
    replication_factor: ReplicationFactor = None,
    config: Config = None,
    wait: Wait = 10.0,
    as_json: AsJson = False,
) -> None:
    """Say in what the topics differ from the contract and the settings; exit 1 if they do."""
    flags = {name: value for name, value in locals().items() if name not in {"wait", "as_json"}}
    from dataclasses import asdict

    from pipeline.errors import RefusedError
    from pipeline.kafka.topics import check_topics
    from pipeline.settings.schema import load_settings
    from pipeline.writing import print_json

    settings = load_settings(flags)
    differences = asyncio.run(check_topics(settings, wait))
    if as_json:
        print_json([asdict(difference) for difference in differences])
    else:
        for difference in differences:
            typer.echo(str(difference))
    if not differences:
        sys.stderr.write(f"ott: the topics at {settings.bootstrap_servers} are as they should be\n")
        return
    way_out = (
        "; create the missing ones with: ott topics create"
        if any(difference.found == "missing" for difference in differences)
        else ""
    )
    raise RefusedError(f"{len(differences)} difference(s) at {settings.bootstrap_servers}{way_out}")
