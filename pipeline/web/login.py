"""`POST /token`: a name and a password for a token, slower after failures."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from pipeline.web.answers import Token
from pipeline.web.problems import Problem, unauthorized
from pipeline.web.throttle import Throttle

if TYPE_CHECKING:
    from pipeline.web.questions import TokenForm
    from pipeline.web.serving import Call, Handlers
    from pipeline.web.tokens import Tokens
    from pipeline.web.users import Users

# Each takes a core for a tenth of a second; the stream needs them too.
_AT_A_TIME: Final = 2


def login_views(users: Users, tokens: Tokens, throttle: Throttle | None = None) -> Handlers:
    """The handler of `POST /token`."""
    return {"token": _Login(users, tokens, throttle or Throttle()).token}


class _Login:
    def __init__(self, users: Users, tokens: Tokens, throttle: Throttle) -> None:
        self._users = users
        self._tokens = tokens
        self._throttle = throttle
        self._turns = asyncio.Semaphore(_AT_A_TIME)

    async def token(self, call: Call) -> Token:
        """Check the password; a wrong one, and a name that does not exist, sound and take alike."""
        form: TokenForm = call.body
        account, address = ("account", form.username), ("address", call.request.remote)
        async with self._turns:
            wait = self._throttle.wait_s((account, address))
            if wait > 0:
                raise Problem(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    f"too many failed log-ins; try again in {wait:.0f} s",
                    retry_after=wait + 0.5,
                )
            role = await asyncio.to_thread(self._users.check, form.username, form.password)
            if role is None:
                self._throttle.failed((account, address))
                raise unauthorized("the name or the password is wrong")
        self._throttle.succeeded(account)
        token = self._tokens.issue(form.username, role)
        return Token(
            access_token=token,
            token_type="bearer",  # noqa: S106 - RFC 6750's name of a kind of token
            expires_in=self._tokens.life_s,
            role=role,
        )
