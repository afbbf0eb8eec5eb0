"""`ott topics`: creates the topics that are missing, and says in what they differ."""

import asyncio
import sys
from typing import Annotated

import typer

from pipeline.cli.options import AsJson, BootstrapServers, Config, TopicPrefix

app = typer.Typer(help="Create the topics, or check them against the contract and the settings.")

Partitions = Annotated[int | None, typer.Option(metavar="N", help="Partitions of each topic.")]
ReplicationFactor = Annotated[int | None, typer.Option(metavar="N", help="Replicas of each partition.")]
Wait = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", min=0, help="How long to wait for a broker.")
]


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
    from pipeline.cli.output import print_json
    from pipeline.kafka.topics import ensure_topics
    from pipeline.settings.schema import load_settings

    settings = load_settings(
        {
            "bootstrap_servers": bootstrap_servers,
            "topic_prefix": topic_prefix,
            "partitions": partitions,
            "replication_factor": replication_factor,
            "config": config,
        }
    )
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
    from dataclasses import asdict

    from pipeline.cli.output import print_json
    from pipeline.errors import RefusedError
    from pipeline.kafka.topics import check_topics
    from pipeline.settings.schema import load_settings

    settings = load_settings(
        {
            "bootstrap_servers": bootstrap_servers,
            "topic_prefix": topic_prefix,
            "partitions": partitions,
            "replication_factor": replication_factor,
            "config": config,
        }
    )
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
