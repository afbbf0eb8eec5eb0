"""Signing in at real workers: the audit trail, the end of tokens, the files that a worker leaves, `faust` commands."""

import asyncio
import os
import stat
import subprocess
import sys
import time
import uuid

import pytest

from pipeline.kafka.topics import ensure_topics
from tests.stream.harness import Stream
from tests.stream.web import SECRET, Web


@pytest.fixture(scope="module")
def stream(embedded_broker, tmp_path_factory):
    variables = {"OTT_JWT_SECRET": SECRET, "OTT_WEB_TRUSTED_PROXIES": "127.0.0.1"}
    prefix = f"access-{uuid.uuid4().hex[:8]}."
    stream = Stream(embedded_broker, prefix, tmp_path_factory.mktemp("access"), variables=variables)
    asyncio.run(ensure_topics(stream.settings))
    return stream


@pytest.fixture(scope="module")
def web(stream):
    with stream.worker("a") as one, stream.worker("b") as other:
        one.wait_ready()
        other.wait_ready()
        yield Web([one, other])


def log_in(web, name, password):
    return web.call("POST", "/token", name=None, form={"username": name, "password": password})


def log_ins(web, holds):
    """The log-ins of the audit trail, newest first, once they hold."""
    deadline = time.monotonic() + 10
    while True:
        entries = [
            entry for entry in web.get("/audit?limit=100")["entries"] if entry["action"] == "POST /token"
        ]
        if holds(entries):
            return entries
        assert time.monotonic() < deadline, entries
        time.sleep(0.2)


def test_log_ins_are_in_the_audit_trail_and_a_flood_of_bad_ones_is_few_entries(web):
    secret = "my password, in the wrong field"
    assert log_in(web, "analyst", "analyst123").status == 200
    for _ in range(4):
        assert log_in(web, "analyst", "wrong").status == 401
        assert log_in(web, secret, "x").status == 401
    entries = log_ins(
        web,
        lambda found: (
            {entry["who"] for entry in found if not entry["allowed"]} == {"analyst", "(no such account)"}
        ),
    )
    assert any(
        entry["allowed"] and (entry["who"], entry["role"]) == ("analyst", "analyst") for entry in entries
    )
    refused = {(entry["who"], entry["role"], entry["times"]) for entry in entries if not entry["allowed"]}
    assert refused == {("analyst", "analyst", 1), ("(no such account)", None, 1)}
    assert secret not in str(web.get("/audit?limit=100"))
    counted = log_ins(web, lambda found: sum(not entry["allowed"] for entry in found) == 4)
    assert sorted(entry["times"] for entry in counted if not entry["allowed"]) == [1, 1, 3, 3]


def test_all_of_ones_tokens_end_on_all_workers_and_after_a_restart(stream, web):
    old = web.token("analyst")
    assert web.post("/token/revoke", name="analyst")["status"] == "revoked"
    deadline = time.monotonic() + 5
    while web.call("GET", "/tables", worker=1, name="analyst").status != 401:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert web.call("GET", "/tables", worker=0, name="analyst").status == 401
    web._tokens.clear()
    assert web.call("GET", "/tables", worker=1, name="analyst").status == 200
    assert web.call("GET", "/tables", worker=0, name="admin").status == 200
    with stream.worker("c") as late:
        late.wait_ready()
        other = Web([late])
        other._tokens["analyst"] = old
        assert other.call("GET", "/tables", name="analyst").status == 401


def test_figures_of_accounts_need_a_token(web):
    assert web.call("GET", "/stats/accounts", name=None).status == 401


@pytest.mark.usefixtures("web")
@pytest.mark.skipif(os.name != "posix", reason="modes of files are those of POSIX")
def test_what_a_worker_keeps_is_its_owners_alone(stream):
    state = stream.directory / "state-a"
    files = [state, *state.rglob("*")]
    assert len(files) > 10
    assert {path.name for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077} == set()


@pytest.fixture(scope="module")
def on_kafka(apache_kafka, tmp_path_factory):
    """An application outside of the demo, where a secret would be missed."""
    prefix = f"access-{uuid.uuid4().hex[:8]}."
    stream = Stream(
        apache_kafka, prefix, tmp_path_factory.mktemp("on-kafka"), variables={"OTT_DEMO": "false"}
    )
    asyncio.run(ensure_topics(stream.settings))
    return stream


@pytest.mark.parametrize(
    ("command", "says"),
    [("agents", "raw-events"), ("tables", "per user"), ("models", "Models"), ("--help", "agents")],
)
def test_faust_commands_list_without_errors_or_warnings(on_kafka, command, says):
    faust = [sys.executable, "-P", "-m", "faust", "-A", "pipeline.worker", command]
    done = subprocess.run(
        faust,
        cwd=on_kafka.directory,
        env={**os.environ, **on_kafka.variables, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert says in done.stdout
    for word in ("Traceback", "JWT", "Missing description", "memory:"):
        assert word not in done.stdout + done.stderr
