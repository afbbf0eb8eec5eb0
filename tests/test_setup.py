"""`scripts/setup`: one range of Pythons everywhere, and a Ctrl-C that leaves nothing half-made behind.

The Python here is a stand-in of a few lines: it makes an environment as slowly as the test wants, without a network.
"""

import os
import re
import shutil
import signal
import subprocess
import time
import tomllib
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]

_PYTHON = """#!/bin/bash
case "$*" in
  "-c import pip") exit "${NO_PIP:-0}" ;;
  -c*) exit "${UNFIT:-0}" ;;
  --version) echo "Python 3.11.0" ;;
  "-m venv .venv") mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
  *"-r requirements.lock") echo "pip speaks"; touch .venv/some-of-it; sleep "${SLOW:-0}"; exit "${BROKEN:-0}" ;;
  *"-e .") printf '#!/bin/bash\\n' > .venv/bin/ott; chmod +x .venv/bin/ott ;;
esac
"""


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "scripts").mkdir()
    shutil.copy(_ROOT / "scripts" / "setup", tmp_path / "scripts" / "setup")
    (tmp_path / "requirements.lock").write_text("aiohttp==1\nxxhash==1\n")
    (tmp_path / "pyproject.toml").write_text("")
    python = tmp_path / "python"
    python.write_text(_PYTHON)
    python.chmod(0o755)
    return tmp_path


def start(checkout, **variables):
    # No uv on this PATH: the stand-in is for pip.
    return subprocess.Popen(
        [checkout / "scripts" / "setup"],
        env={"PATH": "/usr/bin:/bin", "PYTHON": str(checkout / "python"), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(checkout, **variables):
    process = start(checkout, **variables)
    out, err = process.communicate(timeout=20)
    assert out == "", "standard output is for programs"
    return process.returncode, err


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_says_what_it_does_in_plain_lines_and_does_nothing_twice(checkout):
    status, err = run(checkout)
    assert status == 0
    assert err.splitlines() == [
        "setup: 1/3 making .venv with Python 3.11.0",
        "setup: 2/3 installing the 2 locked packages (a minute or two the first time)",
        "pip speaks",
        "setup: 3/3 installing ott",
        "setup: done",
    ]
    assert run(checkout) == (0, "")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_is_one_line_and_the_next_run_finishes(checkout, number, status):
    process = start(checkout, SLOW="3600.25")
    until((checkout / ".venv" / "some-of-it").exists)
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=20)  # hangs where pip goes on: it would keep the pipe open
    assert process.returncode == status
    assert err.splitlines()[3:] == [
        "setup: stopped; .venv is not ready. Run it again to finish: what was downloaded is kept"
    ]

    status, err = run(checkout)
    assert status == 0
    assert "setup: the .venv here is unfinished, or was made by other means: making it anew" in err
    assert not run(checkout)[1]


def test_an_interrupted_update_does_not_count_as_done_when_the_lock_is_taken_back(checkout):
    assert run(checkout)[0] == 0
    before = (checkout / "requirements.lock").read_text()
    (checkout / "requirements.lock").write_text("aiohttp==2\n")
    status, err = run(checkout, BROKEN="1")
    assert status == 3
    assert err.endswith("setup: the locked packages could not be installed; see above\n")

    (checkout / "requirements.lock").write_text(before)
    assert "setup: done" in run(checkout)[1]


def test_an_update_goes_into_the_environment_that_is_there(checkout):
    assert run(checkout)[0] == 0
    (checkout / "requirements.lock").write_text("aiohttp==2\n")
    status, err = run(checkout)
    assert status == 0
    assert "making" not in err
    assert "setup: done" in err


def test_an_environment_without_pip_is_made_anew_where_uv_is_missing(checkout):
    assert run(checkout)[0] == 0
    (checkout / "requirements.lock").write_text("aiohttp==2\n")
    status, err = run(checkout, NO_PIP="1")
    assert status == 0
    assert "made by other means: making it anew" in err


def test_a_python_that_does_not_fit_is_named(checkout):
    status, err = run(checkout, UNFIT="1")
    assert status == 3
    assert err.startswith(
        f"setup: no Python 3.11 to 3.14 among {checkout / 'python'}; install one, or set PYTHON="
    )


def test_all_name_the_same_range_of_pythons():
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    first, past = map(int, re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["requires-python"]).groups())
    last = past - 1
    listed = [
        int(found[1])
        for each in project["classifiers"]
        if (found := re.fullmatch(r"Programming Language :: Python :: 3\.(\d+)", each))
    ]
    assert listed == list(range(first, past))

    for name in ("README.md", "scripts/setup", ".ci/run"):
        text = (_ROOT / name).read_text(encoding="utf-8")
        assert set(re.findall(r"Python 3\.(\d+) to 3\.(\d+)", text)) == {(str(first), str(last))}, name
        for low, high in re.findall(r"\(3, (\d+)\) <= sys\.version_info\[:2\] <= \(3, (\d+)\)", text):
            assert (int(low), int(high)) == (first, last), name
        if name != "README.md":
            (line,) = re.findall(r"python3\.13 python3\.12 .*", text)
            assert sorted(map(int, re.findall(r"python3\.(\d+)", line))) == listed, name
