"""Records behind another producer's open transaction wait, and nobody is told that there are none."""

import json
import time

import pytest
from confluent_kafka import Producer

from tests.stream.harness import Stream
from tests.stream.web import SECRET, Web, event

WAITING = 4


@pytest.fixture
def stream(apache_kafka, topic_prefix, tmp_path):
    return Stream(apache_kafka, topic_prefix, tmp_path, 1, {"OTT_JWT_SECRET": SECRET})


@pytest.mark.parametrize("end", ["commit_transaction", "abort_transaction"])
def test_what_waits_behind_an_open_transaction_is_lag_and_not_drained(stream, apache_kafka, end):
    raw = stream.topic("raw-events")
    with stream.worker("a") as worker:
        worker.wait_ready()
        web = Web([worker])
        producer = Producer({"bootstrap.servers": apache_kafka, "transactional.id": raw})
        producer.init_transactions(30)
        producer.begin_transaction()
        producer.produce(raw, json.dumps(event("in-it")).encode(), key=b"in-it", partition=0)
        producer.flush(30)
        behind = [(0, b"behind", json.dumps(event("behind")).encode()) for _ in range(WAITING - 1)]
        stream.write("raw-events", behind)

        began = time.monotonic()
        summary = web.wait_for("/stats/summary", lambda body: body["lag_open_transactions"], 20)
        assert summary["lag_open_transactions"] == {f"{raw}-0": WAITING}
        assert summary["lag"][f"{raw}-0"] == summary["total_lag"] == WAITING
        assert summary["events"] == 0
        assert worker.accounts()["lag_open_transactions"] == {f"{raw}-0": WAITING}
        drained = web.post("/process/drain?timeout=1")
        assert not drained["drained"]
        assert drained["count"] == 0
        assert drained["remaining"] == drained["behind_open_transactions"] == WAITING
        assert time.monotonic() - began < 20

        getattr(producer, end)(30)
        drained = web.post("/process/drain?timeout=20")
        assert drained["drained"]
        assert drained["remaining"] == drained["behind_open_transactions"] == 0
        judged = WAITING if end == "commit_transaction" else WAITING - 1
        summary = web.wait_for("/stats/summary", lambda body: body["total_lag"] == 0, 20)
        assert summary["events"] == summary["judged"] == judged
        assert summary["lag_open_transactions"] == {}


def test_the_audit_trail_is_shown_while_a_transaction_is_open_on_its_topic(stream, apache_kafka):
    trail = stream.topic("audit-trail")
    with stream.worker("a") as worker:
        worker.wait_ready()
        web = Web([worker])
        producer = Producer({"bootstrap.servers": apache_kafka, "transactional.id": trail})
        producer.init_transactions(30)
        producer.begin_transaction()
        for partition in range(stream.settings.partitions):
            producer.produce(trail, b"no entry", partition=partition)
        producer.flush(30)
        web.post("/process/drain?timeout=1")
        entries = web.get("/audit?limit=5")["entries"]
        assert "POST /process/drain" in {entry["action"] for entry in entries}
        producer.abort_transaction(30)
