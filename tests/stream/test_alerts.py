"""Alerts on the broker are those of the verdicts on it."""

import asyncio
import time

from pipeline.kafka.topics import ensure_topics
from tests.stream.alerts import expected_alerts, last_alerts
from tests.stream.events import generated
from tests.stream.harness import Stream

EVENTS = 10_000


def test_a_killed_worker_goes_on_with_its_alerts(stream: Stream) -> None:
    given = generated(EVENTS, seed=31)
    asyncio.run(ensure_topics(stream.settings))
    stream.write("raw-events", given.events[: EVENTS // 2])
    with stream.worker() as worker:
        worker.wait_drained(EVENTS // 2)
        stream.write("raw-events", given.events[EVENTS // 2 :])
        time.sleep(0.3)
        worker.kill()
    with stream.worker() as worker:
        worker.wait_drained(EVENTS)
        deadline = time.monotonic() + 30
        while True:
            found = last_alerts([(r.key, r.value) for r in stream.read(stream.topic("risk-alerts"))])
            expected = expected_alerts(stream)
            if found == expected:
                break
            assert time.monotonic() < deadline, {
                key: (expected.get(key), found.get(key))
                for key in expected.keys() | found.keys()
                if expected.get(key) != found.get(key)
            }
            time.sleep(0.5)
    assert {alert["schema"] for alert in found.values()} == {"risk-alert/1"}
