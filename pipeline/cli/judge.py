"""`ott judge`: judges a file of records with the evaluation of the live agent."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from pipeline.cli.options import Config, TopicPrefix

if TYPE_CHECKING:
    from pipeline.judging.file import FileJudge, LineCounts
    from pipeline.writing import Output


def judge(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="One record per line; .gz and .zst are expanded; - is standard input."
        ),
    ],
    failed: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the failed events go, one per line.")
    ] = None,
    accounts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the accounts go, as JSON.")
    ] = None,
    subjects: Annotated[
        bool,
        typer.Option("--subjects/--no-subjects", help="Judge titles and devices too (reads the file twice)."),
    ] = True,
    rules: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Rule set instead of the built-in one.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Anomaly model; `ott model show` reads it. Default: none, no scores."
        ),
    ] = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
) -> int:
    """Judge a file of records: verdicts on standard output, a summary on standard error.

    Status 1 where the file has records and none of them could be judged or applied.

    A line is a raw event, a privacy request, or an envelope around one that names the place it came from.
    """
    import json
    import sys

    from pipeline.assembly import build_evaluator, model_bytes, parse_model
    from pipeline.judging.file import FileJudge
    from pipeline.settings.schema import load_settings
    from pipeline.writing import Output, naming

    settings = load_settings({"topic_prefix": topic_prefix, "config": config, "rules": rules})
    evaluator = build_evaluator(settings)
    if model is not None:
        evaluator.model = parse_model(model_bytes(model), str(model))
    file_judge = FileJudge(evaluator, settings.topic_prefix, subjects=subjects)
    _refuse_the_same_file(file, {"--failed": failed, "--accounts": accounts})
    with ExitStack() as files:
        records = _open(file, files, twice=subjects)
        sink = None if failed is None else files.enter_context(Output.to_path(failed))
        # Records that arrive one by one get their answers one by one.
        _write(file_judge, records, Output.standard(), sink, at_once=not records.seekable())
    if accounts is not None:
        with naming(str(accounts)):
            accounts.write_text(json.dumps(file_judge.counts.as_dict()) + "\n", encoding="utf-8")
    counted = file_judge.counts
    sys.stderr.write(f"ott: {_in_words(counted, file_judge.subject_verdicts)}\n")
    if file_judge.first_failed is None or counted.judged or counted.duplicate or counted.requests:
        return 0
    sys.stderr.write(f"ott: nothing in {file} could be judged; first: {_why(file_judge.first_failed)}\n")
    return 1


def _why(failed: bytes) -> str:
    import json

    event = json.loads(failed)
    first = event["errors"][0] if event["errors"] else {"path": "", "message": ""}
    said = ": ".join(part for part in (first["path"], first["message"]) if part)
    return f"{event['reason']} ({said})" if said else str(event["reason"])


def _refuse_the_same_file(name: str, outputs: dict[str, Path | None]) -> None:
    """Refuse an output that would overwrite the input, or another output."""
    from pipeline.errors import UsageError

    taken = {} if name == "-" else {Path(name).resolve(): "FILE"}
    for option, path in outputs.items():
        if path is not None:
            other = taken.setdefault(path.resolve(), option)
            if other != option and not path.is_char_device():
                raise UsageError(f"{option} {path} is the same file as {other}; name another one")


def _open(name: str, files: ExitStack, *, twice: bool) -> BinaryIO:
    import shutil
    import sys
    import tempfile

    from pipeline.history.compressed import expanded

    opened: BinaryIO = sys.stdin.buffer
    if name != "-":
        opened = files.enter_context(expanded(Path(name)))
    if not twice or (name != "-" and opened.seekable()):
        return opened
    # Titles and devices are judged after a first look at all records. So input that can be read only once is copied.
    spooled: BinaryIO = files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
    shutil.copyfileobj(opened, spooled)
    spooled.seek(0)
    return spooled


def _write(
    file_judge: "FileJudge",
    records: BinaryIO,
    verdicts: "Output",
    failed: "Output | None",
    *,
    at_once: bool,
) -> None:
    for kind, value in file_judge.judge(records):
        sink = verdicts if kind == "verdict" else failed
        if sink is not None:
            sink.write(value + b"\n")
            if at_once:
                sink.flush()
    verdicts.flush()


def _in_words(counts: "LineCounts", subject_verdicts: int) -> str:
    return (
        f"read {counts.read} records: {counts.judged} judged ({counts.flagged} flagged), "
        f"{counts.duplicate} duplicates, {counts.failed} failed; {counts.requests} privacy requests applied; "
        f"verdicts: {counts.flagged} on users, {subject_verdicts} on titles and devices"
    )
