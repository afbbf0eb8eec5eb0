"""`ott rules`: what a backtest says is what two replays and their comparison say, and publishing is refused or done."""

import asyncio
import json
from pathlib import Path

from pipeline.kafka.topics import ensure_topics
from tests.pipeline.web.test_jobs import commands, wait_until
from tests.stream.events import generated
from tests.stream.harness import Stream
from tests.stream.test_replay import V2, lines, ott, request
from tests.stream.web import SECRET, Web

EVENTS = 3_000
NEW = {
    "version": "v7",
    "rules": {"account.multi_ip": {"mode": "off"}, "account.multi_region": {"medium_over": 1}},
}


def said(value: bytes) -> dict:
    document = json.loads(value)
    del document["verdict_id"], document["ruleset_version"]
    return document


def by_place(path: Path) -> dict[tuple[int, int], dict]:
    found = {}
    for value in lines(path):
        document = said(value)
        found[document["source"]["partition"], document["source"]["offset"]] = document
    return found


def test_a_backtest_says_what_two_replays_and_their_comparison_say(stream: Stream) -> None:
    asyncio.run(ensure_topics(stream.settings))
    events = [(None, key, value) for _, key, value in generated(EVENTS, 71).events if key is not None]
    users = sorted({key for _, key, _ in events})[:30]
    stream.write("privacy-requests", [request(n, user) for n, user in enumerate(users)])
    stream.write("raw-events", events)
    new = stream.directory / "new.json"
    new.write_text(json.dumps(NEW))
    found = json.loads(ott(stream, "rules", "backtest", new, "--json", "--examples", "2").stdout)

    directory = stream.directory
    ott(stream, "replay", "--output", directory / "old.jsonl", "--no-subjects")
    ott(stream, "replay", "--output", directory / "new.jsonl", "--no-subjects", "--rules", new)
    old, changed = by_place(directory / "old.jsonl"), by_place(directory / "new.jsonl")
    both = old.keys() & changed.keys()
    assert (found["a"], found["b"]) == (len(old), len(changed))
    assert found["same"] == sum(old[place] == changed[place] for place in both)
    assert found["changed"] == len(both) - found["same"] > 0
    assert found["added"] == len(changed.keys() - both) > 0
    assert found["removed"] == len(old.keys() - both) > 0
    assert found["judged"] > 0
    assert found["rules"]["account.multi_ip"].keys() == {"removed"}
    assert all(len(examples) == 2 for examples in found["examples"].values())
    assert sum(found["users"].values()) <= found["added"] + found["removed"] + found["changed"]
    shown = ott(stream, "rules", "backtest", new).stdout
    assert "concerned: user:" in shown


def test_a_rule_set_is_checked_compared_and_published(stream: Stream) -> None:
    asyncio.run(ensure_topics(stream.settings))
    good, other, bad = (stream.directory / name for name in ("good.json", "other.json", "bad.toml"))
    good.write_text(json.dumps(V2))
    other.write_text(json.dumps({**NEW, "version": "v2"}))
    bad.write_text('version = "v3"\n[rules."account.none"]\n')
    assert "is valid: version v2" in ott(stream, "rules", "check", good).stdout
    assert "no such rule" in ott(stream, "rules", "check", bad, status=1).stderr
    assert "none.toml cannot be read" in ott(stream, "rules", "check", "none.toml", status=3).stderr
    assert "account.multi_ip.mode: active -> shadow" in ott(stream, "rules", "diff", good, status=1).stdout
    ott(stream, "rules", "publish", good, "--dry-run")
    assert stream.read(stream.topic("rule-config")) == []
    assert "v2 is published after built-in/1" in ott(stream, "rules", "publish", good).stdout
    assert "published already" in ott(stream, "rules", "publish", good).stdout
    assert (
        "version 'v2' is that of another rule set" in ott(stream, "rules", "publish", other, status=1).stderr
    )
    (record,) = stream.read(stream.topic("rule-config"))
    assert (record.key, record.value) == (b"ruleset", good.read_bytes())
    ott(stream, "rules", "diff", good)
    (told,) = json.loads(ott(stream, "rules", "history", "--json").stdout)
    assert (told["version"], told["in_force_from"]) == ("v2", {})


def test_workers_run_backtests_and_lead_to_the_one_that_knows_each(stream: Stream) -> None:
    variables = {"OTT_JWT_SECRET": SECRET}
    stream = Stream(stream.servers, stream.prefix, stream.directory, variables=variables)
    asyncio.run(ensure_topics(stream.settings))
    stream.write("raw-events", generated(EVENTS, 72).events)
    question = {"document": NEW, "from": "2020-01-01T00:00:00Z"}
    with stream.worker("a") as one, stream.worker("b") as other:
        one.wait_ready()
        other.wait_ready()
        web = Web([one, other])
        web.wait_covered()
        web.post("/process/drain?timeout=60")
        asked = [web.post("/backtests", 202, body=question)["id"] for _ in range(2)]
        cancelled = web.call("DELETE", f"/backtests/{asked[1]}", worker=1)
        assert (cancelled.status, cancelled.body["state"]) == (200, "cancelled")
        web.wait_for(f"/backtests/{asked[0]}", lambda found: found["state"] not in {"queued", "running"})
        found = web.get(f"/backtests/{asked[0]}", worker=1)
        absent = web.call("GET", f"/backtests/{asked[0][:9]}00", worker=1)
        assert absent.status == 404
        before = len(commands(stream.prefix))
        web.post("/backtests", 202, body=question)
        wait_until(lambda: len(commands(stream.prefix)) > before)
    # The workers have stopped, and so has the backtest of one of them.
    assert commands(stream.prefix) == []
    assert found == {**found, "version": "v7", "state": "done", "message": None}
    assert found["progress"]["read"] == found["progress"]["total"] > 0
    new = stream.directory / "new.json"
    new.write_text(json.dumps(NEW))
    said = ott(stream, "rules", "backtest", new, "--json", "--progress", "--from", question["from"])
    assert json.loads(said.stdout) == found["result"]
    assert said.stderr.splitlines()[-1] == "{read} of {total} records".format(**found["progress"])
