"""Whatever happens to workers and brokers, readers of committed records see what `ott judge` says, each once."""

import asyncio
import contextlib
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.kafka.topics import ensure_topics
from pipeline.lab.local.apache import KafkaCluster
from tests.stream.chaos.scenario import BROKER_FAULTS, KAFKA_POINTS, WORKER_FAULTS, Scenario, plan
from tests.stream.harness import Stream

MEBIBYTE = 1 << 20


def test_the_first_twenty_plans_have_every_kill_point_and_every_fault() -> None:
    there = {fault for seed in range(20) for fault in plan(seed)}
    assert there >= {f"at {point}" for point in KAFKA_POINTS} | {*WORKER_FAULTS, *BROKER_FAULTS}


@pytest.mark.essential
@pytest.mark.slow
@pytest.mark.usefixtures("local_kafka")
def test_a_disturbed_stream_gives_what_an_undisturbed_one_gives(chaos_kafka, chaos_seed: int) -> None:
    assert chaos_kafka.result(chaos_seed)


@pytest.mark.slow
@pytest.mark.usefixtures("local_kafka")
def test_one_of_three_brokers_may_be_lost(
    three_nodes: KafkaCluster, topic_prefix: str, tmp_path: Path, told
) -> None:
    """Each in turn, so that each leader and both coordinators are among them; the last one does not come back."""
    more = {"OTT_REPLICATION_FACTOR": "3", "OTT_STANDBY_REPLICAS": "1"}
    servers = three_nodes.bootstrap_servers
    with told(Scenario(servers, topic_prefix, tmp_path, 7, three_nodes, variables=more)) as scenario:
        scenario.begin()
        scenario.start("b")
        with scenario.writing(40.0) as writer:
            scenario.await_ready()
            for node in three_nodes.node_ids:
                scenario.say(f"node {node} lost")
                three_nodes.kill(node)
                scenario.pause(3.0, 6.0)
                if node != three_nodes.node_ids[-1]:
                    three_nodes.start_node(node)
                    scenario.pause(3.0, 4.0)
                scenario.last_fault = time.monotonic()
            writer.finish()
        scenario.rest()
        scenario.check()


@contextlib.contextmanager
def small_disk(directory: Path, mebibytes: int) -> Iterator[None]:
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(directory)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system of a chosen size without the right to mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


@pytest.mark.slow
@pytest.mark.parametrize("full", ["no space left", "file size limit"])
def test_a_full_disk_stops_the_worker_clearly_and_harms_nothing(
    apache_kafka: str, topic_prefix: str, tmp_path: Path, full: str, told
) -> None:
    with told(Scenario(apache_kafka, topic_prefix, tmp_path, 3, session_s=6.0)) as scenario:
        scenario.begin()
        worker = scenario.live["a"]
        state = tmp_path / "state-a"
        with contextlib.ExitStack() as stack:
            if full == "file size limit":
                # No right to mount is needed: writes beyond the limit fail, as on a full disk.
                size = max(path.stat().st_size for path in state.rglob("*") if path.is_file()) + 20_000
                resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (size, size))
            else:
                scenario.terminate("a")
                shutil.move(state, tmp_path / "kept")
                stack.enter_context(small_disk(state, 8))
                shutil.copytree(tmp_path / "kept", state, dirs_exist_ok=True)
                worker = scenario.start("a")
                scenario.await_ready()
                fill(state / "ballast")
            with scenario.writing(2.0) as writer:
                writer.finish()
            deadline = time.monotonic() + 60
            while not worker.is_gone:
                assert time.monotonic() < deadline, f"it goes on:\n{worker.tail()}"
                time.sleep(0.1)
            assert worker.process.exit_code == 3, worker.tail()
            last = worker.tail(1)
            assert str(state) in last, last
            assert "cannot be written" in last
            assert "Traceback" not in worker.log.read_text()
            del scenario.live["a"]
            if full == "no space left":
                shutil.copytree(state, tmp_path / "saved")
        if full == "no space left":
            shutil.rmtree(state)
            shutil.move(tmp_path / "saved", state)
        scenario.start("a")
        scenario.rest()
        scenario.check()


def test_a_worker_does_not_take_over_a_state_directory_that_is_in_use(
    apache_kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    stream = Stream(apache_kafka, topic_prefix, tmp_path)
    asyncio.run(ensure_topics(stream.settings))
    with stream.worker("a") as first:
        first.wait_ready()
        with stream.worker("b", OTT_STATE_DIR=str(tmp_path / "state-a")) as second:
            deadline = time.monotonic() + 30
            while not second.is_gone:
                assert time.monotonic() < deadline, second.tail()
                time.sleep(0.1)
            assert second.process.exit_code == 3
            assert "is used by another worker" in second.tail(1)
        assert not first.is_gone
