"""`scripts/run` as a person starts it: what it prints, how it ends, and that nothing survives it."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

COMMAND = [sys.executable, "-P", "-m", "pipeline.cli.demo", "--broker-port", "0", "--web-port", "0"]
pytestmark = pytest.mark.broker


def environment(tmp_path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTT_")}
    return {**kept, "TMPDIR": str(tmp_path)}


def run_to_end(tmp_path, *arguments, timeout=200):
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


class Running:
    """A demo in the background, with what it said so far."""

    def __init__(self, process):
        self.process = process
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, pattern, timeout=90):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if any(re.search(pattern, line) for line in list(self.lines)):
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        pytest.fail(f"never said {pattern!r}: {self.lines}")

    def descendants(self):
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, timeout=60):
        status = self.process.wait(timeout)
        self._reader.join(10)
        return status


@contextmanager
def running(tmp_path, *arguments):
    with subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Running(process)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(60)


def assert_gone(processes, timeout=30):
    _, alive = psutil.wait_procs(processes, timeout)
    assert alive == []


def one(processes, *words):
    (found,) = [
        process
        for process in processes
        if "leash.py" not in " ".join(process.cmdline()) and all(word in process.cmdline() for word in words)
    ]
    return found


@pytest.mark.parametrize("flag", ["--web-port", "--broker-port"])
def test_a_busy_port_that_was_asked_for_is_one_sentence(tmp_path, silent_port, flag):
    done = run_to_end(tmp_path, flag, str(silent_port))
    assert (done.returncode, done.stdout) == (3, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"ott: port {silent_port} on 127.0.0.1 (")
    assert line.endswith(f"is taken by another program; choose another with {flag}")
    assert list(tmp_path.glob("ott-run-*")) == []


def test_an_unreachable_kafka_is_named(tmp_path, free_port):
    command = [*COMMAND[:4], "--kafka", f"127.0.0.1:{free_port}", "--web-port", "0"]
    done = subprocess.run(
        command, env=environment(tmp_path), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.splitlines()[-1].startswith(f"ott: no Kafka broker answers at 127.0.0.1:{free_port}")


@pytest.mark.parametrize(
    "arguments",
    [["--events", "0"], ["--kafka", "127.0.0.1:1"], ["--no-generate", "--rate", "1"], ["--bogus"]],
    ids=" ".join,
)
def test_options_that_make_no_sense_are_status_2(tmp_path, arguments):
    done = run_to_end(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("ott: ")


@pytest.mark.essential
@pytest.mark.slow
def test_it_ends_by_itself_with_accounts_that_add_up(tmp_path):
    done = run_to_end(tmp_path, "--events", "3000", "--seed", "7")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    accounts = json.loads(line)
    assert accounts["sent"] == accounts["read"] == 3000
    assert accounts["judged"] + accounts["duplicate"] + accounts["failed"] == 3000
    assert accounts["flagged"] == accounts["flagged_on_topic"] > 0
    assert "for example: " in done.stderr
    assert list(tmp_path.glob("ott-run-*")) == []


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.usefixtures("local_kafka")
def test_it_adds_up_on_a_real_kafka_too(tmp_path):
    command = [*COMMAND[:4], "--kafka", "local", "--web-port", "0", "--events", "2000"]
    done = subprocess.run(
        command, env=environment(tmp_path), capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    accounts = json.loads(done.stdout)
    assert accounts["sent"] == accounts["read"] == 2000


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_all_of_it_in_order(tmp_path, number, status):
    with running(tmp_path) as demo:
        demo.wait_for(r"^\d\d:\d\d:\d\d  \d+ events/s")
        children = demo.descendants()
        assert one(children, "worker").is_running()
        assert one(children, "generate").is_running()
        demo.process.send_signal(number)
        assert demo.end() == status
        assert demo.lines[-1].endswith("stopped; nothing is left running")
        assert demo.process.stdout.read() == ""
    assert_gone(children, 0)
    assert list(tmp_path.glob("ott-run-*")) == []


@pytest.mark.slow
def test_nothing_survives_a_demo_that_was_killed(tmp_path):
    with running(tmp_path) as demo:
        demo.wait_for("generating events")
        children = demo.descendants()
        demo.process.kill()
    assert len(children) >= 6
    assert_gone(children)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["worker", "generator"])
def test_a_child_that_ends_is_one_sentence_with_its_log(tmp_path, victim):
    with running(tmp_path) as demo:
        demo.wait_for("generating events")
        children = demo.descendants()
        one(children, {"worker": "worker", "generator": "generate"}[victim]).kill()
        assert demo.end() == 3
        match = re.fullmatch(
            rf"ott: the {victim} was killed by signal 9: .*; its log: (?P<log>\S+)", demo.lines[-1]
        )
        assert match is not None, demo.lines[-1]
        assert Path(match["log"]).is_file()
    assert_gone(children, 0)


@pytest.mark.slow
def test_a_broker_that_ends_is_one_sentence_with_its_log(tmp_path):
    with running(tmp_path) as demo:
        demo.wait_for("generating events")
        children = demo.descendants()
        one(children, "--storage-engine").kill()
        assert demo.end() == 3
        assert re.fullmatch(r"ott: the broker on \S+ ended by itself; its log: \S+", demo.lines[-1])
    assert_gone(children, 0)
