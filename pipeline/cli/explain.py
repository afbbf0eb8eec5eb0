"""`ott explain`: shows why a verdict was given."""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import AsJson, BootstrapServers, Config, TopicPrefix, kafka_settings

if TYPE_CHECKING:
    from pipeline.events.event import Event
    from pipeline.history.explain import Explained, Explanation

_SHOWN = 20


def explain(
    verdict_id: Annotated[
        str, typer.Argument(metavar="VERDICT_ID", help="The verdict_id of a verdict on a user.")
    ],
    warmup: Annotated[
        str,
        typer.Option(
            metavar="TIME|all",
            help="How long before the record the user's partition is judged, beside the hour of the window.",
        ),
    ] = "1h",
    as_json: AsJson = False,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
) -> int:
    """Show the events that made each finding of a verdict, and judge its record again.

    For each finding: what the rule saw, how far that is from its limits, and the events of the user's hour behind it.
    Networks are masked as in verdicts.

    Status 1 if judging again gives other bytes, or the record is not kept any more.
    """
    from pipeline.cli.replay import warmup_ms
    from pipeline.history.explain import explain as explain_verdict
    from pipeline.writing import print_json

    settings = kafka_settings(bootstrap_servers, topic_prefix, config)
    found = explain_verdict(settings, verdict_id, warmup_ms(warmup))
    if as_json:
        print_json(_as_json(found))
    else:
        _show(found)
    if not found.same and warmup != "all":
        sys.stderr.write("ott: what happened before the warm-up is missing; try --warmup all\n")
    return 0 if found.same else 1


def _as_json(found: "Explanation") -> dict[str, Any]:
    return {
        "verdict": found.verdict,
        "findings": [
            {
                "rule_id": one.finding["rule_id"],
                "measure": None if one.measure is None else {"name": one.measure[0], "value": one.measure[1]},
                "limits": [{"level": level, "above": limit, "by": by} for level, limit, by in one.limits],
                "events": [_event(event) for event in one.events],
            }
            for one in found.findings
        ],
        "window": [_event(event) for event in found.window],
        "again": None if found.again is None else json.loads(found.again),
        "same": found.same,
    }


def _event(event: "Event") -> dict[str, Any]:
    from pipeline.events.addresses import mask_network
    from pipeline.events.instants import format_instant

    return {
        "time": format_instant(event.time),
        "event_id": event.event_id,
        "type": event.type,
        "region": event.region,
        "network": mask_network(event.network),
        "device_id": event.device_id,
        "content_id": event.content_id,
        "plan": event.plan,
        "error_code": event.error_code,
    }


def _show(found: "Explanation") -> None:
    from pipeline.cli.rendering import printable

    verdict, source = found.verdict, found.verdict["source"]
    typer.echo(
        printable(
            f"{verdict['risk_level']}, score {verdict['score']}: {verdict['event_type']} of {verdict['user_id']} at "
            f"{verdict['event_time']}, {source['topic']}/{source['partition']} offset {source['offset']}, rule set "
            f"{verdict['ruleset_version']}, model {verdict['model_version'] or 'none'}"
        )
    )
    for one in found.findings:
        typer.echo(printable(f"{one.finding['rule_id']} {one.finding['severity']}: {one.finding['summary']}"))
        if one.measure is not None:
            typer.echo(f"  saw {_distance(one)}")
        for event in one.events[-_SHOWN:]:
            shown = _event(event)
            words = [shown[name] for name in ("time", "type", "region", "network", "device_id", "event_id")]
            typer.echo(printable(f"  {'  '.join(words)}"))
        if len(one.events) > _SHOWN:
            typer.echo(f"  and {len(one.events) - _SHOWN:,} earlier ones; --json shows all")
    typer.echo(f"the user's hour had {len(found.window):,} events")
    typer.echo(f"judged again: {_again(found)}")


def _distance(one: "Explained") -> str:
    assert one.measure is not None
    name, value = one.measure
    limits = [
        f"{level} is above {limit:,}, {'exceeded by' if by > 0 else 'not reached by'} {abs(round(by, 4)):,}"
        for level, limit, by in one.limits
    ]
    return f"{name} {value:,}; {'; '.join(limits)}"


def _again(found: "Explanation") -> str:
    if found.same:
        return "the same bytes"
    if found.again is None:
        return "no verdict"
    again = json.loads(found.again)
    return f"other bytes, in {', '.join(name for name in again if again[name] != found.verdict.get(name))}"
