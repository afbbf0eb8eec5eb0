"""`ott tail`: shows the records of a topic as lines while they arrive."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import BootstrapServers, Config, TopicPrefix, Wait, kafka_settings

if TYPE_CHECKING:
    from pipeline.cli.rendering import Filter
    from pipeline.settings.schema import Settings

# Records of these topics are JSON documents of ours. For programs, all others are put into an envelope.
_DOCUMENTS = frozenset({"flagged-events", "failed-events"})


def tail(
    topic: Annotated[
        str, typer.Argument(metavar="[TOPIC]", help="Name without the prefix.")
    ] = "flagged-events",
    level: Annotated[
        str | None, typer.Option(metavar="LOW|MEDIUM|HIGH", help="Verdicts of this level or a higher one.")
    ] = None,
    rule: Annotated[
        str | None, typer.Option(metavar="ID", help="Verdicts of this rule, or family of rules (privacy).")
    ] = None,
    user: Annotated[str | None, typer.Option(metavar="ID", help="Records of this user or subject.")] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Start with the oldest record instead of the next one.")
    ] = False,
    count: Annotated[int | None, typer.Option(metavar="N", min=1, help="Stop after N records.")] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Records for programs, one a line: verdicts and failed events as they are, others in an "
            "envelope that `ott judge` reads.",
        ),
    ] = False,
    runbook: Annotated[
        bool | None,
        typer.Option(
            "--runbook/--no-runbook",
            help="Below the first verdict of each rule, what to do when it fires. "
            "Default: only where the output is a terminal; never with --json.",
        ),
    ] = None,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
    wait: Wait = 10.0,
) -> None:
    """Follow flagged-events (or another topic) as lines: time, level, subject, findings in words."""
    from pipeline.cli.rendering import LEVELS, Filter
    from pipeline.errors import UsageError

    settings = kafka_settings(bootstrap_servers, topic_prefix, config)
    if level is not None and level.upper() not in LEVELS[1:]:
        raise UsageError(f"--level {level} is unknown; use LOW, MEDIUM or HIGH")
    if topic != "flagged-events" and (level is not None or rule is not None):
        raise UsageError(f"--level and --rule are of verdicts; the records of {topic} have neither")
    chosen = Filter(level.upper() if level else None, rule, user)
    if runbook is None:
        runbook = sys.stdout.isatty()
    asyncio.run(_follow(settings, topic, chosen, from_beginning, count, as_json, wait, runbook=runbook))


async def _follow(
    settings: "Settings",
    topic: str,
    chosen: "Filter",
    from_beginning: bool,
    count: int | None,
    as_json: bool,
    wait: float,
    *,
    runbook: bool,
) -> None:
    from rich.console import Console

    from pipeline.cli.rendering import Record, envelope, render, runbook_lines
    from pipeline.kafka.follower import follow
    from pipeline.writing import STANDARD_OUTPUT, naming

    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    shown = 0
    rules: set[str] = set()
    async with follow(
        settings, [settings.topic(topic)], from_oldest=from_beginning, timeout_s=wait
    ) as follower:
        while count is None or shown < count:
            for got in await follower.next_records():
                record = Record(topic, got.partition, got.offset, got.timestamp, got.key, got.value)
                if not chosen.admits(record) or shown == count:
                    continue
                shown += 1
                with naming(STANDARD_OUTPUT):
                    if not as_json:
                        console.print(render(record))
                        for line in runbook_lines(record, rules) if runbook else ():
                            console.print(line)
                    elif topic in _DOCUMENTS and record.document() is not None:
                        sys.stdout.buffer.write((record.value or b"") + b"\n")
                    else:
                        sys.stdout.buffer.write(envelope(record).encode() + b"\n")
            with naming(STANDARD_OUTPUT):
                sys.stdout.flush()
