"""Proofs between workers: of their addresses, of the calls that they forward, and of the answers.

All proofs are signed with a key that is derived from the shared secret. It differs from the key of people's tokens, so
neither can be used for the other. Nothing here reads a clock: the caller gives the time.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import jwt
from yarl import URL

if TYPE_CHECKING:
    from pipeline.web.access.accounts import Role

PEER_HEADER: Final = "X-Ott-Peer"
"""The HTTP header of a proof, both of a forwarded call and of the answer to it."""
LIFE_S: Final = 10.0
"""A forwarded call is valid for this long. The clocks of two workers may differ by as much."""
_MAX_NONCES: Final = 100_000
_ALGORITHM: Final = "HS256"
_ROLES: Final = ("analyst", "admin")
_PURPOSE: Final = b"ott: proofs between workers, version 1"


class ProofError(Exception):
    """A proof is not valid. The text says why, for the log and for the answer."""


@dataclass(frozen=True, slots=True)
class ForwardedCall:
    """One call of one worker to another, on behalf of a person.

    Attributes:
        method: of HTTP.
        target: path and query as they are sent.
        body: the SHA-256 of the body, in hexadecimal.
        receiver: the origin of the worker that is called.
        name: of the person who asks.
        role: of that person, as the calling worker checked it.
        nonce: of this call alone.
        at: when it was signed, in seconds since 1970 by the clock of the calling worker.
    """

    method: str
    target: str
    body: str
    receiver: str
    name: str
    role: Role
    nonce: str
    at: float


def body_digest(body: bytes) -> str:
    """The digest of a body as it stands in a proof."""
    return hashlib.sha256(body).hexdigest()


def new_nonce() -> str:
    """A nonce for a new call."""
    return secrets.token_hex(16)


class Proofs:
    """Signs and checks.

    Args:
        secret: that the workers share.
        app_id: keeps the proofs of another application with the same secret from being valid here.
        started: when this worker started, in seconds since 1970. It accepts no call that was signed earlier, because
            it does not remember which calls it accepted before.
    """

    def __init__(self, secret: str, app_id: str, started: float = 0.0) -> None:
        # HKDF with SHA-256 (RFC 5869), without a salt and with one block of output.
        extracted = hmac.digest(bytes(32), secret.encode(), "sha256")
        self._key = hmac.digest(extracted, _PURPOSE + b"\0" + app_id.encode() + b"\x01", "sha256")
        self._started = started
        # The nonces of accepted calls, each with the time at which it expires; the oldest come first.
        self._nonces: OrderedDict[str, float] = OrderedDict()

    # -- addresses

    def signed_address(self, origin: URL) -> URL:
        """The address of a worker as it stands in the metadata of the consumer group."""
        return origin.with_fragment(self._mac("address", str(origin.origin())))

    def origin_of(self, address: str) -> URL | None:
        """The origin in an address of the group's metadata; None if no worker of ours has written it."""
        try:
            url = URL(address)
            origin, proof = url.origin(), url.fragment
        except ValueError:
            return None
        fits = hmac.compare_digest(self._mac("address", str(origin)).encode(), proof.encode())
        return origin if fits else None

    # -- calls

    def sign_call(self, call: ForwardedCall) -> str:
        """The proof of a call."""
        claims = {
            "iat": call.at,
            "aud": call.receiver,
            "sub": call.name,
            "role": call.role,
            "method": call.method,
            "target": call.target,
            "body": call.body,
            "jti": call.nonce,
        }
        return jwt.encode(claims, self._key, _ALGORITHM)

    def read_call(self, proof: str, method: str, target: str, receiver: str) -> ForwardedCall:
        """The call that a proof belongs to. The caller must still `take` it, and compare the digest of the body.

        Args:
            proof: as it came.
            method: of the request that it came with.
            target: path and query of that request, as they came.
            receiver: our own origin.

        Raises:
            ProofError: no worker of ours signed it, or it was signed for another request or receiver.
        """
        try:
            claims = jwt.decode(
                proof,
                self._key,
                [_ALGORITHM],
                audience=receiver,
                # `take` compares the times, with the caller's clock.
                options={"verify_exp": False, "verify_iat": False, "require": ["iat", "aud", "sub", "jti"]},
            )
            call = ForwardedCall(
                claims["method"],
                claims["target"],
                claims["body"],
                receiver,
                claims["sub"],
                claims["role"],
                claims["jti"],
                float(claims["iat"]),
            )
            if call.role not in _ROLES:
                raise ProofError(f"the call names a role {call.role!r} that this worker does not know")
        except jwt.InvalidAudienceError:
            raise ProofError("the call was made to another worker") from None
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
            raise ProofError("the call is not signed with this worker's OTT_JWT_SECRET") from None
        if (call.method, call.target) != (method, target):
            raise ProofError("the signature is that of another request")
        return call

    def take(self, call: ForwardedCall, now: float) -> None:
        """Accept a call once, and only while it is fresh.

        Args:
            call: the call.
            now: seconds since 1970.

        Raises:
            ProofError: it is too old, from the future, from before this worker's start, or was accepted before.
        """
        age = now - call.at
        if abs(age) > LIFE_S:
            raise ProofError(
                f"the call was signed {abs(age):.0f} s {'before' if age > 0 else 'after'} this worker's time, and "
                f"{LIFE_S:.0f} s are allowed: the clocks of the two machines differ, set them right"
            )
        if call.at < self._started:
            raise ProofError("the call was signed before this worker started; ask again")
        self._use(call.nonce, now)

    def _use(self, nonce: str, now: float) -> None:
        """Remember a nonce as long as its call is valid.

        Raises:
            ProofError: it was used before, or there are too many nonces to remember.
        """
        nonces = self._nonces
        while nonces and next(iter(nonces.values())) < now:
            nonces.popitem(last=False)
        if nonce in nonces:
            raise ProofError("the call was made before")
        if len(nonces) >= _MAX_NONCES:
            raise ProofError(f"more than {_MAX_NONCES} calls of other workers within {2 * LIFE_S:.0f} s")
        nonces[nonce] = now + 2 * LIFE_S

    # -- answers

    def sign_answer(self, nonce: str, status: int, content_type: str, body: bytes) -> str:
        """The proof of the answer to the call with this nonce."""
        return self._mac("answer", nonce, str(status), body_digest(body), content_type)

    def is_answer(self, proof: str | None, nonce: str, status: int, content_type: str, body: bytes) -> bool:
        """Whether an answer comes from the worker that was called."""
        expected = self.sign_answer(nonce, status, content_type, body)
        return proof is not None and hmac.compare_digest(expected.encode(), proof.encode("utf-8", "replace"))

    def _mac(self, *parts: str) -> str:
        # Two lists of parts never give the same text: each purpose has a fixed number of parts, and only the last part
        # can contain a line feed.
        return hmac.new(self._key, "\n".join(parts).encode(), "sha256").hexdigest()
