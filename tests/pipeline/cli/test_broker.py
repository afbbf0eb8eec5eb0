"""`ott broker` and `ott kafka` as a person at the terminal meets them."""

import json
import re
import signal
import socket
import subprocess
import sys

import pytest

from pipeline.lab.local.ports import HOST, is_free, kafka_answers

_OTT = [sys.executable, "-m", "pipeline.cli"]


def _run(*arguments):
    return subprocess.run([*_OTT, *arguments], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.broker
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_the_broker_names_its_address_and_ends_on_a_signal(number, status):
    with subprocess.Popen([*_OTT, "broker", "--port", "0"], stderr=subprocess.PIPE, text=True) as process:
        line = process.stderr.readline()
        try:
            found = re.search(r"127\.0\.0\.1:(\d+)", line)
            assert found, line
            port = int(found[1])
            assert kafka_answers(port)
            process.send_signal(number)
            assert process.wait(timeout=10) == status
            assert process.stderr.read() == ""
        finally:
            process.kill()
    assert is_free(port)


@pytest.mark.parametrize("command", [("broker",), ("kafka", "start")])
def test_a_busy_port_is_one_line_and_status_3(command, tmp_path, request):
    if command[0] == "kafka":
        request.getfixturevalue("local_kafka")
        command = (*command, "--dir", str(tmp_path / "kafka"))
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        done = _run(*command, "--port", str(port))
    assert done.returncode == 3
    assert f"port {port} on 127.0.0.1" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("broker", "--port", "70000"), 2, "--port"),
        (("kafka", "start", "--nodes", "2"), 2, "1 node or 3, not 2"),
        (("kafka", "status"), 3, "there is no Kafka in"),
        (("kafka", "stop"), 3, "there is no Kafka in"),
    ],
)
def test_wrong_use_is_told_from_what_is_missing(arguments, status, message, tmp_path):
    directory = ("--dir", str(tmp_path / "none")) if arguments[0] == "kafka" else ()
    done = _run(*arguments, *directory)
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.usefixtures("local_kafka")
def test_kafka_stays_after_start_is_shown_by_status_and_goes_with_stop(tmp_path):
    directory = str(tmp_path / "kafka")
    try:
        started = _run("kafka", "start", "--port", "0", "--dir", directory, "--json")
        assert started.returncode == 0, started.stderr
        answer = json.loads(started.stdout)
        (node,) = answer["nodes"]
        assert answer["bootstrap_servers"] == f"127.0.0.1:{node['port']}"
        assert node["answers"] is True
        assert kafka_answers(node["port"])

        shown = _run("kafka", "status", "--dir", directory)
        assert (shown.returncode, shown.stdout.strip()) == (0, answer["bootstrap_servers"])
        again = _run("kafka", "start", "--dir", directory, "--json")
        assert json.loads(again.stdout)["nodes"][0]["pid"] == node["pid"]
        assert _run("kafka", "start", "--nodes", "3", "--dir", directory).returncode == 2

        stopped = _run("kafka", "stop", "--dir", directory)
        assert stopped.returncode == 0
        assert "stopped 1 node" in stopped.stderr
        assert not kafka_answers(node["port"])
        assert _run("kafka", "status", "--dir", directory).returncode == 1
    finally:
        _run("kafka", "stop", "--dir", directory, "--delete-data")
    assert not (tmp_path / "kafka").exists()
