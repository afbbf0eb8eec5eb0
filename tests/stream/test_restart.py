"""A worker that was killed goes on from its tables, with its disk or without it."""

import asyncio
import re
import shutil
import signal
import time

import pytest

from pipeline.kafka.topics import ensure_topics
from tests.stream.events import generated
from tests.stream.harness import Stream

EVENTS = 30_000


@pytest.mark.essential
@pytest.mark.parametrize("disk", ["kept", "lost"])
def test_a_killed_worker_goes_on(stream: Stream, disk: str) -> None:
    given = generated(EVENTS // 2, seed=12)
    third = EVENTS // 6
    asyncio.run(ensure_topics(stream.settings))
    stream.write("raw-events", given.events[:third])
    with stream.worker() as worker:
        worker.wait_drained(third)
        stream.write("raw-events", given.events[third : 2 * third])
        time.sleep(0.5)
        worker.kill()
    stream.write("raw-events", given.events[2 * third :])
    if disk == "lost":
        shutil.rmtree(stream.directory / "state-a")
    with stream.worker() as worker:
        accounts = worker.wait_drained(len(given.events))
        log = worker.tail(200)
    assert accounts["judged"] + accounts["duplicate"] + accounts["failed"] == accounts["read"] == EVENTS // 2
    recovered = [int(found) for found in re.findall(r"recovered (\d+) changelog records", log)]
    assert recovered
    assert recovered[-1] > 0 or disk == "kept"
    stream.check(stream.expected())


def test_sigterm_commits_what_is_done_and_leaves_in_ten_seconds(stream: Stream) -> None:
    given = generated(EVENTS, seed=13)
    asyncio.run(ensure_topics(stream.settings))
    stream.write("raw-events", given.events)
    with stream.worker() as worker:
        worker.wait_ready()
        time.sleep(0.5)
        assert worker.terminate() < 10
        assert worker.process.exit_code == 0, worker.tail()
    with stream.worker() as worker:
        worker.wait_drained(len(given.events))
    stream.check(stream.expected())


def test_a_second_signal_leaves_at_once(stream: Stream) -> None:
    asyncio.run(ensure_topics(stream.settings))
    stream.write("raw-events", generated(EVENTS, seed=13).events)
    with stream.worker() as worker:
        worker.wait_ready()
        began = time.monotonic()
        worker.signal(signal.SIGTERM)
        time.sleep(0.02)
        worker.signal(signal.SIGTERM)
        while not worker.is_gone:
            assert time.monotonic() - began < 2, worker.tail()
            time.sleep(0.01)
