"""Beside a backlog reads are answered together; otherwise at once."""

import asyncio

import pytest

VIEW, APART_S, ATTEMPTS = "/compliance/summary", 0.01, 20


@pytest.fixture
async def backlog(web):
    """Somebody waits for a turn at any time, and did for long enough."""

    async def work():
        while True:
            await web.app.turns.next()

    work = asyncio.create_task(work())
    await asyncio.sleep(2.5)
    assert web.app.turns.crowded
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
    await web.app.turns.next()
    assert not web.app.turns.crowded
    found = [await ask_three_times(web, bearer("analyst")) for _ in range(ATTEMPTS)]
    assert max(found) > 0, found
