"""`ott replay`: judges a range of the topics again."""

import asyncio
import os
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import AsJson, BootstrapServers, Config, TopicPrefix, kafka_settings

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

    from pipeline.history.output import Manifest
    from pipeline.history.survey import Survey, TimeRange

TOPIC = "topic:"
_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_MOST_PARTITIONS = 10_000


def replay(
    begin: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Begin of the range, such as 2026-11-28T00:00:00Z."),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option("--to", metavar="TIME", help="End of the range, which does not belong to it."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|topic:NAME",
            help="Where the verdicts go: a file, one a line, where .gz and .zst are compressed; or a topic, and beside "
            "it the file NAME.replay.jsonl here.",
        ),
    ] = None,
    partitions: Annotated[
        str | None, typer.Option(metavar="N,N-N", help="Only these partitions of raw-events.")
    ] = None,
    user: Annotated[str | None, typer.Option(metavar="ID", help="Only the verdicts of this user.")] = None,
    rules: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Judge everything with this rule set, not with those in force then."
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Score everything with this model, not with those in force then."),
    ] = None,
    warmup: Annotated[
        str,
        typer.Option(
            metavar="TIME|all",
            help="How long before the range the records are judged without being published, beside the hour of the "
            "window: 30m, 6h, 2d; all: from the oldest record.",
        ),
    ] = "1h",
    subjects: Annotated[
        bool,
        typer.Option(
            "--subjects/--no-subjects",
            help="Judge titles and devices too; not with --partitions or --user, because it needs all events.",
        ),
    ] = True,
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, help="Processes; each judges one partition at a time.")
    ] = max(1, os.cpu_count() or 1),
    into_live: Annotated[
        bool, typer.Option("--into-live", help="Allow a topic of the running application as the output.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be read. Nothing is judged or written.")
    ] = False,
    as_json: AsJson = False,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
) -> int:
    """Judge a range of raw-events again, with the rule sets and privacy requests that were in force.

    Times are those of Kafka's records. Without --from it begins with the oldest record, without --to it ends with the
    newest. A start that was stopped goes on with the next one; live topics, groups and tables are only read.

    Status 1 if the accounts do not add up.
    """
    from pipeline.assembly import model_bytes, parse_model
    from pipeline.errors import UsageError
    from pipeline.history.publishing import require_target
    from pipeline.history.replay import Replay
    from pipeline.writing import print_json

    settings = kafka_settings(bootstrap_servers, topic_prefix, config, rules=rules)
    times = time_range(begin, end, warmup)
    chosen = _chosen(partitions, user)
    if output is None and not dry_run:
        raise UsageError("--output is missing: a file for the verdicts; or use --dry-run")
    asked = Replay(
        settings,
        times,
        chosen,
        user,
        own_rules=rules is not None,
        model=None if model is None else parse_model(model_bytes(model), str(model)),
        subjects=subjects and chosen is None and user is None,
        topic=_topic(output),
    )
    if output is None or dry_run:
        found = asked.survey()
        if as_json:
            print_json(_plan(found))
        else:
            _show_plan(found)
        return 0
    path = Path(output)
    if asked.topic is not None:
        path = Path(f"{asked.topic}.replay.jsonl")
        asyncio.run(require_target(settings, settings.topic(asked.topic), live=into_live))
    with progress_bar(as_json) as watch:
        manifest, already = asked.run(path, workers, watch)
    summary = _summary(manifest, output)
    if as_json:
        print_json({**summary, "already_complete": already})
    if already:
        sys.stderr.write(
            f"ott: {output} is complete already; delete {path} and {path}.manifest.json to judge again\n"
        )
    sys.stderr.write(f"ott: {_in_words(summary)}\n")
    if summary["not_met"] and chosen is None and user is None:
        sys.stderr.write(
            f"ott: {summary['not_met']:,} events are in the wrong partition and no worker has forwarded them; they are "
            "not judged\n"
        )
        return 1
    return 0


def _topic(output: str | None) -> str | None:
    """The name in `topic:NAME`; None for a file."""
    from pipeline.errors import UsageError

    if output is None or not output.startswith(TOPIC):
        return None
    name = output.removeprefix(TOPIC)
    if re.fullmatch(r"[A-Za-z0-9._-]{1,249}", name) is None or name in {".", ".."}:
        raise UsageError(f"--output {output}: a topic is named by letters, digits, '.', '_' and '-'")
    return name


def time_range(begin: str | None, end: str | None, warmup: str) -> "TimeRange":
    """The range of two times and a warm-up, as the person wrote them.

    Raises:
        UsageError: one of them is none, or the range is empty.
    """
    from pipeline.errors import UsageError
    from pipeline.history.reading import OLDEST
    from pipeline.history.survey import TimeRange
    from pipeline.windows.window import WINDOW_MS

    first = OLDEST if begin is None else _instant("--from", begin)
    last = None if end is None else _instant("--to", end)
    if last is not None and last <= first:
        raise UsageError(f"--to {end} is not later than --from {begin}; the range is empty")
    before = warmup_ms(warmup)
    return TimeRange(first, last, OLDEST if before is None else max(OLDEST, first - before - WINDOW_MS))


def warmup_ms(text: str) -> int | None:
    """The milliseconds of a --warmup; None for all.

    Raises:
        UsageError: it is no time.
    """
    from pipeline.errors import UsageError

    if text == "all":
        return None
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if found is None:
        raise UsageError(f"--warmup {text!r} is no time; write 30m, 1h, 2d or all")
    return int(found[1]) * _UNITS_MS[found[2]]


def _instant(option: str, text: str) -> int:
    from pipeline.errors import UsageError
    from pipeline.events.instants import parse_instant

    try:
        time = parse_instant(text)
    except ValueError as error:
        raise UsageError(f"{option} {text!r} is no time ({error}); write 2026-11-28T14:30:00Z") from None
    if time <= 0:
        raise UsageError(f"{option} {text} is before 1970; records of Kafka have later times")
    return time


def _chosen(partitions: str | None, user: str | None) -> list[int] | None:
    """The numbers of --partitions; None without it."""
    from pipeline.errors import UsageError

    if user is not None and partitions is not None:
        raise UsageError("--user names one partition by itself; leave out --partitions")
    if user is not None and not user:
        raise UsageError("--user is empty; give the id of a user")
    return None if partitions is None else numbers_of(partitions)


def numbers_of(text: str) -> list[int]:
    """The numbers of --partitions.

    Raises:
        UsageError: it is no list of numbers.
    """
    from pipeline.errors import UsageError

    numbers: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", part.strip())
        first = last = -1
        if found is not None:
            first, last = int(found[1]), int(found[2] or found[1])
        if not 0 <= first <= last < _MOST_PARTITIONS:
            raise UsageError(f"--partitions {text!r} is no list of numbers; write 0,3 or 0-3")
        numbers.update(range(first, last + 1))
    return sorted(numbers)


@contextmanager
def progress_bar(as_json: bool) -> "Iterator[Callable[[int, int], None]]":
    """A progress bar with share, rate and time left, if standard error is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[pace]}"),
        TimeRemainingColumn(),
    )
    hidden = as_json or not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=hidden) as shown:
        task = shown.add_task("events", total=None, pace="")

        def watch(judged: int, total: int) -> None:
            speed = shown.tasks[task].speed
            pace = "" if speed is None else f"{speed:,.0f}/s"
            shown.update(task, completed=judged, total=total, pace=pace)

        yield watch


def _plan(found: "Survey") -> dict[str, Any]:
    return {
        "partitions": [
            {
                "partition": one.partition,
                "warmup_from": one.warm,
                "from": one.first,
                "to": one.last,
                "judged_to": one.end,
                "journal": len(found.lines[one.partition]),
            }
            for one in found.ranges
        ],
        "records": sum(one.last - one.first for one in found.ranges),
        "warmup_records": sum(one.first - one.warm for one in found.ranges),
        "rule_sets": sorted(
            {line.id for lines in found.lines.values() for line in lines if line.kind == "ruleset"}
        ),
    }


def _show_plan(found: "Survey") -> None:
    plan = _plan(found)
    for one in plan["partitions"]:
        typer.echo(
            f"partition {one['partition']}: offsets {one['from']} to {one['to']}, warm-up from {one['warmup_from']}, "
            f"{one['journal']} lines in the journal"
        )
    typer.echo(
        f"{plan['records']:,} offsets, and {plan['warmup_records']:,} for the warm-up; "
        f"rule sets: {', '.join(plan['rule_sets']) or 'that of the settings'}"
    )


def _summary(manifest: "Manifest", output: str) -> dict[str, Any]:
    events, requests = manifest.total()
    read = events["judged"] + events["duplicate"] + events["failed"]
    return {
        "output": output,
        "read": read,
        "judged": events["judged"],
        "flagged": events["flagged"],
        "duplicate": events["duplicate"],
        "failed": events["failed"],
        "late": events["late"],
        "misplaced": events["misplaced"],
        "rekeyed": events["rekeyed"],
        "not_met": max(0, events["misplaced"] - events["rekeyed"]),
        "requests": requests["request"],
        "failed_requests": requests["failed"],
        "verdicts": sum(done.lines for done in manifest.done.values()),
        "subject_verdicts": manifest.subjects or 0,
        "rules": _named(events, "rule."),
        "levels": _named(events, "level."),
    }


def _named(counts: "Counter[str]", prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): counts[name] for name in sorted(counts) if name.startswith(prefix)}


def _in_words(summary: dict[str, Any]) -> str:
    return (
        f"read {summary['read']:,} records: {summary['judged']:,} judged ({summary['flagged']:,} flagged), "
        f"{summary['duplicate']:,} duplicates, {summary['failed']:,} failed; {summary['rekeyed']:,} of them re-keyed; "
        f"{summary['requests']:,} privacy requests applied; verdicts in {summary['output']}: "
        f"{summary['verdicts']:,} on users, {summary['subject_verdicts']:,} on titles and devices"
    )
