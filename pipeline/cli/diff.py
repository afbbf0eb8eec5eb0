"""`ott diff`: compares two lots of verdicts."""

import asyncio
import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import AsJson, BootstrapServers, Config, TopicPrefix, kafka_settings
from pipeline.cli.replay import TOPIC, time_range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.history.diff import Difference, Example, Lots, Side
    from pipeline.history.verdicts import Place
    from pipeline.settings.schema import Settings

_TOGETHER = 10_000


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A file of verdicts, or topic:NAME.")],
    b: Annotated[str, typer.Argument(metavar="B", help="As A.")],
    begin: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="TIME", help="Only verdicts on records of raw-events from this time on."
        ),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option("--to", metavar="TIME", help="Only verdicts on records from before this time."),
    ] = None,
    examples: Annotated[
        int, typer.Option(metavar="N", min=0, help="Examples of each kind of difference.")
    ] = 3,
    as_json: AsJson = False,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
) -> int:
    """Compare two lots of verdicts: what B adds, removes and changes, by rule and level, with examples.

    Verdicts match by the record that they are on, or by subject and minute. A range of times is one of raw-events, as
    for ott replay; verdicts on titles and devices are in it by the end of their minute.

    Status 1 if there is a difference.
    """
    from pipeline.history.diff import comparing
    from pipeline.writing import print_json

    settings = kafka_settings(bootstrap_servers, topic_prefix, config)
    wanted = _wanted(settings, begin, end)
    with comparing() as lots:
        _add(settings, lots, "a", a, wanted)
        _add(settings, lots, "b", b, wanted)
        found = lots.compare(examples)
    if as_json:
        print_json(as_document(found))
    else:
        show_difference(found)
    return 0 if found.none else 1


def _wanted(settings: "Settings", begin: str | None, end: str | None) -> "Callable[[Place], bool]":
    """Whether a verdict is in the range."""
    from pipeline.events.instants import parse_formatted
    from pipeline.history.survey import sources_between
    from pipeline.kafka.topics import RAW_EVENTS

    if begin is None and end is None:
        return lambda _: True
    first, last, _ = time_range(begin, end, "all")
    sources, raw = asyncio.run(sources_between(settings, first, last)), settings.topic(RAW_EVENTS.name)

    def wanted(place: "Place") -> bool:
        if place.minute_end is not None:
            time = parse_formatted(place.minute_end)
            return first <= time and (last is None or time < last)
        if place.topic != raw or place.partition is None or place.offset is None:
            return False
        low, high = sources.get(place.partition, (0, 0))
        return low <= place.offset < high

    return wanted


def _add(
    settings: "Settings", lots: "Lots", side: "Side", name: str, wanted: "Callable[[Place], bool]"
) -> None:
    from pipeline.history.reading import records_of
    from pipeline.history.verdicts import lines_of

    if not name.startswith(TOPIC):
        lots.add(side, lines_of(Path(name)), wanted)
        return

    async def read() -> None:
        values: list[bytes] = []
        async for record in records_of(settings, settings.topic(name.removeprefix(TOPIC))):
            values.append(record.value or b"")
            if len(values) >= _TOGETHER:
                lots.add(side, values, wanted)
                values.clear()
        lots.add(side, values, wanted)

    asyncio.run(read())


def as_document(found: "Difference") -> dict[str, Any]:
    """The difference as a JSON object."""
    return {
        "a": found.first,
        "b": found.second,
        "same": found.same,
        "added": found.added,
        "removed": found.removed,
        "changed": found.changed,
        "unreadable": found.unreadable,
        "rules": {rule: dict(counts) for rule, counts in sorted(found.rules.items())},
        "levels": {f"{old} -> {new}": number for (old, new), number in sorted(found.levels.items())},
        "examples": {
            kind: [_example(example) for example in examples] for kind, examples in found.examples.items()
        },
    }


def _example(example: "Example") -> dict[str, Any]:
    import json

    return {
        side: None if verdict is None else json.loads(verdict.value)
        for side, verdict in (("a", example.before), ("b", example.after))
    }


def show_difference(found: "Difference") -> None:
    """Print the difference as lines."""
    typer.echo(
        f"A has {found.first:,} verdicts, B {found.second:,}: {found.same:,} are the same, B adds {found.added:,}, "
        f"removes {found.removed:,} and changes {found.changed:,}"
    )
    for rule, counts in sorted(found.rules.items()):
        typer.echo(f"  {rule}: {', '.join(f'{counts[what]:,} {what}' for what in sorted(counts))}")
    for (old, new), number in sorted(found.levels.items()):
        typer.echo(f"  {old} -> {new}: {number:,}")
    for kind, examples in found.examples.items():
        for example in examples:
            typer.echo(f"{kind}: {_line(example)}")
    if found.unreadable:
        sys.stderr.write(f"ott: {found.unreadable:,} lines or records are no verdicts\n")


def _line(example: "Example") -> str:
    from pipeline.cli.rendering import printable

    told: Iterator[str] = (
        "nothing" if one is None else f"{one.level} ({', '.join(one.rules) or 'closed'})" for one in example
    )
    either = next(one for one in example if one is not None)
    text = f"{either.subject}, {either.place}: {' -> '.join(told)}"
    if example.before is not None and example.after is not None:
        text += f"; differs in {', '.join(_differing(example.before.value, example.after.value))}"
    return printable(text)


def _differing(before: bytes, after: bytes) -> list[str]:
    import json

    old, new = json.loads(before), json.loads(after)
    return [name for name in dict.fromkeys(itertools.chain(old, new)) if old.get(name) != new.get(name)]
