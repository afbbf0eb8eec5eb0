"""Tokens of people: JWTs signed with HS256."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import jwt

from pipeline.coordination.revocations import NEVER
from pipeline.events.foreign import UNREADABLE
from pipeline.web.http.problems import unauthorized, unavailable

if TYPE_CHECKING:
    from pipeline.coordination.revocations import Revocations
    from pipeline.web.access.accounts import Accounts, Role

LIFE_S: Final = 3600
_ALGORITHM: Final = "HS256"
_ISSUER: Final = "ott-risk"
_PEOPLE: Final = "ott-web"
_REMEMBERED: Final = 1_000
"""This many verified tokens are remembered."""
_UNSIGNED: Final = "no secret for tokens is set on this worker; set OTT_JWT_SECRET or OTT_JWT_SECRET_FILE"


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller who has proven who they are."""

    name: str
    role: Role


class _Claims(NamedTuple):
    """The claims of a verified token: name, role, mark of the account, expiry (seconds since 1970)."""

    name: str
    role: str | None
    account: str | None
    expires_at: float


class Tokens:
    """Issues and checks tokens. All workers of an application need the same secret.

    Args:
        secret: at least 32 characters; None: there are no tokens, and protected routes stay closed.
        accounts: the accounts.
        revocations: the revoked tokens; None in tests.
    """

    def __init__(
        self, secret: str | None, accounts: Accounts, revocations: Revocations | None = None
    ) -> None:
        self._secret = secret
        self._revocations = revocations
        self._accounts = accounts
        self._verified: dict[bytes, _Claims] = {}

    @property
    def life_s(self) -> int:
        """How long a token is valid, in seconds."""
        return LIFE_S

    def check_setup(self) -> None:
        """Refuse a log-in that cannot succeed.

        Raises:
            Problem: there is no users file or no secret; the problem says which.
        """
        missing = self.missing()
        if missing:
            raise unavailable("nobody can sign in: " + "; ".join(missing), 60)

    def missing(self) -> list[str]:
        """One sentence for each setting that is needed before anybody can sign in."""
        missing = []
        if not self._accounts.exist:
            missing.append(
                "no users file is set on this worker; make one with `ott user add`, and set OTT_USERS_FILE"
            )
        if self._secret is None:
            missing.append(_UNSIGNED)
        return missing

    def issue(self, name: str, role: Role) -> str:
        """A token for a user.

        Raises:
            Problem: there is no secret.
        """
        now = int(time.time())
        return jwt.encode(
            {"iss": _ISSUER, "aud": _PEOPLE, "sub": name, "role": role, "iat": now, "exp": now + LIFE_S}
            | {"account": self._mark(name)},
            self._key(),
            _ALGORITHM,
        )

    def identify(self, header: str | None) -> Identity:
        """The caller that an Authorization header belongs to. The account must still exist with the token's role.

        Raises:
            Problem: there is no token, or it is not valid, or no longer valid.
        """
        self.check_setup()
        if header is None:
            raise unauthorized("a token is needed: Authorization: Bearer TOKEN; get one with POST /token")
        scheme, _, token = header.partition(" ")
        # A header may be any bytes. A token is ASCII.
        if scheme.lower() != "bearer" or not token.strip() or not token.isascii():
            raise unauthorized("the Authorization header must have the form: Bearer TOKEN")
        claims = self._claims(token.strip())
        role = self._accounts.role_of(claims.name)
        if role is None or role != claims.role:
            raise unauthorized("the token's account does not exist any more, or has another role now")
        if claims.account is None or not hmac.compare_digest(claims.account, self._mark(claims.name)):
            raise unauthorized(
                "the token's account has a new password, or its tokens were revoked; sign in again"
            )
        return Identity(claims.name, role)

    def _mark(self, name: str) -> str:
        """A mark of an account that changes when it is added again, gets another password, or revokes its tokens.

        Each password hash has a salt of its own, so a new account gets a new mark even with the same password.

        Raises:
            Problem: this worker has not read yet which tokens were revoked.
        """
        user = self._accounts.find(name)
        password = "" if user is None else user.password
        revoked = NEVER
        if self._revocations is not None:
            if not self._revocations.complete:
                raise unavailable("this worker has not read yet which tokens were revoked")
            revoked = self._revocations.newest(name)
        return hmac.new(
            self._key().encode(), f"account\0{name}\0{password}\0{revoked}".encode(), hashlib.sha256
        ).hexdigest()[:32]

    def _claims(self, token: str) -> _Claims:
        """The claims of a valid token. A token is verified once, because a page sends the same token with each request.

        Raises:
            Problem: the token is not valid, or no longer valid.
        """
        digest = hashlib.sha256(token.encode()).digest()
        known = self._verified.get(digest)
        if known is not None and time.time() < known.expires_at:
            return known
        try:
            claims = jwt.decode(
                token,
                self._key(),
                [_ALGORITHM],
                audience=_PEOPLE,
                issuer=_ISSUER,
                options={"require": ["exp", "iat", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise unauthorized("the token has expired; get a new one with POST /token") from None
        except (jwt.InvalidTokenError, *UNREADABLE):
            raise unauthorized("the token is not valid; get a new one with POST /token") from None
        if len(self._verified) >= _REMEMBERED:
            self._verified.clear()
        found = self._verified[digest] = _Claims(
            claims["sub"], claims.get("role"), _text(claims.get("account")), claims["exp"]
        )
        return found

    def _key(self) -> str:
        if self._secret is None:
            raise unavailable(_UNSIGNED, 60)
        return self._secret


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def random_secret() -> str:
    """A secret for a demo whose settings have none."""
    return secrets.token_hex(32)
