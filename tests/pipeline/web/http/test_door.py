"""Connections before a request reaches its route: floods of one address are closed for room, others are answered."""

import asyncio
import contextlib
import json
import time

import pytest
from aiohttp import web

from pipeline.web.http import door
from pipeline.web.http.door import Runner, Site
from pipeline.web.http.limits import Bodies, ConnectionLimits
from pipeline.web.http.problems import Problem
from pipeline.web.http.request_parts import read_at_most

HALF_HEAD = b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Le"
HALF_BODY = (
    b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{"
)
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
LIMITS = ConnectionLimits(total=20, per_client=10, probes=3, is_proxy=lambda address: address == "127.0.0.9")


@pytest.fixture
async def served():
    """The port of a server with small limits; the event that its slow route waits for."""
    goes_on = asyncio.Event()

    async def healthz(_request):
        return web.Response(text="up")

    async def events(request):
        try:
            with Bodies().room() as room:
                return web.Response(text=str(len(await read_at_most(request, 1_000, room))))
        except Problem as problem:
            return problem.response(request.path)

    async def refuse(_request):
        return web.Response(status=413)

    async def slow(_request):
        await goes_on.wait()
        return web.Response(text="done")

    async def large(_request):
        return web.Response(body=b"x" * (64 << 20))

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_post("/events", events)
    app.router.add_post("/refuse", refuse)
    app.router.add_get("/slow", slow)
    app.router.add_get("/large", large)
    runner = Runner(app, LIMITS, {"X-Frame-Options": "DENY"}, shutdown_timeout=0.1)
    await runner.setup()
    site = Site(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1], goes_on
    await runner.cleanup()


class Client:
    """Connections from addresses of the loopback network; all are closed in the end."""

    def __init__(self, port):
        self.port = port
        self._open = []

    async def connect(self, sent=b"", address="127.0.0.1"):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))
        self._open.append(writer)
        writer.write(sent)
        await writer.drain()
        return reader, writer

    async def ask(self, sent, address="127.0.0.1", seconds=5):
        """Status, headers, body of the answer."""
        reader, writer = await self.connect(sent, address)
        async with asyncio.timeout(seconds):
            answer = await answer_of(reader)
        writer.close()
        return answer

    async def close(self):
        for writer in self._open:
            writer.close()


async def answer_of(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    body = await reader.readexactly(int(headers.get("Content-Length", 0)))
    return int(head[0].split()[1]), headers, body


async def is_open(reader):
    """Whether no end of it is seen, after the answers that it got."""
    try:
        async with asyncio.timeout(0.02):
            while await reader.read(1000):
                pass
    except TimeoutError:
        return True
    except ConnectionError:
        pass
    return False


@pytest.fixture
async def client(served):
    found = Client(served[0])
    yield found
    await found.close()


@pytest.mark.parametrize("sent", [b"", HALF_HEAD, HALF_BODY, WHOLE])
async def test_who_holds_all_connections_of_an_address_does_not_keep_the_next_one_from_its_answer(
    client, sent
):
    held = [await client.connect(sent) for _ in range(40)]
    began = time.perf_counter()
    status, _, body = await client.ask(WHOLE)
    assert (status, body) == (200, b"up")
    assert time.perf_counter() - began < 1
    left = [await is_open(reader) for reader, _ in held[:35]]
    assert not any(left[:30])


async def test_an_address_takes_nothing_from_another_one(client):
    mine, _ = await client.connect(b"", "127.0.0.2")
    for _ in range(60):
        await client.connect(HALF_BODY, "127.0.0.3")
    assert await is_open(mine)


async def test_many_addresses_together_have_a_limit_and_the_one_with_the_most_gives(client):
    many = [await client.connect(HALF_BODY, "127.0.0.4") for _ in range(10)]
    for number in range(10, 25):
        await client.connect(HALF_BODY, f"127.0.0.{number}")
    assert not await is_open(many[0][0])
    assert (await client.ask(WHOLE, "127.0.0.30"))[0] == 200


async def test_a_proxy_speaks_for_many(client):
    held = [await client.connect(HALF_BODY, "127.0.0.9") for _ in range(15)]
    await asyncio.sleep(0.1)
    assert await is_open(held[0][0])


async def test_where_all_connections_are_at_work_there_is_room_for_the_probes_only(client, served):
    asked = [await client.connect(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(10)]
    await asyncio.sleep(0.1)
    assert (await client.ask(WHOLE))[0] == 200
    status, headers, body = await client.ask(b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert status == 503
    assert headers["Retry-After"]
    assert json.loads(body)["status"] == 503
    served[1].set()
    assert [(await answer_of(reader))[0] for reader, _ in asked] == [200] * 10


@pytest.mark.parametrize("sent", [b"", HALF_HEAD, WHOLE + HALF_HEAD])
async def test_who_does_not_come_to_the_end_of_the_headers_is_closed(client, monkeypatch, sent):
    monkeypatch.setattr(door, "HEAD_S", 0.2)
    monkeypatch.setattr(door, "_LOOK_EVERY_S", 0.1)
    reader, writer = await client.connect(sent.removesuffix(HALF_HEAD))
    if sent.startswith(WHOLE):
        await answer_of(reader)
        await asyncio.sleep(0.5)
    writer.write(sent.removeprefix(WHOLE))
    assert await is_open(reader)
    async with asyncio.timeout(3):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""


@pytest.mark.parametrize(
    ("path", "pause", "expected"), [("/events", 0, 400), ("/events", 0.1, 400), ("/refuse", 0.1, 413)]
)
async def test_a_malformed_chunk_is_answered_at_once(client, caplog, path, pause, expected):
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n"
    reader, writer = await client.connect(head.encode())
    await asyncio.sleep(pause)
    writer.write(b"no size\r\n")
    async with asyncio.timeout(2):
        status, _, _ = await answer_of(reader)
        assert status == expected
        if status == 400:
            assert await reader.read() == b""
    assert not caplog.records


async def test_who_does_not_fetch_the_answer_is_closed(client, monkeypatch):
    monkeypatch.setattr(door, "REQUEST_S", 0.3)
    monkeypatch.setattr(door, "_LOOK_EVERY_S", 0.1)
    reader, _ = await client.connect(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.sleep(1)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(64 << 20)


async def test_headers_without_an_end_are_cut_off(client):
    reader, writer = await client.connect(b"GET / HTTP/1.1\r\n")
    with contextlib.suppress(ConnectionError):
        for number in range(120):
            writer.write(b"X-%d: %s\r\n" % (number, b"y" * 4000))
            await writer.drain()
            await asyncio.sleep(0)
    async with asyncio.timeout(3):
        with contextlib.suppress(ConnectionError):
            left = await reader.read()
            assert not left or left.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 10_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nX y: z\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: \x00\r\n\r\n",
        b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /events HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\nContent-Length: 1\r\n\r\n1",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_what_is_no_request_gets_a_problem_document(client, sent):
    status, headers, body = await client.ask(sent)
    assert 400 <= status < 500
    assert headers["Content-Type"].startswith("application/problem+json")
    assert headers["X-Frame-Options"] == "DENY"
    assert json.loads(body)["status"] == status
