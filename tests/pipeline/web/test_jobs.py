"""Commands that the web starts: their settings, what they say, their limits, and that none is left behind."""

import asyncio
import subprocess
import sys
import time

import psutil
import pytest

from pipeline.settings.schema import load_settings
from pipeline.web import jobs
from pipeline.web.jobs import run_command


@pytest.fixture
def settings(tmp_path):
    # No broker answers at this port, and the client waits for one: a command that lasts.
    variables = {"OTT_BOOTSTRAP_SERVERS": "127.0.0.1:1", "OTT_TOPIC_PREFIX": tmp_path.name}
    return load_settings(environ=variables, cwd=tmp_path)


def commands(prefix):
    """The processes that have the topic prefix of a test."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("OTT_TOPIC_PREFIX") == prefix:
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_until(condition, seconds=15.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


async def test_a_command_has_the_settings_of_the_worker_and_files_of_its_own(settings, tmp_path):
    done = await run_command(
        settings,
        ["rules", "check", "new.json"],
        limit_s=60,
        files={"new.json": b'{"version": "v9", "rules": {}}'},
    )
    assert (done.status, done.message) == (0, "")
    assert b"new.json is valid: version v9" in done.output
    shown = await run_command(settings, ["worker", "--show-settings"], limit_s=60)
    assert tmp_path.name in shown.output.decode()


async def test_the_last_message_and_the_status_are_told(settings):
    done = await run_command(settings, ["rules", "check", "none.json"], limit_s=60)
    assert done == (3, b"", "none.json cannot be read: No such file or directory")


async def test_a_command_that_writes_too_much_fails(settings, monkeypatch):
    monkeypatch.setattr(jobs, "OUTPUT_BYTES", 512)
    done = await run_command(settings, ["worker", "--show-settings"], limit_s=60)
    assert done.status != 0
    assert done.message
    assert len(done.output) <= 512


async def test_all_that_a_command_said_is_told(settings):
    told = []
    await run_command(settings, ["rules", "check", "none.json"], limit_s=60, told=told.append)
    assert told[-1] == "ott: none.json cannot be read: No such file or directory\n"


@pytest.fixture
def endless(tmp_path):
    """A rule set from a pipe that nobody writes to: the command waits for its first byte."""
    pipe = tmp_path / "pipe"
    subprocess.run(["mkfifo", pipe], check=True)
    return ["rules", "check", str(pipe)]


async def test_a_command_is_stopped_after_its_time(settings, endless, tmp_path):
    with pytest.raises(TimeoutError, match="stopped after 2 s"):
        await run_command(settings, endless, limit_s=2)
    assert commands(tmp_path.name) == []


async def test_a_command_is_stopped_if_nobody_waits_for_it_any_more(settings, endless, tmp_path):
    waiting = asyncio.create_task(run_command(settings, endless, limit_s=60))
    await asyncio.to_thread(wait_until, lambda: commands(tmp_path.name))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.to_thread(wait_until, lambda: not commands(tmp_path.name))


_WORKER = """
import asyncio, sys
from pipeline.settings.schema import load_settings
from pipeline.web.jobs import run_command
settings = load_settings(environ={"OTT_TOPIC_PREFIX": sys.argv[1]})
asyncio.run(run_command(settings, sys.argv[2:], limit_s=60))
"""


def test_a_command_ends_with_a_worker_that_is_killed(endless, tmp_path):
    worker = subprocess.Popen([sys.executable, "-c", _WORKER, tmp_path.name, *endless])
    try:
        wait_until(lambda: commands(tmp_path.name))
    finally:
        worker.kill()
        worker.wait()
    wait_until(lambda: not commands(tmp_path.name))
