"""Beside a backlog reads are answered together; otherwise at once."""

import asyncio
import time
from statistics import median

import aiohttp
import pytest

VIEW, APART_S, ATTEMPTS, ROUND_S = "/compliance/summary", 0.01, 20, 0.2


@pytest.fixture
async def backlog(web):
    """Somebody waits for a turn at any time, and did for long enough."""

    async def work():
        while True:
            await web.app.scheduler.turn()

    work = asyncio.create_task(work())
    await asyncio.sleep(2.5)
    assert web.app.scheduler.crowded
    yield
    work.cancel()


async def ask_three_times(web, headers, path=VIEW):
    """How many were answered when the last one was sent."""
    asked = []
    for _ in range(3):
        await asyncio.sleep(APART_S)
        asked.append(asyncio.create_task(web.client.get(path, headers=headers)))
    answered = sum(task.done() for task in asked)
    await asyncio.gather(*asked)
    return answered


@pytest.mark.usefixtures("backlog")
async def test_beside_a_backlog_reads_wait_for_each_other(web, bearer):
    # They may lie on both sides of the end of a round, but not every time.
    found = [await ask_three_times(web, bearer("analyst")) for _ in range(ATTEMPTS)]
    assert found.count(0) > ATTEMPTS // 2, found


@pytest.mark.usefixtures("backlog")
async def test_a_read_waits_for_a_moment_at_most(web, bearer):
    async with asyncio.timeout(30):
        for _ in range(ATTEMPTS):
            answer = await web.client.get(VIEW, headers=bearer("analyst"))
            assert answer.status != 401


@pytest.mark.usefixtures("backlog")
async def test_who_asks_whether_the_worker_lives_does_not_wait(web):
    found = [await ask_three_times(web, {}, "/healthz") for _ in range(ATTEMPTS)]
    assert max(found) > 0, found


async def test_without_a_backlog_nobody_waits(web, bearer):
    await web.app.scheduler.turn()
    assert not web.app.scheduler.crowded
    found = [await ask_three_times(web, bearer("analyst")) for _ in range(ATTEMPTS)]
    assert max(found) > 0, found


def one_connection(web):
    return aiohttp.ClientSession(web.client.make_url("/"), connector=aiohttp.TCPConnector(limit=1))


@pytest.mark.usefixtures("backlog")
async def test_a_connection_goes_on_after_each_round(web, bearer):
    async with one_connection(web) as client, asyncio.timeout(30):
        for _ in range(ATTEMPTS):
            await client.get(VIEW, headers=bearer("analyst"))
            answer = await client.get("/healthz")
            assert answer.status == 200


@pytest.mark.usefixtures("backlog")
async def test_what_comes_over_a_connection_that_has_waited_is_read_in_the_next_round(web, bearer):
    waited = []
    async with one_connection(web) as client:
        for _ in range(ATTEMPTS // 2):
            await client.get(VIEW, headers=bearer("analyst"))
            began = time.monotonic()
            await client.get("/healthz")
            waited.append(time.monotonic() - began)
    assert median(waited) > ROUND_S / 2, waited
