"""The snapshot: one answer to the same question for a second; guards and the audit trail act on every request."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from aiohttp import web as aiohttp_web
from aiohttp.test_utils import TestClient, TestServer

from pipeline.web.access.client_address import ClientAddresses
from pipeline.web.cluster.peers import Peers
from pipeline.web.cluster.proofs import ForwardedCall, Proofs, body_digest, new_nonce
from pipeline.web.http.calls import json_answer
from pipeline.web.http.problems import Problem
from pipeline.web.http.serving import install
from pipeline.web.http.snapshot import LIFE_S, Snapshot
from pipeline.web.install import ROUTES
from tests.pipeline.web.conftest import SECRET

RECEIVER = "http://worker.example:8000"
PATH = "/results/latest"


class Clock:
    """Stands still."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def snapshot(clock):
    return Snapshot(clock)


class Maker:
    """Makes answers that tell how many were made before."""

    def __init__(self, status=200, seconds=0.0, clock=None):
        self.made = 0
        self.status = status
        self.seconds = seconds
        self.clock = clock
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def __call__(self):
        self.made += 1
        answer = aiohttp_web.json_response({"made": self.made}, status=self.status)
        await self.may_end.wait()
        if self.clock:
            self.clock.now += self.seconds
        return answer


async def test_an_answer_is_given_again_for_a_second(snapshot, clock):
    make = Maker()
    first = await snapshot.answer("/a?b", make)
    clock.now += 0.9 * LIFE_S
    again = await snapshot.answer("/a?b", make)
    assert (again.status, again.content_type, again.body) == (200, "application/json", first.body)
    await snapshot.answer("/a", make)
    assert make.made == 2
    clock.now += 0.2 * LIFE_S
    assert (await snapshot.answer("/a?b", make)).body != first.body


async def test_what_takes_long_is_made_less_often(clock, snapshot):
    make = Maker(seconds=2.0, clock=clock)
    await snapshot.answer("/a", make)
    clock.now += 30
    await snapshot.answer("/a", make)
    assert make.made == 1
    clock.now += 10
    await snapshot.answer("/a", make)
    assert make.made == 2


async def test_who_asks_meanwhile_waits_for_the_same_answer(snapshot):
    make = Maker()
    make.may_end.clear()
    asking = [asyncio.create_task(snapshot.answer("/a", make)) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    make.may_end.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert [answer.body for answer in answers[1:]] == [b'{"made": 1}'] * 4
    assert make.made == 1


@pytest.mark.parametrize("status", [404, 503])
async def test_an_answer_that_is_not_good_is_made_anew(snapshot, status):
    make = Maker(status)
    assert [(await snapshot.answer("/a", make)).status for _ in range(2)] == [status, status]
    assert make.made == 2


async def test_an_error_is_for_those_who_wait(snapshot):
    async def fail():
        raise Problem(503, "not now")

    for _ in range(2):
        with pytest.raises(Problem):
            await snapshot.answer("/a", fail)
    assert (await snapshot.answer("/a", Maker())).status == 200


async def test_after_a_change_nothing_from_before_is_given(snapshot):
    make = Maker()
    make.may_end.clear()
    early = asyncio.create_task(snapshot.answer("/a", make))
    await asyncio.sleep(0)
    snapshot.forget()
    late = asyncio.create_task(snapshot.answer("/a", make))
    make.may_end.set()
    assert [(await one).body for one in (early, late)] == [b'{"made": 1}', b'{"made": 2}']
    assert (await snapshot.answer("/a", make)).body == b'{"made": 2}'


async def test_many_questions_do_not_fill_the_memory(snapshot):
    make = Maker()
    for _ in range(2):
        for number in range(1_000):
            await snapshot.answer(f"/{number}", make)
    assert make.made == 2_000
    await snapshot.answer("/999", make)
    assert make.made == 2_000


class Worker:
    """Answers with how often it was asked, and remembers the trail."""

    def __init__(self):
        self.asked = 0
        self.trail = []

    async def count(self, call):
        self.asked += 1
        return json_answer({"asked": self.asked, "as_of": call.as_of})

    async def refuse(self, _):
        raise Problem(409, "not now")

    async def note(self, who, route, subject, *_, **__):
        self.trail.append((who.name, route.name, subject))


@asynccontextmanager
async def serving(tokens):
    worker = Worker()
    views = {"latest": worker.count, "content": worker.count, "pause": worker.count, "one": worker.refuse}

    class App:
        """Of Faust's application what serving needs."""

        class web:  # noqa: N801
            web_app = aiohttp_web.Application()

        class conf:  # noqa: N801
            canonical_url = RECEIVER

    peers = Peers(App, Proofs(SECRET, "app"), None)
    install(
        App,
        [route for route in ROUTES if route.name in views],
        [views],
        tokens,
        peers,
        worker,
        addresses=ClientAddresses(),
    )
    async with TestClient(TestServer(App.web.web_app)) as client:
        worker.client = client
        yield worker


@pytest.fixture
async def served(tokens):
    async with serving(tokens) as worker:
        yield worker


async def asked(worker, headers, path=PATH):
    response = await worker.client.get(path, headers=headers)
    assert response.status == 200
    return (await response.json())["asked"]


async def test_the_same_question_is_answered_alike_and_audited_each_time(served, bearer):
    answers = [await asked(served, bearer(name)) for name in ("analyst", "admin", "analyst")]
    assert answers == [1, 1, 1]
    assert [(name, route) for name, route, _ in served.trail] == [
        (name, "latest") for name in ("analyst", "admin", "analyst")
    ]
    await asyncio.sleep(LIFE_S)
    assert await asked(served, bearer("analyst")) == 2


async def test_other_questions_and_views_of_one_subject_are_answered_anew(served, bearer):
    analyst = bearer("analyst")
    assert await asked(served, analyst) == 1
    assert await asked(served, analyst, f"{PATH}?limit=3") == 2
    assert await asked(served, analyst, "/stats/content/film") == 3
    assert await asked(served, analyst, "/stats/content/film") == 4


async def test_an_answer_is_for_those_who_may_see_it(served, bearer):
    assert await asked(served, bearer("analyst")) == 1
    assert (await served.client.get(PATH)).status == 401


@pytest.mark.parametrize(("action", "status"), [("/process/pause", 200), ("/process/one", 409)])
async def test_after_an_action_the_question_is_answered_anew(served, bearer, action, status):
    before = await asked(served, bearer("analyst"))
    response = await served.client.post(action, headers=bearer("admin"))
    assert response.status == status
    assert await asked(served, bearer("analyst")) > before


async def test_another_worker_is_told_what_is_there_now(served, bearer):
    assert await asked(served, bearer("analyst")) == 1
    for number in (2, 3):
        call = ForwardedCall(
            "GET", PATH, body_digest(b""), RECEIVER, "analyst", "analyst", new_nonce(), time.time()
        )
        assert await asked(served, {"X-Ott-Peer": Proofs(SECRET, "app").sign_call(call)}) == number


def test_answers_of_the_snapshot_and_no_others_say_when_they_were_made():
    told = {route.name for route in ROUTES if any("as_of" in model.model_fields for model in route.answers)}
    assert told == {route.name for route in ROUTES if route.snapshot}
    assert not any(route.parameters or route.method != "GET" for route in ROUTES if route.snapshot)
