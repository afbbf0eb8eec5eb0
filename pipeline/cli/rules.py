"""`ott rules`: checks, compares, tries out and publishes rule sets."""

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import AsJson, BootstrapServers, Config, TopicPrefix, kafka_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.evaluation.rule_book import RuleBook
    from pipeline.history.rule_sets import Published
    from pipeline.history.survey import Line
    from pipeline.rules.ruleset import RuleSet
    from pipeline.settings.schema import Settings

app = typer.Typer(help="Check, compare, try out and publish rule sets.")

File = Annotated[Path, typer.Argument(metavar="FILE", help="A rule set, TOML or JSON.")]


@app.command(epilog="Example: ott rules check stricter.toml")
def check(file: File) -> None:
    """Say whether a file is a valid rule set. Status 1 if it is not."""
    ruleset = _read(file)[1]
    typer.echo(f"{file} is valid: version {ruleset.version}, {len(ruleset.rules)} rules")


@app.command(epilog="Example: ott rules diff stricter.toml")
def diff(
    file: File,
    other: Annotated[
        Path | None,
        typer.Argument(metavar="[OTHER]", help="Default: the one that is published, or of the settings."),
    ] = None,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
) -> int:
    """Show what FILE changes, one line for each parameter. Status 1 if there is a difference."""
    from pipeline.web.views.rules import differences

    ruleset = _read(file)[1]
    if other is not None:
        before = _read(other)[1]
    else:
        book = asyncio.run(_book(kafka_settings(bootstrap_servers, topic_prefix, config)))
        before = book.ruleset(book.newest)
    changes = list(differences(before, ruleset))
    for change in changes:
        typer.echo(change)
    return 1 if changes else 0


@app.command(epilog="Example: ott rules publish stricter.toml")
def publish(
    file: File,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
) -> None:
    """Put a rule set in force: each partition takes it with its next batch."""
    from pipeline.errors import RefusedError
    from pipeline.rules.ruleset import RuleSetError
    from pipeline.web.views.rules import differences

    document, ruleset = _read(file)
    settings = kafka_settings(bootstrap_servers, topic_prefix, config)
    book = asyncio.run(_book(settings))
    try:
        book.check_version(ruleset)
    except RuleSetError as error:
        raise RefusedError(f"{file}: {error}") from None
    before = book.ruleset(book.newest)
    if before == ruleset:
        typer.echo(f"{ruleset.version} is published already")
        return
    for change in differences(before, ruleset):
        typer.echo(change)
    if not dry_run:
        asyncio.run(_send(settings, document))
    typer.echo(f"{ruleset.version} {'would be' if dry_run else 'is'} published after {before.version}")


@app.command(epilog="Example: ott rules history --json")
def history(
    as_json: AsJson = False,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
) -> None:
    """Show the rule sets on rule-config, and where control-journal says that each took effect.

    The topic is compacted, so former rule sets disappear from it in time; the journal is kept as long as events.
    """
    from pipeline.events.instants import format_instant
    from pipeline.history.survey import read_journal, read_rules
    from pipeline.writing import print_json

    settings = kafka_settings(bootstrap_servers, topic_prefix, config)

    async def read() -> "tuple[list[Published], dict[int, list[Line]]]":
        return await read_rules(settings), await read_journal(settings)

    published, journal = asyncio.run(read())
    taken: dict[str, dict[int, int]] = {}
    for partition, lines in sorted(journal.items()):
        for line in lines:
            if line.kind == "ruleset":
                taken.setdefault(line.id, {})[partition] = line.offset
    times = {one.version: format_instant(one.at) for one in published if one.document}
    versions = list(dict.fromkeys([*taken, *times]))
    if as_json:
        print_json(
            [
                {
                    "version": version,
                    "published_at": times.get(version),
                    "in_force_from": taken.get(version, {}),
                }
                for version in versions
            ]
        )
        return
    for version in versions:
        offsets = ", ".join(
            f"{number} from offset {offset}" for number, offset in taken.get(version, {}).items()
        )
        typer.echo(
            f"{version}: published {times.get(version, 'in the settings, or not kept any more')}; partitions: "
            f"{offsets or 'none yet'}"
        )


@app.command(epilog="Example: ott rules backtest stricter.toml --from 2026-11-27T00:00:00Z")
def backtest(
    file: File,
    begin: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Begin of the range.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="End of the range.")] = None,
    partitions: Annotated[
        str | None, typer.Option(metavar="N,N-N", help="Only these partitions of raw-events.")
    ] = None,
    warmup: Annotated[str, typer.Option(metavar="TIME|all", help="As of ott replay.")] = "1h",
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes.")] = max(
        1, os.cpu_count() or 1
    ),
    examples: Annotated[int, typer.Option(metavar="N", min=0, help="Examples of each kind.")] = 3,
    progress: Annotated[
        bool, typer.Option("--progress", help="Write progress as lines to standard error, for programs.")
    ] = False,
    as_json: AsJson = False,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
) -> None:
    """Show which verdicts on users a rule set would add, remove or change, by rule and level, with examples.

    Events are read once and judged twice: with the rule sets that were in force, and with FILE. Nothing is written.
    """
    from pipeline.cli.diff import as_document, show_difference
    from pipeline.cli.replay import numbers_of, progress_bar, time_range
    from pipeline.history.backtest import CONCERNED
    from pipeline.history.backtest import backtest as run
    from pipeline.writing import print_json

    document, _ = _read(file)
    settings = kafka_settings(bootstrap_servers, topic_prefix, config)
    times = time_range(begin, end, warmup)
    chosen = None if partitions is None else numbers_of(partitions)
    with progress_bar(as_json or progress) as watch:
        found = run(
            settings, document, times, chosen, workers, examples, _progress_lines() if progress else watch
        )
    users = found.users.most_common(CONCERNED)
    if as_json:
        print_json({"judged": found.judged, **as_document(found.difference), "users": dict(users)})
        return
    typer.echo(
        f"{found.judged:,} events were judged with the rule sets in force then (A) and with {file} (B)"
    )
    show_difference(found.difference)
    for user, count in users:
        typer.echo(f"concerned: {user}, {count:,} verdicts")


def _progress_lines() -> "Callable[[int, int], None]":
    """Writes how many records were read, once for each per cent."""
    last = -1

    def watch(read: int, total: int) -> None:
        nonlocal last
        share = 100 * read // max(total, 1)
        if share != last:
            last = share
            sys.stderr.write(f"{read} of {total} records\n")
            sys.stderr.flush()

    return watch


def _read(file: Path) -> "tuple[str, RuleSet]":
    """The text and the rule set of a file."""
    from pipeline.errors import MissingError, RefusedError
    from pipeline.events.foreign import UnreadableError, read_text
    from pipeline.rules.ruleset import MAX_DOCUMENT_BYTES, RuleSetError, parse_ruleset

    try:
        with file.open("rb") as opened:
            # One byte more than allowed is enough to refuse a file of any size.
            text = read_text(opened.read(MAX_DOCUMENT_BYTES + 1))
        return text, parse_ruleset(text, str(file))
    except OSError as error:
        raise MissingError(f"{file} cannot be read: {error.strerror}") from None
    except UnreadableError as error:
        raise RefusedError(f"{file}: {error}") from None
    except RuleSetError as error:
        raise RefusedError(str(error)) from None


async def _book(settings: "Settings") -> "RuleBook":
    """The rule sets as a worker with these settings knows them."""
    from pipeline.assembly import build_evaluator
    from pipeline.coordination.rule_config import KEY
    from pipeline.evaluation.rule_book import RuleBook
    from pipeline.history.reading import records_of
    from pipeline.kafka.topics import RULE_CONFIG

    book = RuleBook(build_evaluator(settings).ruleset)
    records = [record async for record in records_of(settings, settings.topic(RULE_CONFIG.name))]
    for record in sorted(records, key=lambda record: record.timestamp):
        if record.key == KEY:
            book.offer(record.value, record.timestamp, record.offset)
    return book


async def _send(settings: "Settings", document: str) -> None:
    from aiokafka import AIOKafkaProducer
    from aiokafka.errors import KafkaError

    from pipeline.coordination.rule_config import KEY
    from pipeline.kafka.brokers import broker_trouble
    from pipeline.kafka.topics import RULE_CONFIG

    try:
        async with AIOKafkaProducer(**settings.kafka_client_options(), acks="all") as producer:
            await producer.send_and_wait(settings.topic(RULE_CONFIG.name), document.encode(), KEY)
    except KafkaError as error:
        raise broker_trouble(settings, error) from error
