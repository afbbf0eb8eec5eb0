"""The options that several commands share, and the settings that they give."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.settings.schema import Settings

BootstrapServers = Annotated[
    str | None,
    typer.Option("--bootstrap-servers", metavar="HOST:PORT", help="Kafka brokers, comma separated."),
]
TopicPrefix = Annotated[
    str | None, typer.Option("--topic-prefix", metavar="TEXT", help="Prefix of all topic names.")
]
Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings file instead of ott.toml.")
]
Wait = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", min=0, help="How long to wait for a broker.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def kafka_settings(
    bootstrap_servers: str | None, topic_prefix: str | None, config: Path | None, **others: object
) -> "Settings":
    """The settings of a command that talks to the brokers; the Kafka client's own messages are left out.

    Raises:
        UsageError: a value is not allowed.
        MissingError: the settings file cannot be read.
    """
    from pipeline.logs import quiet_kafka_client
    from pipeline.settings.schema import load_settings

    quiet_kafka_client()
    return load_settings(
        {"bootstrap_servers": bootstrap_servers, "topic_prefix": topic_prefix, "config": config, **others}
    )
