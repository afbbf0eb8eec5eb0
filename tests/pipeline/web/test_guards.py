"""Every route of the table is guarded as the table says; a new one is tested by being in it."""

import time

import jwt
import pytest

from pipeline.web.http.problems import PROBLEM_JSON, ProblemDocument
from pipeline.web.install import ROUTES
from tests.pipeline.web.conftest import SECRET

PROTECTED = [route for route in ROUTES if route.role != "public"]
FOR_ADMINS = [route for route in ROUTES if route.role == "admin"]
CLAIMS = {"iss": "ott-risk", "aud": "ott-web", "sub": "admin", "role": "admin"}


def path_of(route):
    path = route.path
    for name in route.parameters:
        path = path.replace(f"{{{name}}}", "x")
    return path


def by_name(route):
    return f"{route.method} {route.path}"


def signed(secret=SECRET, algorithm="HS256", **claims):
    now = int(time.time())
    given = {**CLAIMS, "iat": now, "exp": now + 60, **claims}
    return jwt.encode({name: value for name, value in given.items() if value is not None}, secret, algorithm)


BAD_HEADERS = {
    "no token": lambda: None,
    "no scheme": signed,
    "basic": lambda: "Basic YWRtaW46YWRtaW4xMjM=",
    "empty": lambda: "Bearer ",
    "no JWT": lambda: "Bearer x.y.z",
    "another secret": lambda: f"Bearer {signed('another secret of 32 characters and more')}",
    "no signature": lambda: f"Bearer {signed('', 'none')}",
    "expired": lambda: f"Bearer {signed(exp=int(time.time()) - 1)}",
    "never expires": lambda: f"Bearer {signed(exp=None)}",
    "from elsewhere": lambda: f"Bearer {signed(iss='somebody')}",
    "for workers": lambda: f"Bearer {signed(aud='ott-workers')}",
    "unknown user": lambda: f"Bearer {signed(sub='nobody')}",
    "role raised": lambda: f"Bearer {signed(sub='analyst', role='admin')}",
}


async def call(web, route, headers):
    return await web.client.request(route.method, path_of(route), headers=headers)


async def problem_of(response):
    assert response.content_type == PROBLEM_JSON
    problem = ProblemDocument.model_validate(await response.json())
    assert problem.status == response.status
    assert problem.instance == response.url.path
    return problem


@pytest.mark.parametrize("kind", BAD_HEADERS)
async def test_nobody_without_a_good_token_is_let_in(web, kind):
    header = BAD_HEADERS[kind]()
    headers = {} if header is None else {"Authorization": header}
    for route in PROTECTED:
        response = await call(web, route, headers)
        assert response.status == 401, by_name(route)
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        await problem_of(response)


async def test_an_analyst_is_not_let_in_where_an_admin_is_asked_for(web, bearer):
    for route in FOR_ADMINS:
        response = await call(web, route, bearer("analyst"))
        assert response.status == 403, by_name(route)
        await problem_of(response)


@pytest.mark.parametrize("name", ["analyst", "admin"])
async def test_who_has_the_role_gets_past_the_guard(web, bearer, name):
    for route in PROTECTED:
        if route.role == "admin" and name == "analyst":
            continue
        response = await call(web, route, bearer(name))
        assert response.status not in {401, 403}, by_name(route)


async def test_public_routes_ask_for_no_token(web):
    for route in ROUTES:
        if route.role == "public":
            response = await call(web, route, {})
            assert response.status not in {401, 403}, by_name(route)


@pytest.mark.parametrize("token", ["", "x", "Bearer x"])
async def test_who_only_says_to_be_a_worker_is_not_let_in(web, token):
    for route in PROTECTED:
        response = await call(web, route, {"X-Ott-Peer": token})
        assert response.status == 401, by_name(route)


async def test_a_token_of_a_person_does_not_make_a_worker(web, tokens):
    headers = {"X-Ott-Peer": tokens.issue("admin", "admin")}
    for route in PROTECTED:
        response = await call(web, route, headers)
        assert response.status == 401, by_name(route)


async def test_the_table_is_all_that_is_served(web):
    served = {
        (resource.method, resource.resource.canonical)
        for resource in web.app.web.web_app.router.routes()
        if resource.method != "HEAD"
    }
    assert served == {(route.method, route.path) for route in ROUTES}
