"""Workers that ask each other: real web servers and real HTTP; who has which partition is set by hand."""

import asyncio
import logging
import time
from contextlib import AsyncExitStack
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web as aiohttp_web
from aiohttp.test_utils import TestServer
from yarl import URL

from pipeline.app import Cluster
from pipeline.delivery.kill_points import pass_by
from pipeline.kafka.topics import TOPICS
from pipeline.lab.local.ports import free_ports
from pipeline.settings.schema import load_settings
from pipeline.web.cluster.proofs import ForwardedCall, Proofs, body_digest, new_nonce
from pipeline.web.http.tls import tls_of
from pipeline.worker import build
from tests.certificates import make_certificates
from tests.pipeline.web.conftest import SECRET

CHANGELOG = "ott-risk-users-v1-changelog"


class Trap:
    """A server that is none of our workers; it remembers what it was asked."""

    def __init__(self):
        self.asked = []

    async def answer(self, request):
        self.asked.append((request.method, request.raw_path, dict(request.headers)))
        return aiohttp_web.json_response({"partitions": {"0": {"judged": 10**9}}, "worker": {"lag": {}}})


@pytest.fixture
async def stack():
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def start(stack, tmp_path):
    """Start the web server of a worker."""

    async def starting(**variables):
        (port,) = free_ports()
        given = {
            "OTT_DEMO": "true",
            "OTT_JWT_SECRET": SECRET,
            "OTT_STATE_DIR": str(tmp_path / f"state-{port}"),
            "OTT_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            **variables,
        }
        settings = load_settings(environ=given, cwd=tmp_path)
        cluster = Cluster({topic.name: 4 for topic in TOPICS}, transactional=False, origin_key=bytes(32))
        app = build(settings, cluster, web_port=port, reached=pass_by)
        stack.push_async_callback(app.http_client.close)
        tls = tls_of(settings)
        server = TestServer(app.web.web_app, port=port)
        await server.start_server(ssl=None if tls is None else tls.server)
        stack.push_async_callback(server.close)
        client = await stack.enter_async_context(
            aiohttp.ClientSession(
                f"{'http' if tls is None else 'https'}://127.0.0.1:{port}",
                connector=aiohttp.TCPConnector(ssl=True if tls is None else tls.client),
            )
        )
        return SimpleNamespace(app=app, client=client, advertised=str(app.conf.canonical_url))

    return starting


@pytest.fixture
async def trap(stack):
    trap = Trap()
    application = aiohttp_web.Application()
    application.router.add_route("*", "/{anything:.*}", trap.answer)
    server = TestServer(application)
    await server.start_server()
    stack.push_async_callback(server.close)
    trap.origin = f"http://127.0.0.1:{server.port}"
    return trap


def gives(worker, *owners):
    """Let a worker know who has which partitions of the users' table."""
    worker.app.assignor.changelog_distribution = {
        address: {CHANGELOG: [number]} for number, address in enumerate((worker.advertised, *owners))
    }


async def summary(worker, bearer, name="analyst"):
    async with worker.client.get("/stats/summary", headers=bearer(name)) as response:
        return response.status, await response.json()


def a_call(worker, **changes):
    """A call to a worker as another one of its application makes it; and its proof."""
    fields = {
        "method": "GET",
        "target": "/stats/summary",
        "body": body_digest(b""),
        "receiver": str(URL(worker.advertised).origin()),
        "name": "analyst",
        "role": "analyst",
        "nonce": new_nonce(),
        "at": time.time(),
        **changes,
    }
    call = ForwardedCall(**fields)
    return call, Proofs(SECRET, "ott-risk").sign_call(call)


async def send(worker, proof, method="GET", target="/stats/summary", **more):
    url = URL(target, encoded=True)
    async with worker.client.request(method, url, headers={"X-Ott-Peer": proof}, **more) as response:
        return response.status, await response.json(), response.headers


# -- what is asked of whom


async def test_a_summary_and_a_users_view_are_asked_of_the_other_worker(start, bearer):
    one, other = await start(), await start()
    gives(one, *[other.advertised] * 3)
    status, found = await summary(one, bearer)
    assert (status, found["workers"]) == (200, 2)
    # The other one has no partition here, and says so in its own signed answer.
    for user_id in ("somebody", "a%2Fb", "%2E%2E", "a%20b%3Fc%23d", "%0D%0AX-Evil:%201"):
        for number in range(4):
            path = URL(f"/users/{user_id}{number}", encoded=True)
            async with one.client.get(path, headers=bearer("analyst")) as response:
                assert response.status == 503, path
                assert "being moved" in (await response.json())["detail"]
                assert "X-Ott-Peer" not in response.headers


async def test_a_head_request_is_answered_as_the_get_of_the_other_worker(start, bearer):
    one, other = await start(), await start()
    gives(one, other.advertised, other.advertised, other.advertised)
    one.app.assignor.changelog_distribution = {other.advertised: {CHANGELOG: [0, 1, 2, 3]}}
    async with one.client.head("/users/somebody", headers=bearer("analyst")) as response:
        assert response.status == 503


@pytest.mark.parametrize("proven_by", [None, "another secret of 32 characters and more"])
async def test_a_member_of_the_group_without_proof_is_not_asked_and_is_logged_once(
    start, bearer, trap, caplog, proven_by
):
    worker = await start()
    address = trap.origin
    if proven_by is not None:
        address = str(Proofs(proven_by, "ott-risk").signed_address(URL(trap.origin)))
    gives(worker, address)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            status, found = await summary(worker, bearer)
            assert (status, found["workers"]) == (200, 1)
            assert 1 in found["coverage"]["missing"]
    assert trap.asked == []
    assert sum("without the proof" in record.getMessage() for record in caplog.records) == 1
    worker.app.assignor.changelog_distribution = {address: {CHANGELOG: [0, 1, 2, 3]}}
    async with worker.client.get("/users/somebody", headers=bearer("analyst")) as response:
        assert response.status == 502
        assert "OTT_JWT_SECRET" in (await response.json())["detail"]
    assert trap.asked == []


async def test_what_answers_at_the_address_of_a_worker_that_is_gone_learns_and_says_nothing(
    start, bearer, trap
):
    """Its address is still proven. It is asked, but its answer counts for nothing, and the call is good nowhere."""
    worker = await start()
    gives(worker, str(Proofs(SECRET, "ott-risk").signed_address(URL(trap.origin))))
    status, found = await summary(worker, bearer)
    assert status == 502
    assert "does not prove its answer" in found["detail"]
    ((_, _, headers),) = trap.asked
    assert "Authorization" not in headers
    for method, target in [("GET", "/stats/summary"), ("GET", "/audit"), ("POST", "/process/pause")]:
        status, _, _ = await send(worker, headers["X-Ott-Peer"], method, target)
        assert status == 401, target


# -- what is accepted


async def test_a_call_is_answered_once_and_the_answer_is_signed(start):
    worker = await start()
    call, proof = a_call(worker)
    status, found, headers = await send(worker, proof)
    assert (status, "partitions" in found) == (200, True)
    assert headers["X-Ott-Peer"]
    status, found, headers = await send(worker, proof)
    assert (status, "made before" in found["detail"]) == (502, True)
    assert call.nonce not in str(found)


@pytest.mark.parametrize("offset", [-60, 60])
async def test_clocks_that_differ_are_named_in_an_answer_that_is_signed(start, offset):
    worker = await start()
    status, found, headers = await send(worker, a_call(worker, at=time.time() + offset)[1])
    assert status == 502
    assert "the clocks of the two machines differ" in found["detail"]
    assert "X-Ott-Peer" in headers


async def test_a_person_is_told_of_clocks_that_differ(start, bearer, monkeypatch):
    one, other = await start(), await start()
    one.app.assignor.changelog_distribution = {other.advertised: {CHANGELOG: [0, 1, 2, 3]}}
    now = time.time()
    monkeypatch.setattr(
        "pipeline.web.cluster.peers.time", SimpleNamespace(time=iter([now, now + 60]).__next__)
    )
    async with one.client.get("/users/somebody", headers=bearer("analyst")) as response:
        assert response.status == 502
        assert "the clocks of the two machines differ" in (await response.json())["detail"]


@pytest.mark.parametrize(
    ("changes", "method", "target"),
    [
        ({}, "GET", "/alerts"),
        ({}, "GET", "/stats/summary?limit=3"),
        ({}, "POST", "/process/pause"),
        ({"receiver": "http://127.0.0.1:1"}, "GET", "/stats/summary"),
        ({"method": "POST", "target": "/process/pause"}, "POST", "/process/resume"),
    ],
)
async def test_a_call_is_good_for_its_own_request_and_receiver(start, changes, method, target):
    worker = await start()
    status, _, headers = await send(worker, a_call(worker, **changes)[1], method, target)
    assert status == 401
    assert "X-Ott-Peer" not in headers


async def test_the_role_is_checked_again_where_the_call_is_served(start):
    worker = await start()
    for role, wanted in (("analyst", 403), ("nobody", 401)):
        target = "/process/pause"
        proof = a_call(worker, method="POST", target=target, role=role)[1]
        assert (await send(worker, proof, "POST", target))[0] == wanted, role


async def test_a_body_that_was_not_signed_is_refused(start):
    worker = await start()
    target = "/process/resume"
    proof = a_call(worker, method="POST", target=target, name="admin", role="admin")[1]
    status, _, _ = await send(worker, proof, "POST", target, data=b"{}")
    assert status in {401, 413}


# -- TLS


async def test_workers_with_tls_ask_each_other_over_it(start, bearer, tmp_path):
    variables = make_certificates(tmp_path).variables
    one, other = await start(**variables), await start(**variables)
    assert one.advertised.startswith("https://")
    gives(one, other.advertised)
    assert (await summary(one, bearer))[1]["workers"] == 2


async def test_a_worker_whose_certificate_is_of_another_authority_is_not_asked(
    start, bearer, tmp_path, caplog
):
    one = await start(**make_certificates(tmp_path / "ours").variables)
    other = await start(**make_certificates(tmp_path / "theirs").variables)
    gives(one, other.advertised)
    with caplog.at_level(logging.WARNING):
        status, found = await summary(one, bearer)
    assert (status, found["workers"]) == (200, 1)
    assert "certificate verify failed" in caplog.text


async def test_a_worker_with_tls_asks_nobody_in_plain_text(start, bearer, tmp_path):
    one, other = await start(**make_certificates(tmp_path).variables), await start()
    gives(one, other.advertised)
    assert (await summary(one, bearer))[1]["workers"] == 1


async def test_plain_http_to_a_worker_with_tls_gets_no_answer(start, tmp_path):
    worker = await start(**make_certificates(tmp_path).variables)
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(worker.advertised).port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"HTTP" not in await asyncio.wait_for(reader.read(), 10)
    writer.close()
