"""`ott model`: trains, evaluates and shows anomaly models."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import AsJson, Config, TopicPrefix

if TYPE_CHECKING:
    from pipeline.anomaly.artefact import Model
    from pipeline.judging.scored_minutes import ScoredMinutes

app = typer.Typer(help="Train, evaluate and show models of the rule anomaly.isolation_forest.")

Records = Annotated[str, typer.Argument(metavar="FILE", help="One record per line, as `ott judge` reads it.")]
_TABLE_EVENTS = 100_000


@app.command(epilog="Example: ott model train events.jsonl --out viewers.ottmodel")
def train(
    file: Records,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the model goes.")],
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Same seed and data, same model.")] = 1,
    alert_rate: Annotated[
        float,
        typer.Option(metavar="SHARE", min=0.00001, max=0.5, help="Share of scored minutes that is to alert."),
    ] = 0.001,
    trees: Annotated[int, typer.Option(metavar="N", min=10, max=1000, help="Trees of the forest.")] = 150,
    samples: Annotated[
        int, typer.Option(metavar="N", min=64, max=65_536, help="Scored minutes that each tree grows from.")
    ] = 2_048,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
) -> None:
    """Train a model on a file of records, with a threshold for a chosen share of alerts.

    Trees grow from the earlier minutes of two thirds of the users; the threshold is set with the later minutes of
    the others. Labels are not needed.
    """
    from pipeline.anomaly.artefact import ModelError, write_model
    from pipeline.anomaly.training import Parameters, TrainingError
    from pipeline.anomaly.training import train as trained
    from pipeline.errors import UsageError
    from pipeline.writing import Output

    collected = _collect(file, topic_prefix, config)
    parameters = Parameters(
        seed=seed, alert_rate=alert_rate, trees=trees, counted=max(1, trees // 10), samples=samples
    )
    described = f"{collected.events:,} judged events of the file {Path(file).name}"
    try:
        model = trained(collected.data(), parameters, described)
    except (TrainingError, ModelError) as error:
        raise UsageError(f"{file}: {error}") from None
    with Output.to_path(out) as written:
        written.write(write_model(model))
    sys.stderr.write(
        f"ott: model {model.version} is in {out}: {model.card.minutes:,} scored minutes of {model.card.users:,} users "
        f"({_left_out(collected)}); it alerts above a score of {model.threshold:.4f}\n"
    )


@app.command(epilog="Example: ott model evaluate events.jsonl --labels truth.jsonl --model viewers.ottmodel")
def evaluate(
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="One record per line, as `ott judge` reads it.")
    ] = None,
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
    chosen = _model(model)
    report = _report(chosen, _collect(file, topic_prefix, config), _labels(labels))
    if as_json:
        from pipeline.writing import print_json

        print_json(report)
        return
    sys.stdout.write(_in_words(report))


@app.command(epilog="Example: ott model show viewers.ottmodel")
def show(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The model; default: the shipped one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a model's card, and what is usual of each feature."""
    import msgspec

    from pipeline.anomaly.features import FEATURES

    chosen = _model(file)
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


def _model(path: Path | None) -> "Model":
    """A model file, or the shipped model.

    Raises:
        MissingError: the file cannot be read.
        UsageError: it is no model, or does not fit.
    """
    from pipeline.anomaly.artefact import MAX_BYTES, ModelError, read_model
    from pipeline.anomaly.shipped import shipped_model
    from pipeline.errors import MissingError, UsageError

    try:
        if path is None:
            return shipped_model()
        with path.open("rb") as file:
            # One byte more than allowed is enough to refuse a file of any size.
            return read_model(file.read(MAX_BYTES + 1), str(path))
    except OSError as error:
        raise MissingError(f"the model {path} cannot be read: {error.strerror}") from None
    except ModelError as error:
        raise UsageError(str(error)) from None


def _collect(file: str, topic_prefix: str | None, config: Path | None) -> "ScoredMinutes":
    from pipeline.assembly import build_evaluator
    from pipeline.judging.scored_minutes import MinuteCollector
    from pipeline.settings.schema import load_settings

    settings = load_settings({"topic_prefix": topic_prefix, "config": config})
    collector = MinuteCollector(build_evaluator(settings), settings.topic_prefix)
    if file == "-":
        return collector.collect(sys.stdin.buffer)
    with Path(file).open("rb") as lines:
        return collector.collect(lines)


def _labels(path: Path) -> dict[str, tuple[str, bool]]:
    import msgspec

    from pipeline.anomaly.quality import Label, kinds_of_users
    from pipeline.errors import UsageError

    try:
        return kinds_of_users(msgspec.json.Decoder(Label).decode_lines(path.read_bytes()))
    except msgspec.MsgspecError as error:
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
