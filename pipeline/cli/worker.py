"""`ott worker`: one Faust worker in the foreground."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import BootstrapServers, Config, TopicPrefix


def worker(
    bootstrap_servers: BootstrapServers = None,
    state_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Local state; one worker at a time.")
    ] = None,
    app_id: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Consumer group and prefix of the changelogs.")
    ] = None,
    topic_prefix: TopicPrefix = None,
    partitions: Annotated[
        int | None, typer.Option(metavar="N", help="Partitions of topics that it creates.")
    ] = None,
    replication_factor: Annotated[
        int | None, typer.Option(metavar="N", help="Replicas of topics that it creates.")
    ] = None,
    commit_interval_ms: Annotated[
        int | None, typer.Option(metavar="MS", help="Time between commits.")
    ] = None,
    session_timeout_ms: Annotated[
        int | None, typer.Option(metavar="MS", help="How long the group waits for a silent worker.")
    ] = None,
    standby_replicas: Annotated[
        int | None, typer.Option(metavar="N", help="Standby copies of every partition's state.")
    ] = None,
    web_host: Annotated[
        str | None, typer.Option(metavar="HOST", help="Where the web server listens.")
    ] = None,
    web_port: Annotated[
        int | None, typer.Option(metavar="PORT", help="Port of the web server; 0 takes a free one.")
    ] = None,
    instance_id: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Static membership in the consumer group.")
    ] = None,
    rules: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Rule set to start with, instead of the built-in one.")
    ] = None,
    demo: Annotated[
        bool | None, typer.Option("--demo/--no-demo", help="Demo accounts; loopback only.")
    ] = None,
    log_format: Annotated[str | None, typer.Option(metavar="text|json", help="Form of the log.")] = None,
    log_level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="debug, info, warning, error or critical.")
    ] = None,
    config: Config = None,
    show_settings: Annotated[
        bool, typer.Option("--show-settings", help="Print each setting with where it came from, and exit.")
    ] = False,
) -> int:
    """Run one worker in the foreground.

    A flag wins over the environment (OTT_...), the environment over the file (ott.toml, or OTT_CONFIG),
    the file over the default.
    """
    flags = {name: value for name, value in locals().items() if name != "show_settings"}
    from pipeline.settings.schema import load_settings

    settings = load_settings(flags)
    if show_settings:
        rows = settings.show()
        name_width = max(len(row.name) for row in rows)
        value_width = max(len(row.value) for row in rows)
        for row in rows:
            typer.echo(f"{row.name:{name_width}}  {row.value:{value_width}}  {row.origin}")
        return 0
    from pipeline.worker import run

    return run(settings)
