"""A rule set that is published while events flow takes effect where the journal says, and a bad one nowhere."""

import asyncio
import json
import time
import urllib.request

from pipeline.kafka.topics import ensure_topics
from tests.stream.events import generated
from tests.stream.harness import Stream, is_subject
from tests.stream.test_views_of_verdicts import Analyst

EVENTS = 12_000
PART = EVENTS // 3


def _put(analyst: Analyst, document: dict) -> dict:
    request = urllib.request.Request(
        f"{analyst.address}/rules",
        data=json.dumps(document).encode(),
        method="PUT",
        headers={**analyst.headers, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=15) as answer:
        return json.load(answer)


def _until(holds, what: str) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def _versions_at(stream: Stream) -> dict[int, list[tuple[int, str]]]:
    """Per partition (offset, version), as the journal has it."""
    found: dict[int, list[tuple[int, str]]] = {}
    for record in stream.read(stream.topic("control-journal")):
        line = json.loads(record.value)
        assert line["schema"] == "control-applied/1"
        assert line["partition"] == int(record.key)
        if line["kind"] == "ruleset":
            found.setdefault(line["partition"], []).append((line["offset"], line["id"]))
    return found


def _check_versions(stream: Stream) -> set[str]:
    """Every verdict on a user names the version that the journal has for its record; all versions seen."""
    journal, seen, raw = _versions_at(stream), set(), stream.topic("raw-events")
    for record in stream.read(stream.topic("flagged-events")):
        if is_subject(record.value):
            continue
        verdict = json.loads(record.value)
        place = verdict["source"]
        if place["topic"] != raw or place["partition"] not in journal:
            continue
        expected = [version for offset, version in journal[place["partition"]] if offset <= place["offset"]][
            -1
        ]
        assert verdict["ruleset_version"] == expected, verdict
        if expected == "v2":
            assert "account.multi_ip" not in {finding["rule_id"] for finding in verdict["findings"]}
        seen.add(expected)
    return seen


def test_a_rule_set_takes_effect_at_the_journaled_offset_and_outlives_a_kill(stream: Stream) -> None:
    # At home, so that every verdict's source is the partition of the journal's line.
    given = [(None, key, value) for _, key, value in generated(EVENTS, seed=41).events if key is not None]
    part = len(given) // 3
    asyncio.run(ensure_topics(stream.settings))
    stream.write("raw-events", given[:part])
    with stream.worker() as worker:
        worker.wait_drained(part)
        admin = Analyst(worker, "admin")
        stream.write("raw-events", given[part : 2 * part])
        told = _put(admin, {"version": "v2", "rules": {"account.multi_ip": {"mode": "shadow"}}})
        assert "account.multi_ip.mode: active -> shadow" in told["changes"]
        _until(lambda: admin.get("/rules")["version"] == "v2", "v2 is not the newest")
        # Something bad, past the view that would have refused it.
        key = b"ruleset"
        stream.write("rule-config", [(None, key, b'{"version":"v3","rules":{"account.none":{}}}')])
        _until(lambda: admin.get("/rules")["refused"] is not None, "the bad one is not refused")
        assert "no such rule" in admin.get("/rules")["refused"]["reason"]
        worker.wait_drained(2 * part)
        worker.kill()
    stream.write("raw-events", given[2 * part :])
    with stream.worker() as worker:
        worker.wait_drained(len(given))
        admin = Analyst(worker, "admin")
        rules = admin.get("/rules")
        assert rules["in_force"] == {"v2": list(range(stream.partitions))}
    assert _check_versions(stream) == {"built-in/1", "v2"}
    journal = _versions_at(stream)
    assert set(journal) == set(range(stream.partitions))
    for lines in journal.values():
        # Each once: the second worker went on with what it found.
        assert [version for _, version in lines] == ["built-in/1", "v2"]
        assert lines[0][0] == 0


def test_an_applied_request_is_in_the_journal(stream: Stream) -> None:
    asyncio.run(ensure_topics(stream.settings))
    request = {
        "schema": "privacy-request/1",
        "request_id": "r1",
        "user_id": "u1",
        "type": "delete",
        "timestamp": "2026-01-01T00:00:00Z",
    }
    given = generated(1_000, seed=42).events
    stream.write("raw-events", given)
    with stream.worker() as worker:
        worker.wait_drained(len(given))
        stream.write("privacy-requests", [(None, b"u1", json.dumps(request).encode())])
        _until(lambda: (worker.accounts() or {}).get("requests") == 1, "the request is not applied")
        time.sleep(1.0)
    ends = {r.partition: r.offset + 1 for r in stream.read(stream.topic("raw-events"))}
    (line,) = [
        json.loads(record.value)
        for record in stream.read(stream.topic("control-journal"))
        if json.loads(record.value)["kind"] == "request"
    ]
    (home,) = {r.partition for r in stream.read(stream.topic("privacy-requests"))}
    assert (line["id"], line["partition"], line["offset"]) == ("r1", home, ends.get(home, 0))
    assert line["at"] is not None
