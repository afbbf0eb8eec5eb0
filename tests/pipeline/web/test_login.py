"""Passwords, users, tokens, and the slow-down after failures."""

import stat
import time

import jwt
import pytest

from pipeline.errors import MissingError, UsageError
from pipeline.web.passwords import PasswordHashError, hash_password, is_password, read_hash
from pipeline.web.problems import Problem
from pipeline.web.throttle import FREE_FAILURES, LONGEST_PAUSE_S, Throttle
from pipeline.web.tokens import Identity, Tokens
from pipeline.web.users import User, Users, new_user, read_users, write_users
from tests.pipeline.web.conftest import SECRET
from tests.pipeline.web.test_guards import problem_of


async def log_in(web, name, password):
    return await web.client.post("/token", data={"username": name, "password": password})


@pytest.mark.parametrize("name", ["admin", "analyst"])
async def test_the_demos_users_get_tokens_that_open_their_views(web, name):
    response = await log_in(web, name, f"{name}123")
    assert response.status == 200
    token = await response.json()
    assert (token["token_type"], token["role"]) == ("bearer", name)
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    opened = await web.client.get("/tables", headers=headers)
    assert opened.status not in {401, 403}


@pytest.mark.parametrize(
    ("name", "password"), [("admin", "wrong"), ("nobody", "admin123"), ("Admin", "admin123")]
)
async def test_a_wrong_name_or_password_is_told_alike(web, name, password):
    response = await log_in(web, name, password)
    assert response.status == 401
    assert (await problem_of(response)).detail == "the name or the password is wrong"


async def test_a_form_without_a_password_is_not_valid(web):
    response = await web.client.post("/token", data={"username": "admin"})
    assert response.status == 400
    assert [error.path for error in (await problem_of(response)).errors] == ["password"]


async def test_after_repeated_failures_an_account_has_to_wait(web):
    for _ in range(FREE_FAILURES):
        assert (await log_in(web, "admin", "wrong")).status == 401
    response = await log_in(web, "admin", "admin123")
    assert response.status == 429
    assert int(response.headers["Retry-After"]) >= 1
    await problem_of(response)


def test_each_failure_doubles_the_pause_up_to_a_limit():
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    pauses = []
    for _ in range(FREE_FAILURES + 10):
        throttle.failed(["a"])
        pauses.append(throttle.wait_s(["a", "b"]))
    assert pauses[: FREE_FAILURES - 1] == [0.0] * (FREE_FAILURES - 1)
    assert pauses[FREE_FAILURES - 1 : FREE_FAILURES + 3] == [1.0, 2.0, 4.0, 8.0]
    assert pauses[-1] == LONGEST_PAUSE_S
    assert throttle.wait_s(["b"]) == 0.0
    now[0] = LONGEST_PAUSE_S
    assert throttle.wait_s(["a"]) == 0.0
    throttle.succeeded("a")
    throttle.failed(["a"])
    assert throttle.wait_s(["a"]) == 0.0


def test_old_failures_are_forgotten():
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    for _ in range(FREE_FAILURES):
        throttle.failed(["a"])
    now[0] = 10_000.0
    throttle.failed(["a"])
    assert throttle.wait_s(["a"]) == 0.0


def test_the_throttle_remembers_a_bounded_number_of_keys():
    throttle = Throttle(lambda: 0.0)
    for number in range(30_000):
        throttle.failed([number])
    assert len(throttle._failures) == 10_000


def test_a_password_is_known_by_its_hash_only():
    hashed = hash_password("correct horse", 1000)
    assert is_password("correct horse", hashed)
    assert not is_password("correct horse ", hashed)
    assert "correct" not in hashed
    assert hash_password("correct horse", 1000) != hashed, "every hash has a salt of its own"


def test_a_hash_says_how_it_was_made():
    assert read_hash(hash_password("x"))[0] == 600_000


@pytest.mark.parametrize("text", ["", "plain", "md5$1$YQ==$YQ==", "pbkdf2-sha256$0$YQ==$YQ==", "a$b$c$d"])
def test_what_is_no_hash_is_refused(text):
    with pytest.raises(PasswordHashError):
        is_password("x", text)


def test_a_users_file_is_read_as_it_was_written_and_only_its_owner_may_read_it(tmp_path):
    path = tmp_path / "config" / "users.json"
    users = {"ana": new_user("a password of Ana", "analyst")}
    write_users(path, users)
    assert read_users(path) == users
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["users.json"]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"users":{"a b":{}}}', '{"users":{"ana":{"role":"root","password":"x"}}}']
)
def test_a_file_that_is_no_users_file_is_named(tmp_path, text):
    path = tmp_path / "users.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"users\.json"):
        read_users(path)


def test_a_users_file_that_is_missing_is_named_with_the_way_out(tmp_path):
    with pytest.raises(MissingError, match="ott user add"):
        Users(tmp_path / "none.json", demo=False)


def test_without_the_demo_its_users_do_not_exist():
    users = Users(None, demo=False)
    assert users.role_of("admin") is None
    assert users.check("admin", "admin123") is None


def test_a_user_who_is_removed_from_the_file_is_out_at_once(tmp_path):
    path = tmp_path / "users.json"
    write_users(path, {"ana": User(role="admin", password=hash_password("p", 1000))})
    users = Users(path, demo=False)
    assert users.check("ana", "p") == "admin"
    write_users(path, {})
    assert users.role_of("ana") is None
    path.unlink()
    with pytest.raises(MissingError):
        users.role_of("ana")


def test_a_token_that_was_let_in_is_refused_once_it_expired_or_its_user_is_gone(tmp_path):
    path = tmp_path / "users.json"
    write_users(path, {"ana": User(role="admin", password=hash_password("p", 1000))})
    tokens = Tokens(SECRET, Users(path, demo=False))
    now = int(time.time())
    claims = {"iss": "ott-risk", "aud": "ott-web", "sub": "ana", "role": "admin", "iat": now}
    short, long = (jwt.encode({**claims, "exp": now + life}, SECRET, "HS256") for life in (2, 600))
    for token in (short, long, short, long):
        assert tokens.identify(f"Bearer {token}") == Identity("ana", "admin")
    time.sleep(max(0.0, now + 2.1 - time.time()))
    with pytest.raises(Problem) as refused:
        tokens.identify(f"Bearer {short}")
    assert "expired" in refused.value.detail
    assert tokens.identify(f"Bearer {long}") == Identity("ana", "admin")
    write_users(path, {"ana": User(role="analyst", password=hash_password("p", 1000))})
    with pytest.raises(Problem) as refused:
        tokens.identify(f"Bearer {long}")
    assert "another role" in refused.value.detail
    write_users(path, {})
    with pytest.raises(Problem) as refused:
        tokens.identify(f"Bearer {long}")
    assert "not exist" in refused.value.detail


@pytest.mark.parametrize("header", ["Bearer \udcff.x.y", "Bearer é", "Bearer a.b.c\x00"])
def test_a_header_that_is_no_text_is_refused_like_any_other(header):
    tokens = Tokens(SECRET, Users(None, demo=True))
    with pytest.raises(Problem) as refused:
        tokens.identify(header)
    assert refused.value.status == 401
