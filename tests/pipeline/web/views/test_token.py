"""Passwords, users, tokens, and the slow-down after failures."""

import asyncio
import os
import stat
import time

import jwt
import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from pipeline.coordination.revocations import Revocations
from pipeline.errors import MissingError, UsageError
from pipeline.web.access.accounts import Account, Accounts, new_user, read_users, write_users
from pipeline.web.access.client_address import ClientAddresses, site_of
from pipeline.web.access.login_queue import LONGEST, LoginQueue, Rank
from pipeline.web.access.passwords import PasswordHashError, hash_password, is_password, read_hash
from pipeline.web.access.throttle import (
    DELAY_S,
    FREE_FAILURES,
    LONGEST_PAUSE_S,
    MANY_OF_ACCOUNT,
    MANY_OF_WORKER,
    Throttle,
)
from pipeline.web.access.tokens import Identity, Tokens
from pipeline.web.http.problems import Problem
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


def test_each_failure_doubles_the_pause_up_to_a_limit_for_this_account_at_this_site():
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    pauses = []
    for _ in range(FREE_FAILURES + 10):
        throttle.failed("ana", "192.0.2.1")
        pauses.append(throttle.pause_s("ana", "192.0.2.1"))
    assert pauses[: FREE_FAILURES - 1] == [0.0] * (FREE_FAILURES - 1)
    assert pauses[FREE_FAILURES - 1 : FREE_FAILURES + 3] == [1.0, 2.0, 4.0, 8.0]
    assert pauses[-1] == LONGEST_PAUSE_S
    assert throttle.pause_s("ana", "192.0.2.2") == 0.0, "nobody locks another one out"
    assert throttle.pause_s("bob", "192.0.2.1") == 0.0, "nor those behind the same proxy"
    now[0] = LONGEST_PAUSE_S
    assert throttle.pause_s("ana", "192.0.2.1") == 0.0
    throttle.succeeded("ana", "192.0.2.1")
    throttle.failed("ana", "192.0.2.1")
    assert throttle.pause_s("ana", "192.0.2.1") == 0.0


def test_old_failures_are_forgotten():
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    for _ in range(FREE_FAILURES):
        throttle.failed("ana", "a")
    now[0] = 10_000.0
    throttle.failed("ana", "a")
    assert throttle.pause_s("ana", "a") == 0.0


def test_guessing_from_many_sites_is_slowed_except_where_the_account_signed_in_before():
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    throttle.succeeded("ana", "home")
    for number in range(MANY_OF_ACCOUNT):
        assert throttle.delay_s("ana", "new") == 0.0
        throttle.failed("ana", f"site {number}")
    assert throttle.delay_s("ana", "new") == DELAY_S
    assert throttle.delay_s("ana", "home") == 0.0
    assert throttle.delay_s("bob", "new") == 0.0
    now[0] = 1000.0
    assert throttle.delay_s("ana", "new") == 0.0


def test_trying_many_accounts_is_slowed():
    throttle = Throttle(lambda: 0.0)
    for number in range(MANY_OF_WORKER):
        assert throttle.delay_s("ana", "new") == 0.0
        throttle.failed(f"account {number}", f"site {number % 10}")
    assert throttle.delay_s("ana", "new") == DELAY_S


def test_the_throttle_remembers_a_bounded_number_of_keys():
    throttle = Throttle(lambda: 0.0)
    for number in range(30_000):
        throttle.failed(str(number), str(number))
        throttle.succeeded(f"known {number}", "site")
    kept = (throttle._failures, throttle._sites, throttle._totals, throttle._known)
    assert [len(one) for one in kept] == [10_000] * 4


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (None, "None"),
    ],
)
def test_a_site_is_an_address_or_the_network_of_one_customer(address, site):
    assert site_of(address) == site


@pytest.mark.parametrize(
    ("trusted", "headers", "client"),
    [
        ((), ["198.51.100.1"], "127.0.0.1"),
        (("127.0.0.1",), [], "127.0.0.1"),
        (("127.0.0.1",), ["198.51.100.1"], "198.51.100.1"),
        (("127.0.0.1",), ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        (("127.0.0.1", "10.0.0.0/8"), ["6.6.6.6, 198.51.100.1", "10.1.2.3"], "198.51.100.1"),
        (("127.0.0.1", "10.0.0.0/8"), ["10.1.2.3"], "10.1.2.3"),
        (("127.0.0.1",), ["unknown"], "127.0.0.1"),
        (("127.0.0.1",), ["::ffff:198.51.100.1"], "198.51.100.1"),
    ],
)
def test_only_what_trusted_proxies_wrote_names_the_client(trusted, headers, client):
    request = make_mocked_request(
        "GET", "/", CIMultiDict(("X-Forwarded-For", value) for value in headers)
    ).clone(remote="127.0.0.1")
    assert ClientAddresses(trusted).of(request) == client


async def test_a_flood_from_elsewhere_does_not_keep_a_site_without_failures_waiting():
    queue, order = LoginQueue(), []

    async def attempt(rank, site):
        async with queue.turn(rank, site):
            order.append(site)
            await asyncio.sleep(0.01)

    flood = [asyncio.create_task(attempt(Rank.FAILED, f"bad {number % 9}")) for number in range(30)]
    await asyncio.sleep(0)
    good = [asyncio.create_task(attempt(rank, str(rank))) for rank in (Rank.FRESH, Rank.KNOWN)]
    await asyncio.gather(*good, *flood)
    assert {str(Rank.KNOWN), str(Rank.FRESH)} <= set(order[:4]), "the last free turn is kept for them"


async def test_who_is_known_goes_first_and_nobody_is_passed_over():
    queue, order = LoginQueue(), []

    async def attempt(rank, site):
        async with queue.turn(rank, site):
            order.append(site)
            await asyncio.sleep(0)

    waiting = [(Rank.FRESH, str(number)) for number in range(6)] + [(Rank.KNOWN, "0"), (Rank.KNOWN, "known")]
    await asyncio.gather(*(attempt(*one) for one in waiting))
    assert order == ["0", "1", "0", "known", "2", "3", "4", "5"]


async def test_one_site_has_one_turn_at_a_time_and_the_last_of_too_many_are_refused():
    queue, now, most = LoginQueue(), [0], [0]

    async def attempt():
        async with queue.turn(Rank.FRESH, "one"):
            now[0] += 1
            most[0] = max(most[0], now[0])
            await asyncio.sleep(0)
            now[0] -= 1

    found = await asyncio.gather(*(attempt() for _ in range(LONGEST + 11)), return_exceptions=True)
    refused = [problem for problem in found if problem is not None]
    assert most == [1]
    assert [problem.status for problem in refused] == [503] * 10


async def test_who_goes_away_while_waiting_leaves_the_turn_to_others():
    queue = LoginQueue()
    async with queue.turn(Rank.FRESH, "a"), queue.turn(Rank.FRESH, "b"):

        async def attempt():
            async with queue.turn(Rank.FRESH, "c"):
                pass

        waiting = asyncio.create_task(attempt())
        await asyncio.sleep(0)
        waiting.cancel()
    async with asyncio.timeout(1), queue.turn(Rank.FRESH, "c"):
        pass


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
    path.chmod(0o600)
    with pytest.raises(UsageError, match=r"users\.json"):
        read_users(path)


def test_a_users_file_that_is_missing_is_named_with_the_way_out(tmp_path):
    with pytest.raises(MissingError, match="ott user add"):
        Accounts(tmp_path / "none.json", demo=False)


def test_without_the_demo_its_users_do_not_exist():
    users = Accounts(None, demo=False)
    assert users.role_of("admin") is None
    assert users.check("admin", "admin123") is None


@pytest.mark.slow
@pytest.mark.essential
def test_a_user_who_is_removed_from_the_file_is_out_at_once(tmp_path):
    path = tmp_path / "users.json"
    write_users(path, {"ana": new_user("p", "admin")})
    users = Accounts(path, demo=False)
    assert users.check("ana", "p") == "admin"
    write_users(path, {})
    assert users.role_of("ana") is None
    path.unlink()
    with pytest.raises(MissingError):
        users.role_of("ana")


@pytest.mark.slow
@pytest.mark.essential
def test_a_token_ends_with_its_time_and_with_its_account(tmp_path, monkeypatch):
    path = tmp_path / "users.json"
    ana = new_user("p", "admin")
    write_users(path, {"ana": ana})
    tokens = Tokens(SECRET, Accounts(path, demo=False))
    token = f"Bearer {tokens.issue('ana', 'admin')}"
    with monkeypatch.context() as patched:
        patched.setattr("pipeline.web.access.tokens.LIFE_S", 1)
        short = f"Bearer {tokens.issue('ana', 'admin')}"
    for header in (short, token, short, token):
        assert tokens.identify(header) == Identity("ana", "admin")
    time.sleep(1.1)
    assert "expired" in refusal(tokens, short)
    assert tokens.identify(token) == Identity("ana", "admin")
    write_users(path, {"ana": new_user("p", "analyst")})
    assert "another role" in refusal(tokens, token)
    write_users(path, {})
    assert "not exist" in refusal(tokens, token)
    write_users(path, {"ana": new_user("p", "admin")})
    assert "new password" in refusal(tokens, token), "an account that is added again is another one"
    write_users(path, {"ana": ana})
    assert tokens.identify(token) == Identity("ana", "admin")


def refusal(tokens, header):
    with pytest.raises(Problem) as refused:
        tokens.identify(header)
    assert refused.value.status == 401
    return refused.value.detail


def test_a_token_without_the_mark_of_its_account_is_refused():
    claims = {"iss": "ott-risk", "aud": "ott-web", "sub": "admin", "role": "admin", "iat": 1, "exp": 9e9}
    tokens = Tokens(SECRET, Accounts(None, demo=True))
    assert "new password" in refusal(tokens, f"Bearer {jwt.encode(claims, SECRET, 'HS256')}")


def test_workers_of_one_demo_take_each_others_tokens():
    one, other = (Tokens(SECRET, Accounts(None, demo=True)) for _ in range(2))
    assert other.identify(f"Bearer {one.issue('admin', 'admin')}") == Identity("admin", "admin")


@pytest.mark.parametrize(
    ("secret", "users", "named"),
    [
        (None, True, {"OTT_JWT_SECRET"}),
        (SECRET, False, {"OTT_USERS_FILE"}),
        (None, False, {"OTT_JWT_SECRET", "OTT_USERS_FILE"}),
    ],
)
def test_where_nobody_can_sign_in_the_refusal_says_what_is_missing(secret, users, named):
    tokens = Tokens(secret, Accounts(None, demo=users))
    for ask in (tokens.check_setup, lambda: tokens.identify(None)):
        with pytest.raises(Problem) as refused:
            ask()
        assert refused.value.status == 503
        assert {
            name for name in ("OTT_JWT_SECRET", "OTT_USERS_FILE") if name in refused.value.detail
        } == named


@pytest.mark.slow
@pytest.mark.essential
@pytest.mark.skipif(os.name != "posix", reason="modes of files are those of POSIX")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o602])
def test_a_users_file_that_others_can_read_or_change_is_refused_with_the_command_that_mends_it(
    tmp_path, mode
):
    path = tmp_path / "users.json"
    write_users(path, {})
    path.chmod(mode)
    with pytest.raises(UsageError, match=f"chmod 600 {path}"):
        Accounts(path, demo=False)


@pytest.mark.slow
@pytest.mark.essential
def test_hashes_of_too_few_rounds_are_refused_with_the_command_that_mends_it(tmp_path):
    path = tmp_path / "users.json"
    write_users(path, {"ana": Account(role="analyst", password=hash_password("p", 100_000))})
    with pytest.raises(UsageError, match=f"ott user add ana --role analyst --replace --users-file {path}"):
        Accounts(path, demo=False)
    assert read_users(path).keys() == {"ana"}, "else the command could not mend it"


@pytest.mark.parametrize("header", ["Bearer \udcff.x.y", "Bearer é", "Bearer a.b.c\x00"])
def test_a_header_that_is_no_text_is_refused_like_any_other(header):
    tokens = Tokens(SECRET, Accounts(None, demo=True))
    with pytest.raises(Problem) as refused:
        tokens.identify(header)
    assert refused.value.status == 401


def test_a_revocation_ends_the_tokens_of_its_account_only():
    revocations = Revocations()
    tokens = Tokens(SECRET, Accounts(None, demo=True), revocations)
    ana, bob = (f"Bearer {tokens.issue(name, name)}" for name in ("admin", "analyst"))
    revocations.apply(b"revoked/admin", 7)
    assert "revoked" in refusal(tokens, ana)
    assert tokens.identify(bob) == Identity("analyst", "analyst")
    later = f"Bearer {tokens.issue('admin', 'admin')}"
    revocations.apply(b"revoked/admin", 3)
    assert tokens.identify(later) == Identity("admin", "admin"), "an older record is read again after a break"


def test_no_token_is_believed_before_it_is_known_what_was_revoked(monkeypatch):
    revocations = Revocations()
    tokens = Tokens(SECRET, Accounts(None, demo=True), revocations)
    token = f"Bearer {tokens.issue('admin', 'admin')}"
    monkeypatch.setattr(Revocations, "complete", False)
    with pytest.raises(Problem) as refused:
        tokens.identify(token)
    assert refused.value.status == 503
