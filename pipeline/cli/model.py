"""`ott model`: trains, evaluates, shows and publishes anomaly models."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.model_publication import app as publication
from pipeline.cli.model_publication import file_of, is_published, published_model
from pipeline.cli.options import AsJson, BootstrapServers, Config, TopicPrefix, Wait, kafka_settings

if TYPE_CHECKING:
    from pipeline.anomaly.artefact import Model
    from pipeline.judging.scored_minutes import ScoredMinutes
    from pipeline.settings.schema import Settings

app = typer.Typer(help="Train, evaluate, show and publish models of the rule anomaly.isolation_forest.")
app.add_typer(publication)

Records = Annotated[
    str | None, typer.Argument(metavar="FILE", help="One record per line, as `ott judge` reads it.")
]
_TABLE_EVENTS = 100_000


@app.command(
    epilog="Example: ott model train events.jsonl --out viewers.ottmodel; or, from the topic: "
    "ott model train --from 2026-11-20T00:00:00Z --to 2026-11-27T00:00:00Z --out viewers.ottmodel"
)
def train(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the model goes.")],
    file: Records = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="T", help="Instead of a file: raw-events from this time on (RFC 3339)."
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="T", help="With --from: up to this time; default: now.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Same seed and data, same model.")] = 1,
    alert_rate: Annotated[
        float,
        typer.Option(metavar="SHARE", min=0.00001, max=0.5, help="Share of scored minutes that is to alert."),
    ] = 0.001,
    trees: Annotated[int, typer.Option(metavar="N", min=10, max=1000, help="Trees of the forest.")] = 96,
    samples: Annotated[
        int, typer.Option(metavar="N", min=64, max=65_536, help="Scored minutes that each tree grows from.")
    ] = 2_048,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
    wait: Wait = 10.0,
) -> None:
    """Train a model on a file of records, or on the topic raw-events, with a threshold for a chosen share of alerts.

    Trees grow from the earlier minutes of two thirds of the users; the threshold is set with the later minutes of
    the others. Labels are not needed. --from and --to are times at which the brokers received the events.
    """
    from pipeline.anomaly.artefact import ModelError, write_model
    from pipeline.anomaly.training import Parameters, TrainingError
    from pipeline.anomaly.training import train as trained
    from pipeline.errors import UsageError
    from pipeline.writing import Output

    if file is not None and since is None and until is None:
        collected, source = _collect(file, topic_prefix, config), f"the file {Path(file).name}"
    elif file is None and since is not None:
        settings = kafka_settings(bootstrap_servers, topic_prefix, config)
        collected, source = _collect_from_topic(settings, since, until, wait)
    else:
        raise UsageError("give a FILE, or --from T with or without --to T")
    parameters = Parameters(
        seed=seed, alert_rate=alert_rate, trees=trees, counted=max(1, trees // 8), samples=samples
    )
    try:
        model = trained(collected.data(), parameters, f"{collected.events:,} judged events of {source}")
    except (TrainingError, ModelError) as error:
        raise UsageError(f"{file or source}: {error}") from None
    with Output.to_path(out) as written:
        written.write(write_model(model))
    sys.stderr.write(
        f"ott: model {model.version} is in {out}: {model.card.minutes:,} scored minutes of {model.card.users:,} users "
        f"({_left_out(collected)}); it alerts above a score of {model.threshold:.4f}\n"
    )


@app.command(epilog="Example: ott model evaluate events.jsonl --labels truth.jsonl --model viewers.ottmodel")
def evaluate(
    file: Records = None,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The truth about it, as `ott generate --labels` writes it."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The model; default: the shipped one.")
    ] = None,
    table: Annotated[
        bool,
        typer.Option("--table", help="Instead: compare methods on generated data, as in docs/models.md."),
    ] = False,
    events: Annotated[
        int, typer.Option(metavar="N", min=10_000, help="With --table: events of each training day.")
    ] = _TABLE_EVENTS,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Say how good a model is on records whose truth is known, or compare methods with --table.

    The budget is the share of harmless minutes that may alert: 0.1 %.
    """
    from pipeline.errors import UsageError

    if table:
        if file is not None or labels is not None or model is not None or as_json:
            raise UsageError("--table makes its own data and models; give it without FILE and other options")
        _print_table(events)
        return
    if file is None or labels is None:
        raise UsageError("give a FILE and its --labels, or --table")
    _, chosen = file_of(model)
    report = _report(chosen, _collect(file, topic_prefix, config), _labels(labels))
    if as_json:
        from pipeline.writing import print_json

        print_json(report)
        return
    sys.stdout.write(_in_words(report))


@app.command(
    epilog="Example: ott model show viewers.ottmodel; or the one that scores now: ott model show in-force"
)
def show(
    name: Annotated[
        str | None,
        typer.Argument(metavar="FILE|VERSION|in-force", help="The model; default: the shipped one."),
    ] = None,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
    wait: Wait = 10.0,
    as_json: AsJson = False,
) -> None:
    """Show a model's card, and what is usual of each feature. A version is looked up on the topic of models."""
    import msgspec

    from pipeline.anomaly.features import FEATURES

    if name is not None and is_published(name):
        chosen = published_model(kafka_settings(bootstrap_servers, topic_prefix, config), name, wait)
    else:
        _, chosen = file_of(None if name is None else Path(name))
    card = msgspec.to_builtins(chosen.card)
    shown = {"version": chosen.version, "threshold": round(chosen.threshold, 4), **card}
    if as_json:
        from pipeline.writing import print_json

        features = [
            {"name": one.name, "unit": one.unit, "meaning": one.meaning}
            | {"median": usual.median, "p1": usual.low, "p99": usual.high}
            for one, usual in zip(FEATURES, chosen.usual, strict=True)
        ]
        print_json({**shown, "features": features})
        return
    lines = [f"{name.replace('_', ' ')}: {_plain(value)}" for name, value in shown.items()]
    lines.append("features (median, 1st and 99th percentile of training):")
    lines.extend(
        f"  {feature.name} [{feature.unit}] {usual.median:.4g} ({usual.low:.4g} to {usual.high:.4g}): {feature.meaning}"
        for feature, usual in zip(FEATURES, chosen.usual, strict=True)
    )
    sys.stdout.write("\n".join(lines) + "\n")


def _plain(value: object) -> str:
    return ", ".join(f"{key} {one}" for key, one in value.items()) if isinstance(value, dict) else str(value)


def _collect_from_topic(
    settings: "Settings", since: str, until: str | None, wait: float
) -> tuple["ScoredMinutes", str]:
    """The scored minutes of a time on `raw-events`, and in words what they come from."""
    import time

    from pipeline.assembly import build_evaluator
    from pipeline.cli.model_topic import read_events
    from pipeline.cli.rendering import Record, envelope
    from pipeline.errors import UsageError
    from pipeline.events.instants import format_instant
    from pipeline.judging.scored_minutes import MinuteCollector
    from pipeline.kafka.brokers import wait_for_broker

    first = _instant("--from", since)
    last = time.time_ns() // 1_000_000 if until is None else _instant("--to", until)
    if first >= last:
        raise UsageError(f"--from {since} is not before the end, {format_instant(last)}")
    collector = MinuteCollector(build_evaluator(settings), settings.topic_prefix)

    async def collect() -> None:
        await wait_for_broker(settings, wait)
        async for records in read_events(settings, first, last):
            collector.collect(
                envelope(
                    Record(got.topic, got.partition, got.offset, got.timestamp, got.key, got.value)
                ).encode()
                for got in records
            )

    asyncio.run(collect())
    return collector.collected, f"the topic raw-events from {format_instant(first)} to {format_instant(last)}"


def _instant(option: str, text: str) -> int:
    from pipeline.errors import UsageError
    from pipeline.events.instants import parse_instant

    try:
        # Kafka knows no time before 1970.
        return max(0, parse_instant(text))
    except ValueError as error:
        raise UsageError(f"{option} {text}: {error}") from None


def _collect(file: str, topic_prefix: str | None, config: Path | None) -> "ScoredMinutes":
    from pipeline.assembly import build_evaluator
    from pipeline.history.compressed import expanded
    from pipeline.judging.lines import lines_of
    from pipeline.judging.scored_minutes import MinuteCollector
    from pipeline.settings.schema import load_settings

    settings = load_settings({"topic_prefix": topic_prefix, "config": config})
    collector = MinuteCollector(build_evaluator(settings), settings.topic_prefix)
    if file == "-":
        return collector.collect(lines_of(sys.stdin.buffer))
    with expanded(Path(file)) as opened:
        return collector.collect(lines_of(opened))


def _labels(path: Path) -> dict[str, tuple[str, bool]]:
    import msgspec

    from pipeline.anomaly.quality import Label, kinds_of_users
    from pipeline.errors import UsageError
    from pipeline.judging.lines import lines_of

    try:
        with path.open("rb") as file:
            decode = msgspec.json.Decoder(Label).decode
            return kinds_of_users(decode(line) for line in lines_of(file) if line.strip())
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UsageError(f"{path} holds no labels as `ott generate --labels` writes them: {error}") from None


def _report(
    model: "Model", collected: "ScoredMinutes", labels: dict[str, tuple[str, bool]]
) -> dict[str, Any]:
    import numpy as np

    from pipeline.anomaly.quality import BUDGET, figures
    from pipeline.errors import UsageError

    unknown = sorted(set(collected.users) - labels.keys())
    if unknown:
        raise UsageError(f"the labels do not name {len(unknown)} users of the file, such as {unknown[0]}")
    data = collected.data()
    paths = model.forest.paths(data.rows)
    misuse = np.array([labels[user][1] for user in data.users], dtype=np.bool_)
    kinds = np.array([labels[user][0] for user in data.users], dtype=np.str_)
    alerts = paths < model.alert_below
    try:
        quality = figures(-paths.astype(np.float64), misuse)
    except ValueError as error:
        raise UsageError(f"nothing can be measured: {error}") from None
    stories = {
        kind: {
            "misuse": bool(misuse[kinds == kind].any()),
            "minutes": int((kinds == kind).sum()),
            "alerts": round(float(alerts[kinds == kind].mean()), 4),
        }
        for kind in np.unique(kinds).tolist()
    }
    return {
        "model": model.version,
        "minutes": len(paths),
        "misuse": round(float(misuse.mean()), 4),
        "pr_auc": round(quality.pr_auc, 4),
        "budget": BUDGET,
        "recall_at_budget": round(quality.recall, 4),
        "precision_at_budget": round(quality.precision, 4),
        "recall_at_threshold": round(float(alerts[misuse].mean()), 4),
        "false_alarms_at_threshold": round(float(alerts[~misuse].mean()), 6),
        "not_scored": {str(reason): count for reason, count in collected.left_out.items()},
        "stories": stories,
    }


def _in_words(report: dict[str, Any]) -> str:
    quality = (
        f"model {report['model']} on {report['minutes']:,} scored minutes, {report['misuse']:.2%} of them misuse\n"
        f"PR-AUC {report['pr_auc']:.3f}\n"
        f"within {report['budget']:.1%} false alarms: recall {report['recall_at_budget']:.1%}, "
        f"precision {report['precision_at_budget']:.1%}\n"
        f"at its own threshold: recall {report['recall_at_threshold']:.1%}, "
        f"false alarms {report['false_alarms_at_threshold']:.3%} of the harmless minutes\n"
        "share of minutes that alert, by story:\n"
    )
    stories = sorted(report["stories"].items(), key=lambda item: (not item[1]["misuse"], item[0]))
    return quality + "".join(
        f"  {'misuse  ' if story['misuse'] else 'harmless'} {kind:24} {story['alerts']:7.1%} of {story['minutes']:,}\n"
        for kind, story in stories
    )


def _print_table(events: int) -> None:
    from pipeline.errors import MissingError
    from pipeline.lab.models.comparison import SEEDS, as_markdown, compare

    try:
        import river  # noqa: F401 - asked for before minutes of work
    except ImportError:
        raise MissingError("--table needs river; install it with: pip install 'ott-risk[lab]'") from None
    sys.stdout.write(as_markdown(compare(SEEDS, events, _tell)))


def _tell(step: str) -> None:
    sys.stderr.write(f"ott: {step}\n")


def _left_out(collected: "ScoredMinutes") -> str:
    counted = ", ".join(f"{count:,} {reason}" for reason, count in sorted(collected.left_out.items()))
    return f"events without a score: {counted or 'none'}"
