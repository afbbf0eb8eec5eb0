"""`ott generate`: sends events of a made-up audience, and writes the truth about them if asked to."""

from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import AsJson, BootstrapServers, Config, TopicPrefix, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.lab.generator.running import Job, Outcome, ToFile, ToHttp, ToKafka
    from pipeline.lab.generator.stream import Plan

    Watch = Callable[[Plan], Callable[[int], None]]

# So many tasks send at once. Kafka needs few, because batches are large; with HTTP a task waits for every answer.
_KAFKA_TASKS = 4
_HTTP_TASKS = 16
_HTTP_PATIENCE_S = 30.0


class LineFormat(StrEnum):
    """The form of a line of the output."""

    RAW = "raw"
    ENVELOPE = "envelope"


class StoriesOption(StrEnum):
    """The names of `Stories`; the generator itself is imported only when it runs."""

    USUAL = "usual"
    QUIET = "quiet"
    EVERYDAY = "everyday"
    TUNING = "tuning"
    UNSEEN = "unseen"


def _share(what: str) -> object:
    return typer.Option(metavar="SHARE", min=0, max=0.3, help=f"Share of events that {what}.")


def generate(
    events: Annotated[
        int | None,
        typer.Option(
            "--events",
            "-n",
            metavar="N",
            min=0,
            help="Send exactly N events; 0: without end. Default 10000; with --rate and no past stretch: "
            "without end.",
        ),
    ] = None,
    users: Annotated[
        int | None, typer.Option(metavar="U", help="Size of the audience; default: what N events need.")
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(metavar="C", min=1, max=256, help="Tasks that send at once (Kafka 4, HTTP 16)."),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            metavar="S", help="Same seed, options and --until (or --from and a length), same bytes."
        ),
    ] = 1,
    rate: Annotated[
        float,
        typer.Option(metavar="R", min=0, help="Events a second; 0: as fast as possible."),
    ] = 0.0,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Simulate a past stretch that begins there (RFC 3339)."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="... and ends there (RFC 3339); default: now.")
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="... of this length (90m, 6h, 2d); default: what N events need."),
    ] = None,
    history: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="With --rate and no past stretch: begin that long before now, catch up with the clock "
            "within a minute and follow it; 0s begins now.",
        ),
    ] = "60m",
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write lines to a file (-: standard output)."),
    ] = None,
    line_format: Annotated[
        LineFormat | None,
        typer.Option(
            "--format",
            help="Lines of --output: raw values (default), or envelopes with topic, partition, timestamp and "
            "key, which can hold every kind of broken message.",
        ),
    ] = None,
    to_http: Annotated[
        str | None,
        typer.Option(
            "--to-http", "--url", metavar="URL", help="POST the events there, one by one (/events)."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the truth as JSON lines: who does what, what is broken."),
    ] = None,
    requests: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="Privacy requests beside the N events."),
    ] = 0,
    broken_share: Annotated[float, _share("are not valid")] = 0.005,
    duplicate_share: Annotated[float, _share("repeat an earlier one")] = 0.005,
    late_share: Annotated[float, _share("come more than an hour behind their user")] = 0.005,
    risk_share: Annotated[
        float,
        typer.Option(
            metavar="SHARE", min=0, max=1, help="Share of the load that stories have: misuse and look-alikes."
        ),
    ] = 0.15,
    stories: Annotated[
        StoriesOption,
        typer.Option(
            help="Which stories are told. usual: those of the rules; quiet: also misuse below every threshold and "
            "its harmless twins; everyday: the same with misuse as rare as in life, to train a model on; tuning: "
            "other misuse, to choose its parameters with; unseen: misuse kept for its evaluation."
        ),
    ] = StoriesOption.USUAL,
    partitions: Annotated[
        int | None,
        typer.Option(metavar="N", help="Partitions in envelopes, and of topics that it creates."),
    ] = None,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
    wait: Wait = 10.0,
    as_json: AsJson = False,
) -> int:
    """Send events of a made-up audience to Kafka (default), to an HTTP ingest, or to a file.

    People watch, share, travel, forget passwords and ask for privacy; some are attacked, some devices and
    titles fail; transport repeats, delays and breaks messages. No event time is ever ahead of the clock.

    Into a file: ott generate --events 20000 --seed 7 --output events.jsonl --labels truth.jsonl
    """
    import sys

    from pipeline.errors import UsageError
    from pipeline.lab.generator.casts import Stories
    from pipeline.lab.generator.planning import Stretch, parse_duration, parse_time
    from pipeline.lab.generator.running import Job, ToHttp, run_job
    from pipeline.logs import quiet_kafka_client
    from pipeline.settings.schema import load_settings

    settings = load_settings(
        {
            "bootstrap_servers": bootstrap_servers,
            "topic_prefix": topic_prefix,
            "partitions": partitions,
            "config": config,
        }
    )
    target = _target(output, line_format, to_http, wait)
    if isinstance(target, ToHttp) and requests:
        raise UsageError("--requests does not go with --to-http: the ingest takes events only")
    if output == "-" and as_json:
        raise UsageError("--json does not go with --output -: both are standard output")
    job = Job(
        seed=seed,
        stretch=Stretch(
            events=events,
            users=users,
            rate=rate,
            start_ms=None if start is None else parse_time("--from", start),
            until_ms=None if until is None else parse_time("--until", until),
            duration_ms=None if duration is None else parse_duration("--duration", duration),
            history_ms=parse_duration("--history", history),
        ),
        target=target,
        concurrency=concurrency or (_HTTP_TASKS if isinstance(target, ToHttp) else _KAFKA_TASKS),
        labels=labels,
        requests=requests,
        broken_share=broken_share,
        duplicate_share=duplicate_share,
        late_share=late_share,
        risk_share=risk_share,
        stories=Stories(stories.value),
    )
    quiet_kafka_client()
    with _progress() as watch:
        outcome = run_job(job, settings, watch)
    where = _where(job, settings.topic("raw-events"), settings.bootstrap_servers)
    sys.stderr.write(f"ott: {_in_words(outcome, where)}\n")
    if as_json:
        from pipeline.writing import print_json

        print_json(outcome.summary())
    if outcome.stopped_by is not None:
        return 128 + outcome.stopped_by
    return 1 if outcome.ledger.refused_wrongly else 0


def _target(
    output: str | None, line_format: LineFormat | None, to_http: str | None, wait_s: float
) -> "ToFile | ToHttp | ToKafka":
    from pipeline.errors import UsageError
    from pipeline.lab.generator.http_sink import ingest_url
    from pipeline.lab.generator.running import ToFile, ToHttp, ToKafka

    if output is not None and to_http is not None:
        raise UsageError("--output and --to-http: events go to one place, give only one")
    if line_format is not None and output is None:
        raise UsageError(f"--format {line_format} is about the lines of a file; give --output FILE too")
    if output is not None:
        return ToFile(output, envelopes=line_format is LineFormat.ENVELOPE)
    if to_http is not None:
        return ToHttp(ingest_url(to_http), _HTTP_PATIENCE_S)
    return ToKafka(wait_s)


@contextmanager
def _progress() -> "Iterator[Watch]":
    """A progress bar if standard error is a terminal."""
    import sys

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as shown:

        def watch(plan: "Plan") -> "Callable[[int], None]":
            task = shown.add_task("events", total=plan.schedule.events, pace="")

            def advance(count: int) -> None:
                speed = shown.tasks[task].speed
                shown.update(task, advance=count, pace="" if speed is None else f"{speed:,.0f}/s")

            return advance

        yield watch


def _where(job: "Job", topic: str, bootstrap_servers: str) -> str:
    from pipeline.lab.generator.running import ToFile, ToHttp

    if isinstance(job.target, ToFile):
        return "standard output" if job.target.name == "-" else job.target.name
    if isinstance(job.target, ToHttp):
        return job.target.url
    return f"{topic} at {bootstrap_servers}"


def _in_words(outcome: "Outcome", where: str) -> str:
    numbers = outcome.summary()
    requests = f" and {numbers['requests']:,} privacy requests" if numbers["requests"] else ""
    refused = outcome.ledger.refused + outcome.ledger.refused_wrongly
    return (
        f"{numbers['events']:,} events{requests} of {numbers['users']:,} users, "
        f"{numbers['from']} to {numbers['until']}, went to {where} in {numbers['seconds']:.1f} s "
        f"({numbers['events_per_s']:,.0f}/s): {numbers['judged']:,} valid, {numbers['late']:,} of them late, "
        f"{numbers['duplicate']:,} duplicate, {numbers['failed']:,} broken; seed {numbers['seed']}"
        + (f"; refused: {refused:,}, wrongly {outcome.ledger.refused_wrongly:,}" if refused else "")
        + ("; stopped early" if outcome.stopped_by is not None else "")
    )
