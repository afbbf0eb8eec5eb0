"""Backtests of one worker: their queue, what is refused, and that one that is cancelled is over. No broker answers."""

import asyncio

import pytest

from pipeline.settings.schema import load_settings
from pipeline.web.views.backtests import KEPT, ROUTES, WAITING, Backtests
from tests.pipeline.web.serving import NoPeers, serving

NEW = {"version": "v7", "rules": {"account.multi_ip": {"mode": "off"}}}
QUESTION = {"document": NEW, "from": "2026-11-27T00:00:00Z"}


class Alone(NoPeers):
    """A worker that knows of no other one."""

    own_mark = "00000000"

    async def forward_to(self, *_):
        pass


@pytest.fixture
async def ask(tmp_path, tokens, bearer):
    """Asks for backtests as the admin does. No broker answers, so each runs until it is cancelled."""
    settings = load_settings(environ={"OTT_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, cwd=tmp_path)
    peers = Alone()
    backtests = Backtests(settings, None, peers)
    async with serving(ROUTES, backtests.views(), tokens, peers) as client:

        async def call(method, path="", body=None, status=200, name="admin"):
            response = await client.request(method, f"/backtests{path}", json=body, headers=bearer(name))
            assert response.status == status, await response.text()
            return await response.json()

        yield call
        await backtests.close()


async def until_it_runs(ask, backtest):
    for _ in range(500):
        if (await ask("GET", f"/{backtest}"))["state"] != "queued":
            return
        await asyncio.sleep(0.02)
    raise AssertionError(backtest)


async def test_backtests_wait_for_each_other_and_can_be_cancelled(ask):
    started = [(await ask("POST", body=QUESTION, status=202))["id"] for _ in range(WAITING)]
    await until_it_runs(ask, started[0])
    started.append((await ask("POST", body=QUESTION, status=202))["id"])
    refused = await ask("POST", body=QUESTION, status=503)
    assert f"{WAITING} backtests wait" in refused["detail"]
    assert [(await ask("GET", f"/{one}"))["state"] for one in started] == ["running"] + ["queued"] * WAITING

    for one in (started[0], started[2]):
        assert (await ask("DELETE", f"/{one}"))["state"] == "cancelled"
    await until_it_runs(ask, started[1])
    states = [(await ask("GET", f"/{one}"))["state"] for one in started]
    assert states == ["cancelled", "running", "cancelled"] + ["queued"] * (WAITING - 2)
    for one in started:
        assert (await ask("DELETE", f"/{one}"))["state"] == "cancelled"


async def test_only_the_last_ones_are_kept(ask):
    started = []
    for _ in range(KEPT + 1):
        started.append((await ask("POST", body=QUESTION, status=202))["id"])
        await ask("DELETE", f"/{started[-1]}")
        await asyncio.sleep(0)
    gone = await ask("GET", f"/{started[0]}", status=404)
    assert started[0] in gone["detail"]
    for one in started[1:]:
        assert (await ask("GET", f"/{one}"))["state"] == "cancelled"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"document": NEW}, "from"),
        ({**QUESTION, "from": "yesterday"}, "from"),
        ({**QUESTION, "to": "2026-11-27T00:00:00Z"}, "to is not later than from"),
        ({**QUESTION, "document": {"version": "v7", "rules": {"account.none": {}}}}, "account.none"),
    ],
)
async def test_a_question_that_cannot_be_answered_is_refused_at_once(ask, body, named):
    refused = await ask("POST", body=body, status=400)
    assert named in str(refused)


async def test_only_an_admin_may_ask(ask):
    await ask("POST", body=QUESTION, status=403, name="analyst")
