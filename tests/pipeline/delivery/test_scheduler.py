"""Turns come one at a time and in order, and leave room for others in between."""

import asyncio

import pytest

from pipeline.delivery.scheduler import Scheduler


async def test_turns_come_in_the_order_of_the_requests() -> None:
    scheduler, had = Scheduler(), []

    async def work(name: str) -> None:
        for number in range(3):
            await scheduler.turn()
            had.append((number, name))

    await asyncio.gather(*(work(name) for name in "abc"))
    assert had == [(number, name) for number in range(3) for name in "abc"]


async def test_a_web_request_is_answered_between_two_turns() -> None:
    scheduler, had = Scheduler(), []

    async def work(name: str) -> None:
        await scheduler.turn()
        had.append(name)
        if name == "first":
            # It arrives while the piece of work runs; its three steps are an iteration each.
            asyncio.get_running_loop().call_soon(asyncio.create_task, answer())

    async def answer() -> None:
        await asyncio.sleep(0)
        had.append("answered")

    await asyncio.gather(work("first"), work("second"))
    assert had == ["first", "answered", "second"]


async def test_a_cancelled_waiter_blocks_nobody() -> None:
    scheduler = Scheduler()
    gone = asyncio.create_task(scheduler.turn())
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    async with asyncio.timeout(5):
        await scheduler.turn()
        await scheduler.turn()


async def test_the_event_loop_may_sleep_while_nobody_waits() -> None:
    scheduler = Scheduler()
    await scheduler.turn()
    await asyncio.sleep(0.05)
    assert not scheduler._ticking
