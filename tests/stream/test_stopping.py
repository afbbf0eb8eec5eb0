"""SIGTERM at any moment of a worker's start: status 0 within ten seconds."""

import os
import signal
import time

import pytest

from tests.stream.harness import Stream

MOMENTS = (0.8, 2.0, 3.0, 4.0, 5.0, 6.0, 7.5)


def stopped_after(stream, seconds, name):
    with stream.worker(name) as worker:
        time.sleep(seconds)
        assert not worker.is_gone, worker.tail()
        began = time.monotonic()
        os.kill(worker.process.pid, signal.SIGTERM)
        while not worker.is_gone and time.monotonic() < began + 15:
            time.sleep(0.05)
        return worker.process.exit_code, time.monotonic() - began, worker.tail()


@pytest.mark.parametrize("seconds", MOMENTS)
def test_it_leaves_whatever_it_is_starting(embedded_broker, tmp_path, topic_prefix, seconds):
    stream = Stream(embedded_broker, topic_prefix, tmp_path, partitions=2)
    status, took, log = stopped_after(stream, seconds, "a")
    assert status == 0, log
    assert took < 10


@pytest.mark.parametrize("seconds", [0.8, 2.0])
def test_it_leaves_while_it_waits_for_a_broker(tmp_path, topic_prefix, seconds):
    status, took, log = stopped_after(Stream("127.0.0.1:1", topic_prefix, tmp_path), seconds, "a")
    assert status == 0, log
    assert took < 10
