"""What several views tell of the same thing is the same figure in each of them."""

import asyncio
import json
import re
import time
import urllib.request
from collections import Counter
from itertools import pairwise
from urllib.parse import quote

import pytest

from pipeline.kafka.topics import ensure_topics
from tests.stream.events import generated
from tests.stream.harness import Stream
from tests.stream.test_titles import everywhere, settle, shared_events
from tests.stream.web import SECRET, Web

pytestmark = pytest.mark.essential
MINUTE = 60_000
_OF_TITLES_AND_DEVICES = ("content.error_rate", "device.error_rate")
_SIGNED_ZERO = re.compile(r"-0(\.0*)?(?![.\d])(?=\s*[,}\]])")


class Figures:
    """The answers of one worker that has judged everything; each path is asked once."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self._answers: dict[str, dict] = {}

    def __getitem__(self, path: str) -> dict:
        if path not in self._answers:
            self._answers[path] = self.web.get(path)
        return self._answers[path]

    def verdicts(self) -> list[dict]:
        found, cursor = [], ""
        while cursor is not None:
            page = self.web.get(f"/compliance/events?limit=200{cursor}")
            found += page["verdicts"]
            cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
        return found

    def metric(self, family: str, label: str) -> dict[str, float]:
        """Samples of `/metrics` by the value of their only label."""
        address = self.web.workers[0].address
        with urllib.request.urlopen(f"{address}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        found = re.findall(rf'^{family}{{{label}="([^"]+)"}} (\S+)$', text, re.MULTILINE)
        return {name: float(value) for name, value in found}


@pytest.fixture(scope="module")
def figures(embedded_broker, tmp_path_factory):
    """A title and a device that fail for an hour, and generated events.

    Many of the latter are more than an hour behind their partition: they have verdicts, and count in no figure of
    titles and regions.
    """
    stream = Stream(
        embedded_broker,
        f"figures-{time.time_ns():x}.",
        tmp_path_factory.mktemp("figures"),
        variables={"OTT_JWT_SECRET": SECRET},
    )
    asyncio.run(ensure_topics(stream.settings))
    now = time.time_ns() // 1_000_000
    opening = everywhere(3_000, now - 130 * MINUTE)
    given = [*shared_events(now), *generated(3_000, seed=21).events, *everywhere(3_001, now)]
    with stream.worker() as worker:
        worker.wait_ready()
        stream.write("raw-events", opening)
        settle([worker], len(opening))
        stream.write("raw-events", given)
        settle([worker], len(opening) + len(given))
        web = Web([worker])
        _wait_still(web, stream)
        yield Figures(web)


def _wait_still(web: Web, stream: Stream) -> None:
    """Until verdicts on titles and devices have come, none was added for some seconds, and all are counted.

    Counts by rule are up to five seconds old, so they are waited for and not only the index.
    """
    web.wait_for(
        "/compliance/summary", lambda answer: set(_OF_TITLES_AND_DEVICES) <= answer["by_rule"].keys()
    )
    seen = [0]
    while len(seen) < 4 or any(one != other for one, other in pairwise(seen[-4:])):
        seen.append(len(stream.read(stream.topic("flagged-events"))))
        time.sleep(1)
    web.wait_for("/compliance/summary", lambda answer: answer["flagged"] == seen[-1])


def test_how_records_ended(figures):
    summary, accounts = figures["/stats/summary"], figures["/stats/accounts"]
    for name in ("judged", "duplicate", "failed", "flagged", "late", "requests", "rekeyed"):
        assert summary[name] == accounts[name], name
    assert (
        summary["events"]
        == accounts["read"]
        == sum(summary[name] for name in ("judged", "duplicate", "failed"))
    )
    assert summary["lag"] == accounts["lag"]
    assert sum(summary["failed_by_reason"].values()) == summary["failed"]
    assert sum(summary["risk_levels"].values()) == summary["judged"]
    assert summary["judged"] - summary["risk_levels"]["NONE"] == summary["flagged"]
    endings = figures.metric("ott_partition_records", "ending")
    assert {name: endings[name] for name in ("judged", "duplicate", "failed", "rekeyed")} == {
        name: summary[name] for name in ("judged", "duplicate", "failed", "rekeyed")
    }
    assert figures.metric("ott_partition_findings", "rule") == summary["rules"]


def test_findings_by_rule_level_and_region(figures):
    """The index holds all verdicts of this stream, so counts since the beginning and counts of the index agree."""
    summary, compliance, regions = (
        figures[path] for path in ("/stats/summary", "/compliance/summary", "/compliance/regions")
    )
    verdicts = figures.verdicts()
    on_users = [one for one in verdicts if one["subject"]["type"] == "user"]
    assert compliance["flagged"] == compliance["index"]["verdicts"] == len(verdicts)
    assert compliance["by_level"] == Counter(one["risk_level"] for one in verdicts)
    assert compliance["by_rule"] == Counter(found["rule_id"] for one in verdicts for found in one["findings"])
    assert figures["/rules"]["findings"] == compliance["by_rule"]
    assert all(compliance["by_rule"][rule] for rule in _OF_TITLES_AND_DEVICES)
    assert summary["flagged"] == len(on_users) == sum(one["flagged"] for one in regions["regions"])
    assert summary["rules"] == {
        rule: count for rule, count in compliance["by_rule"].items() if rule not in _OF_TITLES_AND_DEVICES
    }
    total: Counter[str] = Counter()
    for risk in regions["regions"]:
        total.update(risk["by_rule"])
        region = figures[f"/stats/region/{quote(risk['region'], safe='')}"]
        assert {one["name"]: one["count"] for one in region["flagged_by_rule"]} == risk["by_rule"]
    assert total == summary["rules"]
    groups = {one["region"]: one["flagged"] for one in regions["groups"]}
    assert groups["EEA"] + groups["non-EEA"] == summary["flagged"]


def test_a_title_in_the_list_and_alone(figures):
    ranked = figures["/stats/content?limit=20"]["contents"]
    assert "shared" in {one["content_id"] for one in ranked}
    for rank in ranked:
        title = figures[f"/stats/content/{quote(rank['content_id'], safe='')}"]
        for name in ("plays", "watch_seconds", "error_rate", "risk_level"):
            assert title[name] == rank[name], (rank["content_id"], name)


def test_alerts_users_and_the_process(figures):
    alerts = figures["/alerts?limit=500"]
    by_status = Counter(one["status"] for one in alerts["alerts"])
    assert (alerts["open"], alerts["closed"]) == (by_status["open"], by_status["closed"])
    users = sorted({one["user_id"] for one in figures.verdicts() if one["user_id"]})[:20]
    assert users
    for user in users:
        view, segment = figures[f"/users/{quote(user)}"], figures[f"/users/{quote(user)}/segment"]
        window = view["window"]
        assert (
            segment["events"]
            == (window["events"] if window else 0)
            == segment["newer_half"] + segment["older_half"]
        )
        assert segment["playing"] == (len(window["playing"]) if window else 0)
        assert view["last_verdict"]["user_id"] == user
    summary = figures["/stats/summary"]
    assert summary["total_lag"] == sum(summary["lag"].values()) == 0
    assert (summary["paused"], summary["workers"]) == (False, 1)


def test_no_zero_has_a_sign(figures):
    asked = ["/stats/summary", "/stats/content?limit=100", "/alerts?limit=500", "/results/latest?limit=100"]
    asked += ["/compliance/events?limit=500", "/compliance/summary", "/compliance/regions", "/rules"]
    for path in asked:
        assert not _SIGNED_ZERO.search(json.dumps(figures[path])), path
    assert _SIGNED_ZERO.search('{"low":-0.0}')
    assert not _SIGNED_ZERO.search('{"change":-0.05}')
