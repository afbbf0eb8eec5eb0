"""What holds for every answer: problem documents, security headers, limits, HEAD and OPTIONS, no CORS."""

import pytest

from pipeline.web.routes import ROUTES
from pipeline.web.serving import HEADERS
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
