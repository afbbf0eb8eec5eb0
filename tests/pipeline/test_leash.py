import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from pipeline.leash import Leashed, last_lines

_SLEEP = "import time; print('here', flush=True); time.sleep(60)"
_SLEEPER = [sys.executable, "-c", _SLEEP]
_STUBBORN = [sys.executable, "-c", f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {_SLEEP}"]


def _runs(pid):
    """Whether the process runs; one that ended and that nobody has collected yet (a zombie) does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait_until(condition, timeout_s=10.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def log(tmp_path):
    with (tmp_path / "log").open("wb") as output:
        yield output


def _start(command, log, **options):
    child = Leashed(command, output=log, **options)
    _wait_until(lambda: "here" in open(log.name).read())  # noqa: SIM115, PTH123 - read to its end at once
    return child


def test_stop_ends_the_child_and_may_be_repeated(log):
    child = _start(_SLEEPER, log)
    assert child.exit_code is None
    child.stop()
    child.stop()
    assert not _runs(child.pid)
    assert child.exit_code == -signal.SIGTERM


def test_a_child_that_ignores_sigterm_is_killed_after_the_grace(log):
    child = _start(_STUBBORN, log, grace_s=0.2)
    child.stop()
    assert child.exit_code == -signal.SIGKILL


def test_a_frozen_child_can_be_stopped(log):
    child = _start(_SLEEPER, log)
    os.kill(child.pid, signal.SIGSTOP)
    child.stop()
    assert child.exit_code == -signal.SIGTERM


def test_the_exit_status_is_the_childs(log):
    child = Leashed([sys.executable, "-c", "raise SystemExit(7)"], output=log)
    _wait_until(lambda: child.exit_code is not None)
    assert child.exit_code == 7
    child.stop()


def test_a_program_that_is_not_there_is_an_error(log, tmp_path):
    with pytest.raises(OSError, match="cannot be started"):
        Leashed([str(tmp_path / "nothing")], output=log)
    assert "No such file" in last_lines(tmp_path / "log")


_PARENT = """
import sys, time
from pathlib import Path
from pipeline.leash import Leashed
with open(sys.argv[1], "wb") as log:
    child = Leashed([sys.executable, "-c", "import time; time.sleep(60)"], output=log)
print(child.pid, child._leash.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("victim", ["parent", "leash"])
def test_the_child_does_not_outlive_a_killed(victim, tmp_path):
    if victim == "leash" and sys.platform != "linux":
        pytest.skip("only Linux tells a child that its parent was killed")
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    )
    child, leash = map(int, parent.stdout.readline().split())
    try:
        assert _runs(child)
        os.kill(parent.pid if victim == "parent" else leash, signal.SIGKILL)
        _wait_until(lambda: not _runs(child))
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()


def test_last_lines_of_a_missing_file_are_empty(tmp_path):
    assert last_lines(tmp_path / "nothing") == ""
