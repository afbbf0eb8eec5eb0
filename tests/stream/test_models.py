"""Models that are published while two workers judge: each verdict is that of the model which the journal names."""

import asyncio
import io
import json
import time
import urllib.request
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

from pipeline.anomaly.artefact import read_model
from pipeline.anomaly.shipped import shipped_file, shipped_model
from pipeline.assembly import build_evaluator
from pipeline.cli import run
from pipeline.judging.file import FileJudge
from pipeline.kafka.topics import ensure_topics
from tests.pipeline.evaluation.models import model_file
from tests.stream.events import generated
from tests.stream.harness import Stream, envelope_of, is_subject
from tests.stream.test_views_of_verdicts import Analyst
from tests.stream.web import SECRET

EVENTS = 8_000
MODELS = {"none": None, shipped_model().version: shipped_model()}
TREE, TREE_FILE = model_file("one tree")
MODELS[TREE] = read_model(TREE_FILE, "one tree")


def _put(analyst: Analyst, data: bytes) -> dict:
    headers = {**analyst.headers, "Content-Type": "application/octet-stream"}
    request = urllib.request.Request(f"{analyst.address}/models", data=data, method="PUT", headers=headers)
    with urllib.request.urlopen(request, timeout=15) as answer:
        return json.load(answer)


def _until_read(analyst: Analyst, events: int) -> None:
    deadline = time.monotonic() + 120
    while True:
        found = analyst.get("/stats/summary")
        if found["events"] >= events and not found["coverage"]["missing"]:
            return
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def _models_at(stream: Stream) -> dict[int, list[tuple[int, str]]]:
    """Per partition (offset, version), as the journal has it."""
    found: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for record in stream.read(stream.topic("control-journal")):
        line = json.loads(record.value or b"")
        if line["kind"] == "model":
            found[line["partition"]].append((line["offset"], line["id"]))
    return found


def _check_as_journaled(stream: Stream) -> dict[str, int]:
    """Every event was judged once, by the model of the journal, byte for byte; verdicts by model."""
    evaluator = build_evaluator(stream.settings)
    judge = FileJudge(evaluator, stream.prefix, subjects=False)
    journal = _models_at(stream)
    assert set(journal) == set(range(stream.partitions))
    raw = stream.read(stream.topic("raw-events"))
    expected: dict[int, list[bytes]] = defaultdict(list)
    counts: dict[str, int] = defaultdict(int)
    for partition, lines in journal.items():
        records = [record for record in raw if record.partition == partition]
        begins = [(0, "none"), *lines]
        for (first, version), (end, _) in zip(begins, [*begins[1:], (len(records), "")], strict=True):
            evaluator.model = MODELS[version]
            part = b"\n".join(envelope_of(record) for record in records if first <= record.offset < end)
            found = [value for kind, value in judge.judge(io.BytesIO(part)) if kind == "verdict"]
            expected[partition] += found
            counts[version] += len(found)
    published: dict[int, list[bytes]] = defaultdict(list)
    for record in stream.read(stream.topic("flagged-events")):
        if not is_subject(record.value or b""):
            value = record.value or b""
            published[json.loads(value)["source"]["partition"]].append(value)
    for partition in range(stream.partitions):
        # Keys of verdicts are users, so the verdicts of one partition of events are in another order over users.
        assert sorted(published[partition]) == sorted(expected[partition])
    return counts


def test_two_workers_take_models_between_batches_and_judge_each_event_once(
    apache_kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    # The workers ask each other, so they share a secret.
    stream = Stream(apache_kafka, topic_prefix, tmp_path, variables={"OTT_JWT_SECRET": SECRET})
    # At home, so that every verdict's source is the partition of the journal's line.
    given = [(None, key, value) for _, key, value in generated(EVENTS, seed=43).events if key is not None]
    part = len(given) // 4
    where = ["--bootstrap-servers", stream.servers, "--topic-prefix", stream.prefix]
    asyncio.run(ensure_topics(stream.settings))
    stream.write("raw-events", given[:part])
    with stream.worker("a") as one, stream.worker("b") as other:
        one.wait_ready()
        other.wait_ready()
        admin = Analyst(one, "admin")
        _until_read(admin, part)
        stream.write("raw-events", given[part : 2 * part])
        told = _put(admin, shipped_file())
        assert (told["before"], told["version"]) == ("none", shipped_model().version)
        stream.write("raw-events", given[2 * part : 3 * part])
        (stream.directory / "tree").write_bytes(TREE_FILE)
        assert run(["model", "publish", str(stream.directory / "tree"), *where]) == 0
        other.kill()
        stream.write("raw-events", given[3 * part :])
        _until_read(admin, len(given))
        time.sleep(1.0)
        shown = admin.get("/models")
        assert shown["newest"]["version"] == TREE
        assert shown["in_force"] == {TREE: list(range(stream.partitions))}
        # Back by the version.
        assert run(["model", "rollback", *where]) == 0
        more = [(None, key, value) for _, key, value in generated(1_000, seed=44).events if key is not None]
        stream.write("raw-events", more)
        _until_read(admin, len(given) + len(more))
        time.sleep(1.0)
        drift = admin.get("/drift")
        assert (drift["model"], drift["other_models"]) == (shipped_model().version, 0)
        # One minute in ten, and only since the model came back.
        assert 0 < sum(day["minutes"] for day in drift["days"]) < len(more)
    counts = _check_as_journaled(stream)
    assert counts["none"]
    assert counts[shipped_model().version]
    assert counts[TREE]
    for lines in _models_at(stream).values():
        versions = [version for _, version in lines]
        # Partitions may have passed over a model that was followed by another one before their next batch.
        assert versions[-1] == shipped_model().version
        assert all(before != after for before, after in pairwise(versions))
