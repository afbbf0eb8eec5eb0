"""Targets of requests that are not simply a path are refused, before anything is done."""

import asyncio

import pytest

from pipeline.web.http.problems import PROBLEM_JSON

REFUSED = [
    b"http://127.0.0.1:9/stats/summary",
    b"HTTP://example.com/healthz",
    b"//127.0.0.1:9/stats/summary",
    b"///stats/summary",
    b"/\\127.0.0.1:9/stats/summary",
    b"\\\\127.0.0.1\\stats",
    b"/stats\\summary",
    b"/healthz#part",
    b"*",
    b"127.0.0.1:9",
    b"stats/summary",
    b"/stats/sum\rmary",
    b"/stats/sum\x00mary",
    b"/stats/summary?a\\b",
    b"/users/\xff",
]
PASSED_BY_THE_PARSER = {target for target in REFUSED if target[:1] in b"/hH" and target.isascii()} - {
    b"/stats/sum\rmary",
    b"/stats/sum\x00mary",
}


async def answer(web, head: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", web.client.port)
    writer.write(head + b"Host: x\r\nConnection: close\r\n\r\n")
    received = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return received


@pytest.mark.parametrize("target", REFUSED)
@pytest.mark.parametrize("method", [b"GET", b"OPTIONS"])
async def test_it_is_400_with_a_problem_document(web, method: bytes, target: bytes) -> None:
    received = await answer(web, method + b" " + target + b" HTTP/1.1\r\n")
    assert received.split(b" ", 2)[1] == b"400"
    assert target not in PASSED_BY_THE_PARSER or PROBLEM_JSON.encode() in received


@pytest.mark.parametrize(
    "target",
    [b"/healthz", b"/healthz?a=b&c=%2F%5C", b"/static/..%2F..%2Fsecret", b"/users/a%2Fb", b"/users/..%2F.."],
)
async def test_a_path_is_looked_up_as_it_is(web, target: bytes) -> None:
    received = await answer(web, b"GET " + target + b" HTTP/1.1\r\n")
    assert received.split(b" ", 2)[1] != b"400"
