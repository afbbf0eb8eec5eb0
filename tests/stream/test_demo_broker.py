"""A broker without transactions is good for the demo only."""

import asyncio
from pathlib import Path

from pipeline.kafka.topics import ensure_topics
from tests.stream.events import generated
from tests.stream.harness import Stream

EVENTS = 3_000


def test_a_worker_refuses_it_outside_of_the_demo(
    embedded_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    stream = Stream(embedded_broker, topic_prefix, tmp_path)
    with stream.worker(OTT_DEMO="false") as worker:
        worker.wait_gone(30)
        assert worker.process.exit_code == 3, worker.tail()
        assert f"the broker at {embedded_broker} has no transactions" in worker.tail()
        assert "set OTT_DEMO=true" in worker.tail()


def test_a_worker_goes_on_from_the_topics_and_not_from_its_disk(
    embedded_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    stream = Stream(embedded_broker, topic_prefix, tmp_path)
    given = generated(EVENTS, seed=14)
    asyncio.run(ensure_topics(stream.settings))
    stream.write("raw-events", given.events[: EVENTS // 2])
    with stream.worker() as worker:
        worker.wait_drained(EVENTS // 2)
        assert worker.terminate() < 10
    (tables,) = tmp_path.glob("state-a/**/tables")
    (tables / "of another life").touch()
    stream.write("raw-events", given.events[EVENTS // 2 :])
    with stream.worker() as worker:
        worker.wait_drained(EVENTS)
        assert "good for the demo only" in worker.tail(200)
    assert not (tables / "of another life").exists()
    stream.check(stream.expected())
