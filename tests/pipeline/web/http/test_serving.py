"""What holds for every answer: problem documents, security headers, limits, HEAD and OPTIONS, no CORS."""

import asyncio

import pytest

from pipeline.web.http import request_parts
from pipeline.web.http.finishing import HEADERS
from pipeline.web.http.limits import SMALL_BODY, Bodies
from pipeline.web.http.problems import Problem
from pipeline.web.install import ROUTES
from pipeline.web.views.events import MAX_AT_ONCE
from tests.pipeline.web.test_guards import path_of, problem_of


async def test_an_unknown_path_is_a_problem_document(web):
    response = await web.client.get("/no/such/path")
    assert response.status == 404
    await problem_of(response)


@pytest.mark.parametrize("path", ["/router", "/table", "/graph", "/stats", "/performance"])
async def test_no_view_of_faust_is_there(web, path):
    response = await web.client.get(path)
    assert response.status == 404


async def test_an_unknown_method_is_a_problem_document_that_names_the_known_ones(web):
    for route in ROUTES:
        response = await web.client.request("PATCH", path_of(route))
        assert response.status == 405, route.name
        assert route.method in response.headers["Allow"]
        await problem_of(response)


async def test_options_tells_the_methods_and_opens_nothing_to_other_sites(web):
    for route in ROUTES:
        headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": route.method}
        response = await web.client.options(path_of(route), headers=headers)
        assert response.status == 204, route.name
        assert route.method in response.headers["Allow"]
        assert not [name for name in response.headers if name.startswith("Access-Control")]


async def test_head_is_get_without_a_body(web):
    for path in ("/", "/healthz", "/openapi.json", "/no/such/path"):
        got, headed = await web.client.get(path), await web.client.head(path)
        assert headed.status == got.status
        assert headed.content_type == got.content_type
        assert await headed.read() == b""


async def test_every_answer_has_the_security_headers(web):
    for path in ("/", "/healthz", "/no/such/path", "/stats/summary", "/openapi.json"):
        response = await web.client.get(path)
        for name, value in HEADERS.items():
            assert response.headers[name] == value, path
        assert "Cache-Control" in response.headers
        assert "Server" not in response.headers or "aiohttp" in response.headers["Server"]


def test_the_page_may_run_scripts_and_styles_of_this_site_only():
    policy = HEADERS["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "unsafe" not in policy


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(web):
    form = {"username": "x" * 100_000, "password": "x"}
    response = await web.client.post("/token", data=form)
    assert response.status == 413
    await problem_of(response)


async def test_a_body_without_a_length_is_refused_once_it_is_too_large(web):
    async def endless():
        for _ in range(1000):
            yield b"username=" + b"x" * 1000

    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    response = await web.client.post("/token", data=endless(), headers=headers)
    assert response.status == 413


@pytest.mark.parametrize("media_type", ["text/plain", "application/xml", ""])
async def test_a_body_of_a_type_that_pages_may_send_anywhere_is_refused(web, media_type):
    response = await web.client.post("/events", data=b"{}", headers={"Content-Type": media_type})
    assert response.status == 415
    await problem_of(response)


async def test_a_parameter_that_is_not_known_is_named(web, bearer):
    response = await web.client.get("/results/latest?limits=3", headers=bearer("analyst"))
    assert response.status == 400
    assert [error.path for error in (await problem_of(response)).errors] == ["limits"]


async def test_a_parameter_that_is_given_twice_is_an_error(web, bearer):
    response = await web.client.get("/results/latest?limit=3&limit=4", headers=bearer("analyst"))
    assert response.status == 400


async def test_a_bug_in_a_view_is_not_told_to_the_caller(web):
    web.app.tables = None  # nothing that a worker ever does
    response = await web.client.get("/readyz")
    assert response.status == 500
    assert "NoneType" not in await response.text()
    await problem_of(response)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "identity, gzip", "\xff"])
async def test_a_compressed_body_is_refused_unread(web, coding):
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    response = await web.client.post("/events", data=b"\x1f\x8b none", headers=headers)
    assert response.status == 415
    assert response.headers["Accept-Encoding"] == "identity"
    await problem_of(response)


async def test_a_type_that_is_no_text_is_quoted_in_a_problem_document(web):
    reader, writer = await asyncio.open_connection(web.client.host, web.client.port)
    writer.write(b"POST /events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n")
    writer.write(b"Content-Type: \xff\r\n\r\n{}")
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 415 ")
    assert b"application/problem+json" in answer


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"[" + b",".join([b"1"] * (MAX_AT_ONCE + 1)) + b"]", "application/json"),
        (b"1\n" * (MAX_AT_ONCE + 1), "application/x-ndjson"),
    ],
)
async def test_more_events_than_are_ever_taken_are_too_large(web, body, media_type):
    response = await web.client.post("/events", data=body, headers={"Content-Type": media_type})
    assert response.status == 413
    await problem_of(response)


async def test_a_body_that_does_not_come_to_its_end_is_told_so(web, monkeypatch):
    monkeypatch.setattr(request_parts, "BODY_S", 0.1)
    reader, writer = await asyncio.open_connection(web.client.host, web.client.port)
    writer.write(
        b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_chunks_that_are_none_end_like_a_body_that_does_not_come(web, monkeypatch):
    monkeypatch.setattr(request_parts, "BODY_S", 0.3)
    reader, writer = await asyncio.open_connection(web.client.host, web.client.port)
    writer.write(b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
    writer.write(b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
    await asyncio.sleep(0.1)
    writer.write(b"zz\r\n")
    answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in answer


def test_small_bodies_find_room_when_large_ones_have_taken_it():
    bodies = Bodies(100)
    with bodies.room() as large, bodies.room() as other, bodies.room() as small:
        large.hold(SMALL_BODY + 80)
        small.hold(SMALL_BODY)
        with pytest.raises(Problem) as refused:
            other.hold(SMALL_BODY + 30)
        assert refused.value.status == 503
    with bodies.room() as again:
        again.hold(SMALL_BODY + 100)
