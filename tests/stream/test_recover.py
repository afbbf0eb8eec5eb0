"""Failed events are published again with edits that make them valid, each once."""

import asyncio
import json
import random
import subprocess
import sys
import time
from pathlib import Path

from pipeline.delivery.partitioner import partition_of
from pipeline.evaluation.evaluator import Evaluator
from pipeline.evaluation.source import PlainRecord
from pipeline.judging.file import AllUsers
from pipeline.kafka.topics import ensure_topics
from pipeline.rules.ruleset import built_in
from tests.pipeline.events.messages import encoded
from tests.stream.harness import Stream
from tests.stream.test_replay import ott

EVENTS = 3_000
EDITS = """
[[edit]]
reason = "schema_violation"
path = "user_age"
steps = [{ op = "cast", path = "/user_age", to = "integer" }]
"""


def fail(stream: Stream, values: list[bytes]) -> None:
    """Write the failed events that a worker writes of these values."""
    evaluator, users = Evaluator(built_in(), "1.0"), AllUsers()
    topic = stream.topic("raw-events")
    records = [PlainRecord(topic, 0, number, -1, None, value) for number, value in enumerate(values)]
    failed = [evaluator.judge(record, users).failed for record in records]
    assert all(failed)
    stream.write("failed-events", [(None, None, value) for value in failed])


def test_each_recovered_event_is_published_once_and_named_in_the_trail(stream: Stream) -> None:
    asyncio.run(ensure_topics(stream.settings))
    values = [
        encoded(event_id=f"e{number}", user_id=f"u{number % 50}", user_age=str(number % 90))
        for number in range(EVENTS)
    ]
    fail(stream, [*values, b"no json", encoded(event_id="x", user_age="old")])
    edits = Path(stream.directory / "edits.toml")
    edits.write_text(EDITS)

    listed = json.loads(ott(stream, "failed", "list", "--json", "--limit", "1").stdout)
    assert listed["failed"] == EVENTS + 2
    assert {(one["reason"], one["path"]): one["count"] for one in listed["by"]} == {
        ("schema_violation", "user_age"): EVENTS + 1,
        ("not_json", ""): 1,
    }
    failure_id = listed["first"][0]["failure_id"]
    assert json.loads(ott(stream, "failed", "show", failure_id).stdout)["failure_id"] == failure_id
    assert "has no 00" in ott(stream, "failed", "show", "00", status=1).stderr

    dry = json.loads(ott(stream, "failed", "recover", edits, "--json", "--limit", "1").stdout)
    assert (dry["ready"], dry["recovered"], dry["invalid"], dry["unmatched"]) == (EVENTS, 0, 1, 1)
    (example,) = dry["examples"]
    assert example["after"] == {**json.loads(example["before"]), "user_age": example["after"]["user_age"]}
    assert stream.read(stream.topic("raw-events")) == []

    words = ["failed", "recover", edits, "--publish"]
    command = [sys.executable, "-P", "-m", "pipeline.cli", *map(str, words)]
    environment = {"PATH": "/usr/bin:/bin", **stream.variables}
    for _ in range(2):
        with subprocess.Popen(
            command, env=environment, cwd=stream.directory, stdout=subprocess.DEVNULL
        ) as killed:
            time.sleep(random.uniform(2.0, 5.0))
            killed.kill()
    ott(stream, *words)
    last = json.loads(ott(stream, *words, "--json").stdout)
    assert (last["recovered"], last["recovered_before"]) == (0, EVENTS)

    found = stream.read(stream.topic("raw-events"))
    assert sorted(json.loads(record.value)["event_id"] for record in found) == sorted(
        json.loads(value)["event_id"] for value in values
    )
    assert all(isinstance(json.loads(record.value)["user_age"], int) for record in found)
    assert all(record.partition == partition_of(record.key, stream.partitions) for record in found)
    trail = [json.loads(record.value) for record in stream.read(stream.topic("audit-trail"))]
    assert len({entry["subject"] for entry in trail}) == len(trail) == EVENTS
    assert {entry["action"] for entry in trail} == {"ott failed recover"}


def test_what_cannot_be_recovered_is_one_clear_message(stream: Stream) -> None:
    asyncio.run(ensure_topics(stream.settings))
    fail(stream, [encoded(user_age="old")])
    edits = stream.directory / "edits.toml"
    edits.write_text(EDITS.replace("user_age", "region"))
    assert "no failed event can be recovered" in ott(stream, "failed", "recover", edits, status=1).stderr
    edits.write_text("[[edit]]\nsteps = 5")
    assert "edits.toml: " in ott(stream, "failed", "recover", edits, status=2).stderr
    assert "none.toml cannot be read" in ott(stream, "failed", "recover", "none.toml", status=3).stderr
    assert stream.read(stream.topic("raw-events")) == []
