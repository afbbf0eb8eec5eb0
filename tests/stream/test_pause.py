"""A pause holds for every worker, over restarts and joins, until somebody resumes."""

import json
import time

import pytest

from tests.stream.harness import Stream, killed_at_end
from tests.stream.web import SECRET, Web, event


@pytest.fixture
def stream(apache_kafka, topic_prefix, tmp_path):
    return Stream(apache_kafka, topic_prefix, tmp_path, 4, {"OTT_JWT_SECRET": SECRET})


def write(stream, number):
    users = [f"u{i % 20}" for i in range(number)]
    stream.write("raw-events", [(None, user.encode(), json.dumps(event(user)).encode()) for user in users])


def test_a_pause_outlives_restarts_and_rebalances_and_reaches_who_joins_later(stream):
    workers = []
    with killed_at_end(workers):
        workers += [stream.worker("a"), stream.worker("b")]
        for worker in workers:
            worker.wait_ready()
        web = Web(workers)
        web.wait_covered()
        write(stream, 40)
        web.wait_for("/stats/summary", lambda found: found["judged"] == 40)

        state = web.post("/process/pause?reason=a%20new%20law")
        assert (state["paused"], state["workers"]) == (True, 2)
        shown = state["pause"]
        assert (shown["by"], shown["reason"]) == ("admin", "a new law")
        write(stream, 60)
        workers[0].terminate()
        workers[0] = stream.worker("a")
        workers.append(stream.worker("c"))
        for worker in workers:
            worker.wait_ready()
        web.wait_covered()
        summaries = [web.get("/stats/summary", worker=number) for number in range(3)]
        for number, summary in enumerate(summaries):
            assert (summary["judged"], summary["paused"], summary["pause"]) == (40, True, shown)
            assert web.get("/readyz", worker=number, name=None)["paused_since"] == shown["at"]
        web.wait_for("/stats/summary", lambda found: found["total_lag"] == 60)
        time.sleep(1.0)
        assert web.get("/stats/summary")["judged"] == 40
        assert web.post("/process/one", worker=2)["judged"] == 1
        web.wait_for("/stats/summary", lambda found: found["judged"] == 41)

        assert web.post("/process/resume", worker=2)["pause"] is None
        web.wait_for("/stats/summary", lambda found: found["judged"] == 100 and not found["paused"])
        assert web.post("/process/drain")["drained"]
        assert web.get("/readyz", name=None)["paused_since"] is None
    stream.check_accounts(stream.expected())


def test_a_pause_that_cannot_be_read_changes_nothing(stream):
    with stream.worker("a") as worker:
        web = Web([worker])
        worker.wait_ready()
        for value in (b"[" * 100_000, b"\xff", b'{"schema":"process-pause/9","by":"x","at":"y"}', b""):
            stream.write("rule-config", [(None, b"pause", value)])
        assert not web.post("/process/resume")["paused"]
        web.post("/process/pause")
        stream.write("rule-config", [(None, b"pause", b"{}")])
        write(stream, 5)
        time.sleep(1.0)
        summary = web.get("/stats/summary")
        assert (summary["judged"], summary["pause"]["by"], summary["pause"]["reason"]) == (0, "admin", None)
        assert "of rule-config cannot be read and is ignored" in worker.tail(200)
