"""`ott model publish`, `rollback` and `list`: which model is in force. `pipeline.cli.model` has the other commands."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import AsJson, BootstrapServers, Config, TopicPrefix, Wait, kafka_settings

if TYPE_CHECKING:
    from pipeline.anomaly.artefact import Model
    from pipeline.cli.model_topic import Models
    from pipeline.settings.schema import Settings

app = typer.Typer()

DryRun = Annotated[bool, typer.Option("--dry-run", help="Check, and say what would change; write nothing.")]
_IN_FORCE = "in-force"
_VERSION_DIGITS = 16


@app.command(epilog="Example: ott model publish viewers.ottmodel --dry-run")
def publish(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="The model.")] = None,
    shipped: Annotated[
        bool, typer.Option("--shipped", help="The model of the package, which knows no real viewers.")
    ] = False,
    dry_run: DryRun = False,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
    wait: Wait = 10.0,
) -> None:
    """Put a model in force: every worker scores with it from its next batches on."""
    from pipeline.cli.model_topic import read_models
    from pipeline.errors import UsageError

    if (file is None) != shipped:
        raise UsageError("give the FILE of a model, or --shipped")
    data, model = file_of(file)
    settings = kafka_settings(bootstrap_servers, topic_prefix, config)
    models = asyncio.run(read_models(settings, wait))
    _put_in_force(settings, models, model.version, data, dry_run=dry_run)


@app.command(epilog="Example: ott model rollback; or to end all scoring: ott model rollback none")
def rollback(
    version: Annotated[
        str | None,
        typer.Argument(
            metavar="VERSION",
            help="One of `ott model list`, or none; default: the one that was published before.",
        ),
    ] = None,
    dry_run: DryRun = False,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
    wait: Wait = 10.0,
) -> None:
    """Put a former model in force again, or no model."""
    from pipeline.cli.model_topic import put_none_in_force, read_models
    from pipeline.errors import RefusedError
    from pipeline.evaluation.model_book import NONE

    settings = kafka_settings(bootstrap_servers, topic_prefix, config)
    models = asyncio.run(read_models(settings, wait))
    if version == NONE:
        if models.version == NONE and models.refused is None:
            typer.echo("no model is in force already")
            return
        if not dry_run:
            asyncio.run(put_none_in_force(settings))
        typer.echo(f"no model {'would be' if dry_run else 'is'} in force; before it: {models.version}")
        return
    chosen = models.before() if version is None else version
    if chosen is None:
        raise RefusedError(f"no other model was published than the one in force, {models.version}")
    _put_in_force(settings, models, chosen, _on_topic(settings, models, chosen, wait), dry_run=dry_run)


@app.command("list", epilog="Example: ott model list --json")
def list_models(
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
    wait: Wait = 10.0,
    as_json: AsJson = False,
) -> None:
    """List the models on the topic, the one that was published last first, and say which is in force."""
    from pipeline.cli.model_topic import read_models
    from pipeline.events.instants import format_instant
    from pipeline.writing import print_json

    models = asyncio.run(read_models(kafka_settings(bootstrap_servers, topic_prefix, config), wait))
    found = [
        {
            "version": version,
            "published_at": format_instant(listed.written),
            "in_force": version == models.version,
            "trained_on": listed.trained_on,
            "refused": listed.refused,
        }
        for version, listed in reversed(models.listed.items())
    ]
    by = None if models.in_force is None else models.in_force.by
    if as_json:
        print_json({"in_force": models.version, "by": by, "refused": models.refused, "models": found})
        return
    for one in found:
        state = f"in force, by {by}" if one["in_force"] else ""
        what = f"trained on {one['trained_on']}" if one["refused"] is None else f"refused: {one['refused']}"
        typer.echo(f"{one['version']}  {one['published_at']}  {state or '-'}  {what}")
    if models.refused is not None:
        sys.stderr.write(f"ott: {models.refused}\n")
    elif models.in_force is None:
        sys.stderr.write("ott: no model is in force; put one there with: ott model publish FILE\n")


def file_of(path: Path | None) -> tuple[bytes, "Model"]:
    """The bytes of a model file, or of the shipped model, and the model.

    Raises:
        MissingError: the file cannot be read.
        UsageError: it is no model, or does not fit.
    """
    from pipeline.anomaly.shipped import shipped_file
    from pipeline.assembly import model_bytes, parse_model

    data = shipped_file() if path is None else model_bytes(path)
    return data, parse_model(data, str(path or "the shipped model"))


def is_published(name: str) -> bool:
    """Whether a model is named by what stands on the topic; a file of the same name comes first."""
    is_version = len(name) == _VERSION_DIGITS and set(name) <= set("0123456789abcdef")
    return (name == _IN_FORCE or is_version) and not Path(name).exists()


def published_model(settings: "Settings", name: str, wait: float) -> "Model":
    """The model that `name` stands for; see `is_published`.

    Raises:
        RefusedError: no model is in force.
        UsageError: there is no such version, or it cannot be used.
        MissingError: the topic cannot be read.
    """
    from pipeline.assembly import parse_model
    from pipeline.cli.model_topic import read_models
    from pipeline.errors import RefusedError

    models = asyncio.run(read_models(settings, wait))
    if name == _IN_FORCE and models.in_force is None:
        raise RefusedError(
            models.refused or "no model is in force; put one there with: ott model publish FILE"
        )
    version = models.version if name == _IN_FORCE else name
    return parse_model(_on_topic(settings, models, version, wait), f"model {version}")


def _on_topic(settings: "Settings", models: "Models", version: str, wait: float) -> bytes:
    """The bytes of a model that workers can read.

    Raises:
        UsageError: it is not on the topic, or cannot be used.
    """
    from pipeline.cli.model_topic import read_file
    from pipeline.errors import UsageError
    from pipeline.events.foreign import shown

    listed = models.listed.get(version)
    data = None if listed is None else asyncio.run(read_file(settings, version, wait))
    if listed is None or data is None:
        raise UsageError(f"there is no model {shown(version)} on the topic; see: ott model list")
    if listed.refused is not None:
        raise UsageError(listed.refused)
    return data


def _put_in_force(
    settings: "Settings", models: "Models", version: str, data: bytes, *, dry_run: bool
) -> None:
    from pipeline.cli.model_topic import put_in_force

    if models.version == version:
        typer.echo(f"model {version} is in force already")
        return
    if not dry_run:
        asyncio.run(put_in_force(settings, version, data))
    done = "would be in force" if dry_run else "is in force"
    typer.echo(f"model {version} {done}; before it: {models.version}")
