"""`ott failed`: lists and shows failed events, and publishes them again with declared edits."""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import AsJson, BootstrapServers, Config, TopicPrefix, kafka_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.history.failed import Failure, Recoveries, Recovery, Wanted
    from pipeline.settings.schema import Settings

app = typer.Typer(help="List, show and recover failed events.")

Reason = Annotated[
    str | None, typer.Option(metavar="REASON", help="Only this reason, such as schema_violation.")
]
ErrorPath = Annotated[
    str | None,
    typer.Option("--path", metavar="PATH", help="Only with an error at this path, such as user_age."),
]
AppVersion = Annotated[
    str | None, typer.Option(metavar="VERSION", help="Only from this version of the program.")
]
Begin = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help="Only those published from this time on.")
]
End = Annotated[
    str | None, typer.Option("--to", metavar="TIME", help="Only those published before this time.")
]

_SHOWN_BYTES = 300


@app.command("list", epilog="Example: ott failed list --reason schema_violation --path user_age")
def list_(
    reason: Reason = None,
    path: ErrorPath = None,
    app_version: AppVersion = None,
    begin: Begin = None,
    end: End = None,
    limit: Annotated[int, typer.Option(metavar="N", min=0, help="Show the first N; all are counted.")] = 20,
    as_json: AsJson = False,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
) -> None:
    """Count failed events by reason and path, and show some of them."""
    from pipeline.cli.rendering import printable
    from pipeline.history.failed import failures
    from pipeline.writing import print_json

    settings, wanted = _asked(bootstrap_servers, topic_prefix, config, reason, path, app_version, begin, end)
    counts: Counter[tuple[str, str]] = Counter()
    shown: list[Failure] = []

    async def read() -> None:
        async for failure in failures(settings, wanted):
            errors = failure.event.errors
            counts[failure.event.reason, errors[0].path if errors else ""] += 1
            if len(shown) < limit:
                shown.append(failure)

    asyncio.run(read())
    if as_json:
        print_json(
            {
                "failed": counts.total(),
                "by": [
                    {"reason": why, "path": where, "count": count}
                    for (why, where), count in counts.most_common()
                ],
                "first": [_document(failure) for failure in shown],
            }
        )
        return
    for failure in shown:
        typer.echo(printable(_line(failure)))
    for (why, where), count in counts.most_common():
        typer.echo(printable(f"{count:,} {why}{f' at {where}' if where else ''}"))
    typer.echo(f"{counts.total():,} failed events")


@app.command(epilog="Example: ott failed show 5d41402abc4b2a76b9719d911017c592")
def show(
    failure_id: Annotated[
        str, typer.Argument(metavar="FAILURE_ID", help="The failure_id of a failed event.")
    ],
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
) -> None:
    """Show a failed event with everything that is wrong with it, as JSON. `ott judge` reads it as it is."""
    from pipeline.errors import RefusedError
    from pipeline.history.failed import failures
    from pipeline.writing import print_json

    settings, wanted = _asked(bootstrap_servers, topic_prefix, config)

    async def find() -> "Failure | None":
        async for failure in failures(settings, wanted):
            if failure.event.failure_id == failure_id:
                return failure
        return None

    found = asyncio.run(find())
    if found is None:
        raise RefusedError(
            f"failed-events has no {failure_id}; it keeps failed events for 30 days: ott failed list"
        )
    print_json(_document(found))


@app.command(epilog="Example: ott failed recover edits.toml --reason schema_violation --publish")
def recover(
    edits: Annotated[Path, typer.Argument(metavar="EDITS", help="A TOML file of edits (docs/replay.md).")],
    reason: Reason = None,
    path: ErrorPath = None,
    app_version: AppVersion = None,
    begin: Begin = None,
    end: End = None,
    publish: Annotated[
        bool, typer.Option("--publish", help="Publish the recovered events. Without it nothing is written.")
    ] = False,
    limit: Annotated[int, typer.Option(metavar="N", min=0, help="Show the first N, before and after.")] = 5,
    as_json: AsJson = False,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
) -> int:
    """Apply edits to failed events, and publish those that are valid then to their topic, each once.

    Without --publish it shows what would be published. Each published event has an entry in audit-trail, and a second
    run leaves it out.

    Status 1 if no event can be recovered.
    """
    from pipeline.errors import MissingError
    from pipeline.history.edits import MAX_EDITS_BYTES, parse_edits
    from pipeline.history.failed import plan, publish_recoveries
    from pipeline.writing import print_json

    settings, wanted = _asked(bootstrap_servers, topic_prefix, config, reason, path, app_version, begin, end)
    try:
        with edits.open("rb") as file:
            declared = parse_edits(file.read(MAX_EDITS_BYTES + 1), str(edits))
    except OSError as error:
        raise MissingError(f"{edits} cannot be read: {error.strerror}") from None
    if publish:
        found = asyncio.run(publish_recoveries(settings, declared, wanted, _entry))
    else:
        found = asyncio.run(plan(settings, declared, wanted))
    if as_json:
        print_json(_summary(found, published=publish, limit=limit))
    else:
        _show(found, published=publish, limit=limit)
    return 0 if found.ready or found.recovered else 1


def _asked(
    bootstrap_servers: str | None,
    topic_prefix: str | None,
    config: Path | None,
    reason: str | None = None,
    path: str | None = None,
    app_version: str | None = None,
    begin: str | None = None,
    end: str | None = None,
) -> "tuple[Settings, Wanted]":
    from pipeline.cli.replay import time_range
    from pipeline.history.failed import Wanted

    settings = kafka_settings(bootstrap_servers, topic_prefix, config)
    first, last, _ = time_range(begin, end, "all")
    return settings, Wanted(reason, path, app_version, None if begin is None else first, last)


def _entry(failure_id: str) -> tuple[bytes, bytes]:
    """Key and value of the entry in the audit trail. Who it was is the user of this machine."""
    import getpass
    import time

    import msgspec

    from pipeline.events.instants import format_instant
    from pipeline.history.failed import RECOVERED
    from pipeline.web.access.audit_trail import AUDIT_SCHEMA, AuditRecord

    who = getpass.getuser()
    at = format_instant(time.time_ns() // 1_000_000)
    record = AuditRecord(AUDIT_SCHEMA, at, who, None, RECOVERED, failure_id, True, None)
    return who.encode(), msgspec.json.encode(record)


def _document(failure: "Failure") -> dict[str, Any]:
    import msgspec

    from pipeline.events.instants import format_instant

    found: dict[str, Any] = msgspec.to_builtins(failure.event)
    return {**found, "published_at": None if failure.at < 0 else format_instant(failure.at)}


def _line(failure: "Failure") -> str:
    from pipeline.events.instants import format_instant

    event, source = failure.event, failure.event.source
    at = "" if failure.at < 0 else format_instant(failure.at)
    wrong = "; ".join(f"{error.path}: {error.message}" for error in event.errors[:3])
    place = f"{source.topic}/{source.partition} offset {source.offset}"
    return f"{at}  {event.failure_id}  {event.reason}  {place}  {wrong}"


def _summary(found: "Recoveries", *, published: bool, limit: int) -> dict[str, Any]:
    return {
        "recovered": len(found.ready) if published else 0,
        "ready": 0 if published else len(found.ready),
        "recovered_before": found.recovered,
        "unmatched": found.unmatched,
        "cut": found.cut,
        "invalid": len(found.invalid),
        "examples": [
            {
                "failure_id": one.failure.event.failure_id,
                "before": one.before.decode("utf-8", "backslashreplace"),
                "after": json.loads(one.after),
            }
            for one in found.ready[:limit]
        ],
        "still_invalid": [
            {"failure_id": event.failure_id, "because": because} for event, because in found.invalid[:limit]
        ],
    }


def _show(found: "Recoveries", *, published: bool, limit: int) -> None:
    for line in _examples(found.ready[:limit]):
        typer.echo(line)
    for event, because in found.invalid[:limit]:
        typer.echo(f"still invalid: {event.failure_id}: {because}")
    done = "were published" if published else "would be published; --publish does it"
    typer.echo(f"{len(found.ready):,} events {done}")
    rest = {
        "were recovered before": found.recovered,
        "match no edit": found.unmatched,
        "are still invalid": len(found.invalid),
        "are kept only in part": found.cut,
    }
    for words, count in rest.items():
        if count:
            typer.echo(f"{count:,} {words}")
    if not found.ready and not found.recovered:
        sys.stderr.write("ott: no failed event can be recovered with these edits and options\n")


def _examples(recoveries: "Iterable[Recovery]") -> "Iterable[str]":
    from pipeline.cli.rendering import printable

    for one in recoveries:
        yield one.failure.event.failure_id
        for name, value in (("before", one.before), ("after", one.after)):
            text = value.decode("utf-8", "backslashreplace")
            yield printable(f"  {name}: {text[:_SHOWN_BYTES]}{'...' if len(text) > _SHOWN_BYTES else ''}")
