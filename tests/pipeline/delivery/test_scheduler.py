"""Scheduler come one at a time, in order, and leave room for others between them."""

import asyncio

import pytest

from pipeline.delivery.scheduler import Scheduler


async def test_turns_come_in_the_order_in_which_they_were_asked_for() -> None:
    scheduler, had = Scheduler(), []

    async def work(name: str) -> None:
        for number in range(3):
            await scheduler.turn()
            had.append((number, name))

    await asyncio.gather(*(work(name) for name in "abc"))
    assert had == [(number, name) for number in range(3) for name in "abc"]


async def test_between_two_turns_a_request_gets_from_its_arrival_to_its_answer() -> None:
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


async def test_who_gave_up_waiting_holds_up_nobody() -> None:
    scheduler = Scheduler()
    gone = asyncio.create_task(scheduler.turn())
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    async with asyncio.timeout(5):
        await scheduler.turn()
        await scheduler.turn()


async def test_without_anybody_waiting_the_loop_may_sleep() -> None:
    scheduler = Scheduler()
    await scheduler.turn()
    await asyncio.sleep(0.05)
    assert not scheduler._ticking
