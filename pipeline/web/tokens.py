"""Tokens: JWTs signed with HS256, for people and between workers."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import jwt

from pipeline.web.problems import unauthorized, unavailable

if TYPE_CHECKING:
    from pipeline.web.users import UserRole, Users

LIFE_S: Final = 3600
_PEER_LIFE_S: Final = 60
_ALGORITHM: Final = "HS256"
_ISSUER: Final = "ott-risk"
_PEOPLE: Final = "ott-web"
_WORKERS: Final = "ott-workers"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls."""

    name: str
    role: UserRole


class Tokens:
    """Issues and checks tokens. Workers that answer for each other need the same secret.

    Args:
        secret: at least 32 characters; None: there are no tokens, and what is protected stays closed.
        users: that exist.
    """

    def __init__(self, secret: str | None, users: Users) -> None:
        self._secret = secret
        self._users = users

    @property
    def life_s(self) -> int:
        """How long a token is good, in seconds."""
        return LIFE_S

    def issue(self, name: str, role: UserRole) -> str:
        """A token for a user.

        Raises:
            Problem: there is no secret.
        """
        now = int(time.time())
        return jwt.encode(
            {"iss": _ISSUER, "aud": _PEOPLE, "sub": name, "role": role, "iat": now, "exp": now + LIFE_S},
            self._key(),
            _ALGORITHM,
        )

    def identify(self, header: str | None) -> Identity:
        """Who sent an Authorization header; the account must still exist with that role.

        Raises:
            Problem: nobody, or it is not (any more) a good token.
        """
        if header is None:
            raise unauthorized("a token is needed: Authorization: Bearer TOKEN; get one with POST /token")
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise unauthorized("the Authorization header must have the form: Bearer TOKEN")
        try:
            claims = jwt.decode(
                token.strip(),
                self._key(),
                [_ALGORITHM],
                audience=_PEOPLE,
                issuer=_ISSUER,
                options={"require": ["exp", "iat", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise unauthorized("the token has expired; get a new one with POST /token") from None
        except jwt.InvalidTokenError:
            raise unauthorized("the token is not valid; get a new one with POST /token") from None
        name, role = claims["sub"], self._users.role_of(claims["sub"])
        if role is None or role != claims.get("role"):
            raise unauthorized("the token's account does not exist any more, or has another role now")
        return Identity(name, role)

    def for_peers(self) -> str:
        """A token with which this worker asks another one."""
        now = int(time.time())
        return jwt.encode(
            {"iss": _ISSUER, "aud": _WORKERS, "iat": now, "exp": now + _PEER_LIFE_S}, self._key(), _ALGORITHM
        )

    def is_peer(self, token: str | None) -> bool:
        """Whether a request comes from another worker, which has let it in and put it into the audit trail."""
        if token is None or self._secret is None:
            return False
        try:
            jwt.decode(
                token,
                self._secret,
                [_ALGORITHM],
                audience=_WORKERS,
                issuer=_ISSUER,
                options={"require": ["exp", "iat"]},
            )
        except jwt.InvalidTokenError:
            return False
        return True

    def _key(self) -> str:
        if self._secret is None:
            raise unavailable(
                "no secret for tokens is set on this worker; set OTT_JWT_SECRET or OTT_JWT_SECRET_FILE", 60
            )
        return self._secret


def random_secret() -> str:
    """A secret for the demo, where nobody has set one."""
    return secrets.token_hex(32)
