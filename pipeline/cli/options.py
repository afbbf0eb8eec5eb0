"""The options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

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
