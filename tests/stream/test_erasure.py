"""Users who stay away are erased by a real worker where the broker stamps the records, and nowhere else.

A month cannot pass in a test, and a broker stamps no record with another time than its own: the worker's horizon is a
few seconds here. What 30 days mean for verdicts is in tests/agents/test_idle.py.
"""

import asyncio
import json
import shutil
import time
import uuid

import pytest

from pipeline.kafka.topics import ensure_topics
from tests.stream.harness import Stream
from tests.stream.web import SECRET, Web, event

HORIZON_MS = 3_000
NEVER = ("commit:stored", "0", "0")


@pytest.fixture
def stream(any_broker, topic_prefix, tmp_path):
    """One partition, so that anybody's events tell the time of all."""
    variables = {"OTT_JWT_SECRET": SECRET, "VICTIM_IDLE_MS": str(HORIZON_MS)}
    stream = Stream(any_broker, topic_prefix, tmp_path, partitions=1, variables=variables)
    asyncio.run(ensure_topics(stream.settings))
    return stream


def write(stream, *events):
    stream.write("raw-events", [(None, one["user_id"].encode(), json.dumps(one).encode()) for one in events])


def write_request(stream, user_id, kind):
    request = {
        "schema": "privacy-request/1",
        "request_id": uuid.uuid4().hex,
        "user_id": user_id,
        "type": kind,
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    stream.write("privacy-requests", [(None, user_id.encode(), json.dumps(request).encode())])


def test_users_who_stay_away_are_erased_by_the_brokers_clock(stream, request):
    by_broker = request.node.callspec.params["any_broker"] == "apache_kafka"
    with stream.worker(kill=NEVER) as worker:
        worker.wait_ready()
        web = Web([worker])
        write_request(stream, "asked", "delete")
        web.wait_for("/privacy/requests/asked", lambda answer: answer["requests"])
        write(stream, event("asked", region="US-CA"), event("silent", region="US-CA"))
        accounts = worker.wait_drained(2)
        assert accounts["requests"] == 1
        assert {b"uasked", b"usilent"} <= stream.table().keys()
        began, written = time.monotonic(), 2
        # Twice the horizon, and then until it is seen.
        while time.monotonic() - began < 2 * HORIZON_MS / 1000 or (
            by_broker and web.call("GET", "/users/silent").status != 404
        ):
            assert time.monotonic() - began < 60, worker.tail()
            write(stream, event("other"))
            written += 1
            time.sleep(0.3)
        worker.wait_drained(written)
        shown = web.get("/privacy/requests/asked")
        (one,) = shown["requests"]
        assert shown["privacy"]["deletion"]["in_force"]
        assert [(deadline["law"], deadline["days"]) for deadline in one["deadlines"]] == [("CCPA", 45)]
        user = web.get("/users/asked")
        if not by_broker:
            assert shown["erased"] == []
            assert user["last_place"]["region"] == "US-CA"
            assert {b"uasked", b"usilent"} <= stream.table().keys()
            return
        assert len(shown["erased"]) == 1
        assert (user["window"], user["last_place"]) == (None, None)
        assert web.get("/users/other")["window"]["events"] == written - 2
        assert b"usilent" not in stream.table()
    stream.check_disks()
    shutil.rmtree(stream.directory / "state-a")
    with stream.worker(kill=NEVER) as worker:
        worker.wait_ready()
        web = Web([worker])
        assert web.call("GET", "/users/silent").status == 404
        assert web.get("/privacy/requests/asked") == shown
        write(stream, event("silent"))
        worker.wait_drained(written + 1)
        assert web.get("/users/silent")["window"]["events"] == 1
