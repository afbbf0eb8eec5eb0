"""The explanation of a verdict by a real worker: what the command says, with the ids that outputs have."""

import asyncio
import json
import secrets

import pytest

from pipeline.evaluation.pseudonyms import pseudonymiser
from pipeline.kafka.topics import ensure_topics
from tests.stream.harness import Stream
from tests.stream.web import SECRET, Web, event

KEY = secrets.token_hex(16)
DEVICE = "tv-of-someone"

pytestmark = pytest.mark.slow


def test_a_verdict_is_explained_by_a_worker_with_pseudonyms(apache_kafka, topic_prefix, tmp_path):
    variables = {"OTT_JWT_SECRET": SECRET, "OTT_PSEUDONYM_KEY": KEY}
    stream = Stream(apache_kafka, topic_prefix, tmp_path, variables=variables)
    asyncio.run(ensure_topics(stream.settings))
    with stream.worker() as worker:
        worker.wait_ready()
        web = Web([worker])
        events = [event(device_id=DEVICE, has_consent=False, region="DE", is_eu=True) for _ in range(3)]
        web.post("/events", 202, name=None, body=events)
        page = web.wait_for("/compliance/events", lambda page: len(page["verdicts"]) == 3)
        verdict = page["verdicts"][0]

        found = web.get(f"/verdicts/{verdict['verdict_id']}/explanation", name="analyst")
        assert found["same"]
        assert found["verdict"] == found["again"] == verdict
        assert [one["rule_id"] for one in found["findings"]] == [
            one["rule_id"] for one in verdict["findings"]
        ]
        assert {one["device_id"] for one in found["window"]} == {pseudonymiser(KEY.encode())(DEVICE)}
        assert [one["event_id"] for one in found["findings"][0]["events"]] == [verdict["event_id"]]
        assert DEVICE not in json.dumps(found)
        audit = web.wait_for(
            "/audit", lambda audit: any(one["subject"] == verdict["verdict_id"] for one in audit["entries"])
        )
        assert "GET /verdicts/{verdict_id}/explanation" in {one["action"] for one in audit["entries"]}

        absent = web.call("GET", f"/verdicts/{'0' * 32}/explanation", name="analyst")
        assert absent.status == 404
        assert "it keeps verdicts for 30 days" in absent.body["detail"]
        assert web.call("GET", "/verdicts/--help/explanation").status == 404
