"""Passwords as PBKDF2-HMAC-SHA256 hashes, with their salt and iterations in the text of the hash."""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from typing import Final

SCHEME: Final = "pbkdf2-sha256"
ITERATIONS: Final = 600_000
"""The number in OWASP's password storage cheat sheet for SHA-256."""
MAX_ITERATIONS: Final = 10_000_000
_SALT_BYTES: Final = 16


class PasswordHashError(ValueError):
    """A text that is no hash of ours."""


def hash_password(password: str, iterations: int = ITERATIONS, salt: bytes | None = None) -> str:
    """The hash of a password, with a new salt unless one is given. It is slow on purpose: a tenth of a second."""
    salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    digest = _digest(password, salt, iterations)
    return "$".join((SCHEME, str(iterations), b64encode(salt).decode(), b64encode(digest).decode()))


def is_password(password: str, hashed: str) -> bool:
    """Whether a password has this hash, compared in constant time.

    Raises:
        PasswordHashError: the text is no hash of ours.
    """
    iterations, salt, digest = read_hash(hashed)
    return hmac.compare_digest(_digest(password, salt, iterations), digest)


def read_hash(hashed: str) -> tuple[int, bytes, bytes]:
    """Iterations, salt and digest.

    Raises:
        PasswordHashError: the text is no hash of ours.
    """
    try:
        scheme, iterations, salt, digest = hashed.split("$")
        found = int(iterations), b64decode(salt, validate=True), b64decode(digest, validate=True)
    except ValueError:
        raise PasswordHashError(f"must have the form {SCHEME}$ITERATIONS$SALT$HASH") from None
    if scheme != SCHEME or not 1 <= found[0] <= MAX_ITERATIONS or not found[1] or not found[2]:
        raise PasswordHashError(f"must have the form {SCHEME}$ITERATIONS$SALT$HASH")
    return found


def _digest(password: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
