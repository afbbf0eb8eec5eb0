"""`/token` gives a token for a name and a password, slower after failures. `/token/revoke` ends tokens."""

from __future__ import annotations

import asyncio
import json
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from pipeline.coordination.revocations import revocation_key
from pipeline.events.instants import format_instant
from pipeline.web.access.client_address import site_of
from pipeline.web.access.login_queue import LoginQueue, Rank
from pipeline.web.access.throttle import Throttle
from pipeline.web.access.tokens import Identity
from pipeline.web.http.answers import (
    Answer,
    Instant,
)
from pipeline.web.http.problems import Problem, unauthorized, unavailable
from pipeline.web.http.questions import Question
from pipeline.web.http.routes import FORM, KIB, Body, Route

if TYPE_CHECKING:
    from pipeline.coordination.rule_config import RuleConfig
    from pipeline.web.access.accounts import Accounts
    from pipeline.web.access.audit_trail import AuditLog
    from pipeline.web.access.tokens import Tokens
    from pipeline.web.http.calls import Call, Handlers
    from pipeline.web.http.outbox import Outbox


class Token(Answer):
    """A bearer token (RFC 6750)."""

    access_token: str
    token_type: Literal["bearer"]
    expires_in: int = Field(description="seconds")
    role: Literal["analyst", "admin"]


class Revoked(Answer):
    """All tokens of whoever asked have ended."""

    status: Literal["revoked"]
    at: Instant


class TokenForm(Question):
    """The password grant of OAuth 2 (RFC 6749, 4.3.2)."""

    grant_type: Literal["password"] = "password"
    username: str = Field(min_length=1, max_length=100)
    password: str = Field(min_length=1, max_length=1000, json_schema_extra={"format": "password"})
    scope: str | None = Field(None, max_length=1000, description="not used")


ROUTES: Final = (
    Route(
        name="token",
        method="POST",
        path="/token",
        role="public",
        summary="A token for a name and a password (OAuth 2 password form)",
        answers=(Token,),
        body=Body(model=TokenForm, content={FORM: (TokenForm,)}, limit=8 * KIB),
        problems=(401, 429, 503),
    ),
    Route(
        name="revoke_tokens",
        method="POST",
        path="/token/revoke",
        role="analyst",
        summary="End all tokens of one's own account, on all workers",
        answers=(Revoked,),
        tag="worker",
    ),
)


_CATCH_UP_S: Final = 5.0
_REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS})


def token_views(
    accounts: Accounts,
    tokens: Tokens,
    trail: AuditLog,
    outbox: Outbox,
    rule_config: RuleConfig,
    topic: str,
    throttle: Throttle | None = None,
) -> Handlers:
    """The handlers of `POST /token` and `POST /token/revoke`.

    Args:
        accounts: the accounts that may sign in.
        tokens: issues the tokens.
        trail: takes the entries of log-ins.
        outbox: writes revocations.
        rule_config: reads revocations.
        topic: the full name of `rule-config`, which holds the revocations.
        throttle: slows log-ins after failures.
    """

    async def revoke(call: Call) -> Revoked:
        """End all tokens of the caller. This worker knows it at the answer, the others within a second."""
        assert call.who is not None
        at = format_instant(time.time_ns() // 1_000_000)
        value = json.dumps({"schema": "token-revocation/1", "at": at}).encode()
        await outbox.write(topic, revocation_key(call.who.name), value)
        if not await rule_config.catch_up(_CATCH_UP_S):
            raise unavailable("the revocation is written, and this worker has not read it yet; send it again")
        return Revoked(status="revoked", at=at)

    return {"token": _Login(accounts, tokens, trail, throttle or Throttle()).token, "revoke_tokens": revoke}


class _Login:
    def __init__(self, accounts: Accounts, tokens: Tokens, trail: AuditLog, throttle: Throttle) -> None:
        self._accounts = accounts
        self._tokens = tokens
        self._trail = trail
        self._throttle = throttle
        self._queue = LoginQueue()

    async def token(self, call: Call) -> Token:
        """Check the password. A wrong password and an unknown name get the same answer after the same time."""
        form: TokenForm = call.body
        account, site = form.username, site_of(call.request.remote)
        self._tokens.check_setup()
        try:
            self._check_pause(account, site)
            await asyncio.sleep(self._throttle.delay_s(account, site))
            async with self._queue.turn(self._rank(account, site), site):
                # The first attempt may have failed meanwhile. Those that waited with it must not all be made.
                self._check_pause(account, site)
                role = await asyncio.to_thread(self._accounts.check, account, form.password)
                if role is None:
                    self._throttle.failed(account, site)
                    raise unauthorized("the name or the password is wrong")
        except Problem as problem:
            if problem.status in _REFUSED:
                user = self._accounts.find(account)
                self._trail.note_failed_login(
                    call.route, account, None if user is None else user.role, call.request.remote
                )
            raise
        self._throttle.succeeded(account, site)
        await self._trail.note(Identity(account, role), call.route, None, call.request.remote, allowed=True)
        token = self._tokens.issue(account, role)
        return Token(
            access_token=token,
            token_type="bearer",  # noqa: S106 - RFC 6750's name of a kind of token
            expires_in=self._tokens.life_s,
            role=role,
        )

    def _check_pause(self, account: str, site: str) -> None:
        wait = self._throttle.pause_s(account, site)
        if wait > 0:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"too many failed log-ins; try again in {wait:.0f} s",
                retry_after=wait + 0.5,
            )

    def _rank(self, account: str, site: str) -> Rank:
        if self._throttle.is_known(account, site):
            return Rank.KNOWN
        return Rank.FAILED if self._throttle.has_failed(site) else Rank.FRESH
