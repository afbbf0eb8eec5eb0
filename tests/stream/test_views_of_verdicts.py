"""What the worker publishes is found by its web views, also those of a worker that was started again."""

import asyncio
import json
import time
import urllib.parse
import urllib.request

from pipeline.kafka.topics import ensure_topics
from tests.stream.events import generated
from tests.stream.harness import Stream, Worker

EVENTS = 5_000


class Analyst:
    """Asks a worker as one of the demo's users."""

    def __init__(self, worker: Worker, name: str = "analyst") -> None:
        self.address = worker.address
        form = urllib.parse.urlencode({"username": name, "password": f"{name}123"}).encode()
        with urllib.request.urlopen(f"{self.address}/token", data=form, timeout=10) as answer:
            self.headers = {"Authorization": f"Bearer {json.load(answer)['access_token']}"}

    def get(self, path: str) -> dict:
        request = urllib.request.Request(f"{self.address}{path}", headers=self.headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def all_verdicts(self) -> list[dict]:
        found, cursor = [], ""
        while True:
            page = self.get(f"/compliance/events?limit=200{cursor}")
            found += page["verdicts"]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    def wait_indexed(self, count: int) -> None:
        deadline = time.monotonic() + 30
        while (span := self.get("/compliance/summary")["index"])["verdicts"] < count:
            assert time.monotonic() < deadline, span
            time.sleep(0.2)


def _published(stream: Stream) -> dict[str, dict]:
    """All verdicts by id, on users, titles and devices, once no more come: the latter follow some commits later."""
    while True:
        count = len(stream.read(stream.topic("flagged-events")))
        time.sleep(2)
        records = stream.read(stream.topic("flagged-events"))
        if len(records) == count:
            return {json.loads(record.value)["verdict_id"]: json.loads(record.value) for record in records}


def test_every_verdict_is_found_once(embedded_broker, topic_prefix, tmp_path) -> None:
    stream = Stream(embedded_broker, topic_prefix, tmp_path)
    given = generated(EVENTS, seed=21)
    asyncio.run(ensure_topics(stream.settings))
    stream.write("raw-events", given.events)
    for _ in range(2):
        with stream.worker() as worker:
            worker.wait_drained(len(given.events))
            published = _published(stream)
            analyst = Analyst(worker)
            analyst.wait_indexed(len(published))
            found = analyst.all_verdicts()
            summary = analyst.get("/compliance/summary")
            alerts = analyst.get("/alerts?limit=500")
            alert = alerts["alerts"][0]
            key = urllib.parse.quote(f"a{alert['subject']['id']}/{alert['rule_id']}", safe="")
            record = analyst.get(f"/tables/alerts-v1/{key}")
            clock = analyst.get(f"/tables/alerts-v1/c@{record['partition']}")
        assert len(found) == len(published)
        assert {verdict["verdict_id"]: verdict for verdict in found} == published
        assert summary["flagged"] == len(published)
        assert summary["index"]["behind"] == 0
        assert alerts["open"] + alerts["closed"] >= len(alerts["alerts"]) > 0
        assert record["value"]["alert_id"] == alert["alert_id"]
        assert clock["value"]["time"] > 0
