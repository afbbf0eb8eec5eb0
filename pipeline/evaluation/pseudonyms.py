"""Pseudonyms: keyed hashes that outputs show instead of user and device ids."""

import hmac
from collections.abc import Callable
from functools import lru_cache
from typing import Final

_DIGITS: Final = 32


def pseudonymiser(key: bytes) -> Callable[[str], str]:
    """A function from an id to its pseudonym: 32 hex digits of HMAC-SHA256 (RFC 2104) under the key."""

    @lru_cache(maxsize=100_000)
    def pseudonym(identifier: str) -> str:
        return hmac.digest(key, identifier.encode(), "sha256").hex()[:_DIGITS]

    return pseudonym
