"""A replay of what a worker judged gives the worker's verdicts, whatever happened in the range."""

import asyncio
import gzip
import json
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pipeline.delivery.partitioner import partition_of
from pipeline.kafka.topics import ensure_topics
from tests.stream.chaos.load import load
from tests.stream.events import generated
from tests.stream.harness import Stream, is_subject

EVENTS = 6_000
MISPLACED_EVERY = 9
V2 = {"version": "v2", "rules": {"account.multi_ip": {"mode": "shadow"}}}


def ott(stream: Stream, *words: object, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pipeline.cli", *map(str, words)],
        env={"PATH": "/usr/bin:/bin", **stream.variables},
        cwd=stream.directory,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def by_user(verdicts: list[bytes]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = defaultdict(list)
    for value in verdicts:
        if not is_subject(value):
            found[json.loads(value)["user_id"]].append(value)
    return found


def on_subjects(verdicts: Iterable[bytes]) -> Counter[str]:
    """Verdicts on titles and devices without the version of the rule set: the journal has no lines for their agent."""
    found: Counter[str] = Counter()
    for value in filter(is_subject, verdicts):
        document = json.loads(value)
        del document["ruleset_version"], document["verdict_id"]
        found[json.dumps(document)] += 1
    return found


def live(stream: Stream) -> list[bytes]:
    found = [record.value or b"" for record in stream.read(stream.topic("flagged-events"))]
    return [value for value in found if not is_subject(value)]


def some_misplaced(events: list) -> list:
    """Every ninth event in a wrong partition and without a key, so that users have events on both topics."""
    found = []
    for number, (_, key, value) in enumerate(events):
        if number % MISPLACED_EVERY or key is None:
            found.append((None, key, value))
        else:
            found.append(((partition_of(key, 4) + 1) % 4, None, value))
    return found


def request(number: int, user: bytes) -> tuple[None, bytes, bytes]:
    kinds = ("opt_out", "delete", "opt_in", "reinstate")
    value = {
        "schema": "privacy-request/1",
        "request_id": f"r{number}",
        "user_id": user.decode(),
        "type": kinds[number % 4],
        "timestamp": "2020-01-01T00:00:00Z" if number % 4 < 2 else "2021-01-01T00:00:00Z",
    }
    return None, user, json.dumps(value).encode()


class Disturbed:
    """A range with misplaced events, requests, a new rule set, a new model and a kill in it, judged by workers."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        # One event of each source comes first, because titles and devices do not wait for a source that had none.
        opening = load(EVENTS, 51).opening
        events = some_misplaced(generated(EVENTS, 51, EVENTS // 40).events)
        users = sorted({key for _, key, _ in events if key})[:40]
        asyncio.run(ensure_topics(stream.settings))
        part = len(events) // 3
        stream.write("raw-events", opening)
        with stream.worker() as worker:
            worker.wait_drained(len(opening))
            stream.write("raw-events", events[:part])
            stream.write("privacy-requests", [request(n, user) for n, user in enumerate(users[:20])])
            stream.write("raw-events", events[part : part + 300])
            time.sleep(1.0)
            # In the middle of the work.
            worker.kill()
        self.between = time.time()
        time.sleep(0.01)
        stream.write("raw-events", events[part + 300 : 2 * part])
        with stream.worker() as worker:
            worker.wait_ready()
            stream.write("rule-config", [(None, b"ruleset", json.dumps(V2).encode())])
            stream.score()
            stream.write("privacy-requests", [request(n, user) for n, user in enumerate(users)])
            stream.write("raw-events", events[2 * part :])
            worker.wait_drained(len(opening) + len(events))
            # The title table is committed with every fifth commit.
            time.sleep(3.0)
        self.events = len(opening) + len(events)


class Replayed(NamedTuple):
    """What a replay wrote, and its accounts."""

    output: Path
    accounts: dict[str, Any]


@pytest.fixture(scope="module")
def disturbed(apache_kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Disturbed:
    directory = tmp_path_factory.mktemp("disturbed")
    return Disturbed(Stream(apache_kafka, f"disturbed-{time.time_ns()}.", directory))


@pytest.fixture(scope="module")
def replayed(disturbed: Disturbed) -> Replayed:
    """A replay of everything."""
    output = disturbed.stream.directory / "all.jsonl"
    done = ott(disturbed.stream, "replay", "--output", output, "--json")
    return Replayed(output, json.loads(done.stdout))


@pytest.mark.essential
def test_live_and_replay_differ_by_nothing(disturbed: Disturbed, replayed: Replayed) -> None:
    stream, output, accounts = disturbed.stream, *replayed
    assert accounts["read"] == disturbed.events
    assert accounts["rekeyed"] == accounts["misplaced"] > 0
    assert accounts["requests"] == 60
    expected, found = by_user(live(stream)), by_user(lines(output))
    assert {json.loads(value)["ruleset_version"] for value in lines(output)} == {"built-in/1", "v2"}
    assert stream.model is not None
    assert {json.loads(value)["model_version"] for value in lines(output)} == {None, stream.model.version}
    assert found.keys() == expected.keys()
    different = [user for user in expected if expected[user] != found[user]]
    assert not different, f"{len(different)} of {len(expected)}"
    assert sum(on_subjects(lines(output)).values()) == accounts["subject_verdicts"] > 0
    assert on_subjects(lines(output)) == on_subjects(stream.subject_verdicts())


def test_a_range_of_time_with_a_warm_up_gives_the_verdicts_on_its_records(disturbed: Disturbed) -> None:
    stream, output = disturbed.stream, disturbed.stream.directory / "second.jsonl.gz"
    begin = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(disturbed.between))
    begin += f".{int(disturbed.between % 1 * 1000):03d}Z"
    ott(stream, "replay", "--from", begin, "--output", output, "--no-subjects")
    raw = stream.read(stream.topic("raw-events"))
    in_range = {(r.partition, r.offset) for r in raw if r.timestamp >= int(disturbed.between * 1000)}
    assert 0 < len(in_range) < len(raw)
    expected = [
        value
        for value in live(stream)
        if (json.loads(value)["source"]["partition"], json.loads(value)["source"]["offset"]) in in_range
    ]
    assert Counter(gzip.decompress(output.read_bytes()).splitlines()) == Counter(expected)


def test_diff_says_so_by_its_status(disturbed: Disturbed, replayed: Replayed) -> None:
    stream, rules = disturbed.stream, disturbed.stream.directory / "rules.json"
    rules.write_text(json.dumps({**V2, "version": "v9"}))
    output = stream.directory / "other.jsonl.zst"
    ott(stream, "replay", "--output", output, "--rules", rules, "--partitions", "0-3")
    done = ott(stream, "diff", replayed.output, output, "--json", status=1)
    found = json.loads(done.stdout)
    assert "added" not in found["rules"]["account.multi_ip"]
    assert found["rules"]["account.multi_ip"]["removed"] > 0
    assert found["a"] == found["same"] + found["changed"] + found["removed"]


def test_a_start_that_was_killed_is_taken_up_again_and_a_finished_one_is_left_alone(
    disturbed: Disturbed, replayed: Replayed
) -> None:
    stream, output = disturbed.stream, disturbed.stream.directory / "killed.jsonl"
    words = ["replay", "--output", output, "--workers", "1"]
    command = [sys.executable, "-P", "-m", "pipeline.cli", *map(str, words)]
    environment = {"PATH": "/usr/bin:/bin", **stream.variables}
    manifest = output.with_name("killed.jsonl.manifest.json")
    with subprocess.Popen(
        command, env=environment, cwd=stream.directory, stderr=subprocess.DEVNULL
    ) as killed:
        deadline = time.monotonic() + 60
        while not manifest.exists() or not json.loads(manifest.read_bytes())["done"]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        killed.kill()
    done_before = json.loads(manifest.read_bytes())["done"]
    ott(stream, *words)
    assert lines(output) == lines(replayed.output)
    assert json.loads(manifest.read_bytes())["done"].items() >= done_before.items()
    assert not list(stream.directory.glob("killed.jsonl.part-*"))
    written = output.stat().st_mtime_ns
    assert "complete already" in ott(stream, *words).stderr
    assert output.stat().st_mtime_ns == written
    refused = ott(stream, *words, "--user", "u1", status=1)
    assert "user None instead of 'u1'" in refused.stderr


def test_one_user_is_judged_alone(disturbed: Disturbed, replayed: Replayed) -> None:
    stream, output = disturbed.stream, disturbed.stream.directory / "user.jsonl"
    everything = by_user(lines(replayed.output))
    user = max(everything, key=lambda one: len(everything[one]))
    ott(stream, "replay", "--output", output, "--user", user)
    assert lines(output) == everything[user]


def test_what_cannot_be_judged_is_one_clear_message(disturbed: Disturbed) -> None:
    stream = disturbed.stream
    output = stream.directory / "nothing.jsonl"
    cases = {
        ("--from", "yesterday"): (2, "--from 'yesterday' is no time"),
        ("--from", "2026-01-02T00:00:00Z", "--to", "2026-01-01T00:00:00Z"): (2, "the range is empty"),
        ("--partitions", "9"): (2, "has the partitions 0 to 3"),
        ("--warmup", "long"): (2, "--warmup 'long' is no time"),
        ("--topic-prefix", "none."): (3, "there is no topic none.control-journal"),
    }
    for words, (status, message) in cases.items():
        assert message in ott(stream, "replay", "--output", output, *words, status=status).stderr
    assert "there is no directory" in ott(stream, "replay", "--output", "no/such.jsonl", status=3).stderr
    assert not list(stream.directory.glob("nothing*"))


def test_a_dry_run_shows_the_offsets_and_writes_nothing(disturbed: Disturbed) -> None:
    done = ott(disturbed.stream, "replay", "--dry-run", "--json")
    plan = json.loads(done.stdout)
    assert plan["records"] >= disturbed.events
    assert plan["rule_sets"] == ["built-in/1", "v2"]


def test_a_topic_gets_each_verdict_once_also_after_a_kill(disturbed: Disturbed, replayed: Replayed) -> None:
    stream = disturbed.stream
    words = ["replay", "--output", "topic:judged-again"]
    refused = ott(stream, "replay", "--output", "topic:flagged-events", status=2)
    assert "is a topic of the running application" in refused.stderr
    command = [sys.executable, "-P", "-m", "pipeline.cli", *words]
    environment = {"PATH": "/usr/bin:/bin", **stream.variables}
    manifest = stream.directory / "judged-again.replay.jsonl.manifest.json"
    with subprocess.Popen(
        command, env=environment, cwd=stream.directory, stderr=subprocess.DEVNULL
    ) as killed:
        deadline = time.monotonic() + 60
        while not manifest.exists() or not json.loads(manifest.read_bytes())["complete"]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        killed.kill()
    # Whether the killed start had come to publish anything does not matter.
    ott(stream, *words)
    found = stream.read(stream.topic("judged-again"))
    assert Counter(record.value for record in found) == Counter(lines(replayed.output))
    assert all(record.key == json.loads(record.value)["subject"]["id"].encode() for record in found)
    ott(stream, *words)
    assert len(stream.read(stream.topic("judged-again"))) == len(found)
    assert (
        "adds 0, removes 0 and changes 0" in ott(stream, "diff", "topic:judged-again", replayed.output).stdout
    )


def test_an_explained_verdict_has_the_published_bytes_and_the_events_behind_it(disturbed: Disturbed) -> None:
    """One verdict on an event that came in its place, and one on an event that was forwarded."""
    stream = disturbed.stream
    published = [json.loads(value) for value in live(stream)]
    home = {
        kept: [
            one
            for one in published
            if any(finding["rule_id"] == "account.multi_region" for finding in one["findings"])
            and (one["source"]["partition"] == partition_of(one["user_id"].encode(), 4)) is kept
        ][-1]
        for kept in (True, False)
    }
    for verdict in home.values():
        found = json.loads(ott(stream, "explain", verdict["verdict_id"], "--json").stdout)
        assert found["same"]
        assert found["again"] == found["verdict"] == verdict
        (regions,) = [one for one in found["findings"] if one["rule_id"] == "account.multi_region"]
        (finding,) = [one for one in verdict["findings"] if one["rule_id"] == "account.multi_region"]
        seen = finding["evidence"]["distinct_regions"]
        assert regions["measure"] == {"name": "distinct_regions", "value": seen}
        assert len({event["region"] for event in regions["events"]}) >= seen
        assert regions["limits"][0] == {"level": "MEDIUM", "above": 2, "by": seen - 2}
        assert verdict["event_id"] in {event["event_id"] for event in found["window"]}
    shown = ott(stream, "explain", home[True]["verdict_id"]).stdout
    assert "judged again: the same bytes" in shown
    assert "saw distinct_regions" in shown


def test_what_cannot_be_explained_is_one_clear_message(disturbed: Disturbed) -> None:
    stream = disturbed.stream
    assert "has no verdict 00ff" in ott(stream, "explain", "00ff", status=1).stderr
    on_title = json.loads(stream.subject_verdicts()[0])["verdict_id"]
    assert "judged once a minute" in ott(stream, "explain", on_title, status=1).stderr
