"""Alerts on the broker are those of the verdicts on it."""

import asyncio
import json
import time
from types import SimpleNamespace

from agents.alerts import AlertAgent
from pipeline.delivery.unit import State
from pipeline.topics import ensure_topics
from tests.stream.events import generated
from tests.stream.harness import Stream

EVENTS = 10_000


class InMemory(State):
    """A partition's state that is never written."""

    def __init__(self) -> None:
        super().__init__(0, lambda _: 0)

    def load(self, _key: bytes) -> None:
        return None


def _last(outputs: list[tuple[bytes, bytes | None]]) -> dict[bytes, dict]:
    last = dict(outputs)
    return {key: json.loads(value) for key, value in last.items() if value is not None}


def _expected(stream: Stream) -> dict[bytes, dict]:
    """Fold what is on `flagged-events`, partition by partition."""
    agent, outputs = AlertAgent("risk-alerts"), []
    for partition in range(stream.partitions):
        records = [
            SimpleNamespace(value=record.value)
            for record in stream.read(stream.topic("flagged-events"))
            if record.partition == partition
        ]
        outputs += [(output.key, output.value) for output in agent.handle(InMemory(), records)]
    return _last(outputs)


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
            found = _last([(r.key, r.value) for r in stream.read(stream.topic("risk-alerts"))])
            expected = _expected(stream)
            if found == expected:
                break
            assert time.monotonic() < deadline, {
                key: (expected.get(key), found.get(key))
                for key in expected.keys() | found.keys()
                if expected.get(key) != found.get(key)
            }
            time.sleep(0.5)
    assert {alert["schema"] for alert in found.values()} == {"risk-alert/1"}
