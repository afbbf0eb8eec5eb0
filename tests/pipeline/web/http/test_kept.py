"""A worker that is behind gives the same answer again for a moment; guards and the audit trail stay as they are."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from aiohttp import web as aiohttp_web
from aiohttp.test_utils import TestClient, TestServer

from pipeline.delivery.scheduler import Scheduler
from pipeline.web.access.client_address import ClientAddresses
from pipeline.web.cluster.peers import Peers
from pipeline.web.cluster.proofs import ForwardedCall, Proofs, body_digest, new_nonce
from pipeline.web.http.kept import KEPT_S, KeptAnswers
from pipeline.web.http.problems import Problem
from pipeline.web.http.serving import install, json_answer
from tests.pipeline.web.conftest import SECRET
from tests.pipeline.web.other_views import other_views

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
def kept(clock):
    return KeptAnswers(clock)


def said(document, **options):
    return aiohttp_web.json_response(document, **options)


def test_an_answer_is_given_again_for_a_second_from_when_it_was_asked_for(kept, clock):
    asked = kept.now()
    clock.now += 0.7 * KEPT_S
    kept.keep("/a?b", asked, said({"a": 1}))
    again = kept.find("/a?b")
    assert (again.status, again.content_type, again.body) == (200, "application/json", b'{"a": 1}')
    assert kept.find("/a") is None
    clock.now += 0.7 * KEPT_S
    assert kept.find("/a?b") is None


def test_what_took_longer_than_that_is_not_kept(kept, clock):
    asked = kept.now()
    clock.now += 2 * KEPT_S
    kept.keep("/a", asked, said({}))
    assert kept.find("/a") is None


def test_problems_are_not_kept(kept):
    kept.keep("/a", kept.now(), said({}, status=503))
    assert kept.find("/a") is None


def test_what_was_asked_before_a_change_is_not_given_after_it(kept, clock):
    kept.keep("/a", kept.now(), said({}))
    asked = kept.now()
    kept.forget()
    kept.keep("/b", asked, said({}))
    assert (kept.find("/a"), kept.find("/b")) == (None, None)
    clock.now += 0.1
    kept.keep("/a", kept.now(), said({}))
    assert kept.find("/a") is not None


def test_whoever_asks_many_things_does_not_fill_the_memory(kept, clock):
    for number in range(1_000):
        kept.keep(f"/{number}", kept.now(), said({}))
    assert sum(kept.find(f"/{number}") is not None for number in range(1_000)) < 100
    clock.now += 2 * KEPT_S
    kept.keep("/new", kept.now(), said({}))
    assert kept.find("/new") is not None


class Worker:
    """Answers with how often it was asked, and remembers the trail."""

    def __init__(self):
        self.asked = 0
        self.trail = []

    async def count(self, _):
        self.asked += 1
        return json_answer({"asked": self.asked})

    async def refuse(self, _):
        raise Problem(409, "not now")

    async def note(self, who, route, subject, *_, **__):
        self.trail.append((who.name, route.name, subject))


@asynccontextmanager
async def serving(tokens, turns):
    worker = Worker()
    views = [{"latest": worker.count, "content": worker.count, "pause": worker.count, "one": worker.refuse}]

    class App:
        """Of Faust's application what serving needs."""

        class web:  # noqa: N801
            web_app = aiohttp_web.Application()

        class conf:  # noqa: N801
            canonical_url = RECEIVER

    peers = Peers(App, Proofs(SECRET, "app"), None)
    install(
        App,
        [*views, other_views(views)],
        tokens,
        peers,
        worker,
        turns=turns,
        demo=False,
        addresses=ClientAddresses(),
    )
    async with TestClient(TestServer(App.web.web_app)) as client:
        worker.client = client
        yield worker


@pytest.fixture
async def behind(tokens):
    """A worker at whose turns somebody waits at any time."""
    turns = Scheduler()

    async def work():
        while True:
            await turns.next()

    task = asyncio.create_task(work())
    async with serving(tokens, turns) as worker:
        await asyncio.sleep(2.5)
        yield worker
    task.cancel()


async def asked(worker, headers, path=PATH):
    response = await worker.client.get(path, headers=headers)
    assert response.status == 200
    return (await response.json())["asked"]


async def test_while_it_is_behind_the_same_question_is_answered_alike_for_a_second(behind, bearer):
    answers = [await asked(behind, bearer(name)) for name in ("analyst", "admin", "analyst")]
    assert answers == [1, 1, 1]
    assert [(name, route) for name, route, _ in behind.trail] == [
        (name, "latest") for name in ("analyst", "admin", "analyst")
    ]
    await asyncio.sleep(KEPT_S)
    assert await asked(behind, bearer("analyst")) == 2


async def test_other_questions_and_views_of_one_thing_are_answered_anew(behind, bearer):
    analyst = bearer("analyst")
    assert await asked(behind, analyst) == 1
    assert await asked(behind, analyst, f"{PATH}?limit=3") == 2
    assert await asked(behind, analyst, "/stats/content/film") == 3
    assert await asked(behind, analyst, "/stats/content/film") == 4


async def test_what_is_kept_is_for_those_who_may_see_it(behind, bearer):
    assert await asked(behind, bearer("analyst")) == 1
    assert (await behind.client.get(PATH)).status == 401


@pytest.mark.parametrize(("action", "status"), [("/process/pause", 200), ("/process/one", 409)])
async def test_after_an_action_nothing_of_before_is_given_again(behind, bearer, action, status):
    before = await asked(behind, bearer("analyst"))
    response = await behind.client.post(action, headers=bearer("admin"))
    assert response.status == status
    assert await asked(behind, bearer("analyst")) > before


async def test_another_worker_is_told_what_is_there_now(behind, bearer):
    assert await asked(behind, bearer("analyst")) == 1
    for number in (2, 3):
        call = ForwardedCall(
            "GET", PATH, body_digest(b""), RECEIVER, "analyst", "analyst", new_nonce(), time.time()
        )
        assert await asked(behind, {"X-Ott-Peer": Proofs(SECRET, "app").sign_call(call)}) == number


async def test_without_a_backlog_every_question_is_answered_anew(tokens, bearer):
    async with serving(tokens, Scheduler()) as worker:
        assert [await asked(worker, bearer("analyst")) for _ in range(3)] == [1, 2, 3]
