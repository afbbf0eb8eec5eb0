"""What requests are made of, that each is timed from when it was due, and the shares that come of the runs."""

import asyncio
import json
import threading
from itertools import islice

import pytest
from aiohttp import web

from pipeline.lab.benchmark.load import Load
from pipeline.lab.benchmark.requests import KEY_VIEW, OTHER_VIEWS, Asked, Asking, ask, paths_of, subjects_of
from pipeline.lab.benchmark.running import RecordCounts
from pipeline.lab.benchmark.throughput import Throughput
from pipeline.lab.benchmark.web import WITH_REQUESTS, Backlog, Stretch
from pipeline.web.install import ROUTES

NOW_MS = 1_795_000_000_000
SUBJECT = {"user_id": "user-1", "content_id": "film-2", "device_id": "tv-3", "region": "US-CA"}
SLOW_S = 0.4


def throughput(events_per_s, cpu):
    return Throughput(
        events_per_s, cpu, 100 << 20, 1.0, RecordCounts(judged=1, duplicate=0, failed=0, flagged=0)
    )


def served(test):
    """Run a test beside a server that is slow once and knows no user 404; it is given the port."""
    slow = iter([SLOW_S])

    async def user(request):
        await asyncio.sleep(next(slow, 0.0))
        return web.Response(status=404 if request.match_info["name"] == "404" else 200)

    async def ready(_):
        return web.Response()

    async def run():
        app = web.Application()
        app.add_routes([web.get("/users/{name}", user), web.get("/readyz", ready)])
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            return await test(runner.addresses[0][1])
        finally:
            await runner.cleanup()

    return asyncio.run(run())


def test_every_path_of_the_mix_is_served():
    known = {route.path for route in ROUTES if route.method == "GET"}
    assert {view.partition("?")[0] for view in (KEY_VIEW, *OTHER_VIEWS)} <= known


def test_every_second_request_is_for_a_user_and_every_other_view_has_its_turn():
    paths = list(islice(paths_of([SUBJECT]), 2 * len(OTHER_VIEWS)))
    assert set(paths[::2]) == {"/users/user-1"}
    assert paths[1::2] == [view.format(**SUBJECT) for view in OTHER_VIEWS]


def test_subjects_are_users_of_the_load_once_each_and_broken_records_name_none():
    records = list(Load(1_000, 50, NOW_MS))
    subjects = subjects_of(
        [(b"k", b'{"event_id":"cut off'), (b"k", json.dumps({"user_id": "x"}).encode()), *records]
    )
    assert {subject["user_id"].encode() for subject in subjects} == {key for key, _ in records}
    assert len(subjects) == 50


def test_a_slow_answer_delays_no_other_and_is_timed_from_when_it_was_due():
    async def test(port):
        asked = Asked()
        await ask(port, "token", ["/users/a"] * 10, asked)
        return asked

    asked = served(test)
    assert asked.requests == len(asked.key_s) == 10
    assert sum(seconds >= SLOW_S for seconds in asked.key_s) == 1
    assert not asked.refused


def test_errors_are_counted_and_not_timed():
    async def test(port):
        asked = Asked()
        await ask(port, "token", ["/users/404", "/users/a", "/users/404"], asked)
        return asked

    asked = served(test)
    assert asked.refused == {"404": 2}
    assert (asked.requests, len(asked.key_s), len(asked.late_s)) == (3, 1, 3)


def test_requests_in_a_thread_end_with_the_block():
    async def test(port):
        def block():
            with Asking(port, "token", paths) as asking:
                entered.wait(30)
            return asking.asked

        return await asyncio.to_thread(block)

    entered = threading.Event()

    def endless():
        while True:
            yield "/users/a"
            entered.set()

    paths = endless()
    assert served(test).requests >= 1


def group(first, *, asked=1.0, drift=0):
    """Stretches of a second, each slower than the one before; those with requests by a factor, too."""
    speeds = [(first - drift * number) * (asked if kind else 1) for number, kind in enumerate(WITH_REQUESTS)]
    return [Stretch(int(speed), 1.0, 1.0) for speed in speeds]


def test_in_a_group_drift_cancels():
    figures = Backlog([group(60_000, drift=1_000), group(50_000, drift=-2_000)]).as_dict()
    assert (figures["backlog_slower_percent"], figures["backlog_slower_error_percent"]) == (0.0, 0.0)


@pytest.mark.parametrize(("asked", "slower", "cost"), [(0.95, 5.0, 5.3), (1.0, 0.0, 0.0)])
def test_what_requests_cost_is_told_in_per_cent(asked, slower, cost):
    figures = Backlog([group(60_000, asked=asked)]).as_dict()
    assert figures["backlog_slower_percent"] == slower
    assert figures["backlog_cost_percent"] == cost
    assert figures["backlog_slower_error_percent"] is None
    assert json.loads(json.dumps(figures)) == figures


def test_the_error_says_how_far_groups_lie_apart():
    figures = Backlog([group(60_000, asked=share) for share in (0.9, 0.94, 0.98)]).as_dict()
    assert figures["groups_slower_percent"] == [10.0, 6.0, 2.0]
    assert (figures["backlog_slower_percent"], figures["backlog_slower_error_percent"]) == (6.0, 2.3)
