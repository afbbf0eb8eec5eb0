"""Revocations of tokens: records under the keys `revoked/NAME` on `rule-config`.

A token names the offset of the newest revocation of its account that the issuing worker knew. A revocation with a
larger offset ends the token on every worker, also on one that was down. No clocks are compared.
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = b"revoked/"
NEVER: Final = -1
_LONGEST: Final = 200


class Revocations:
    """The newest revocation of each account. `RuleConfig` gives it the records.

    Attributes:
        complete: whether all records from before this worker's start are known. Until then no token may be accepted.
    """

    def __init__(self) -> None:
        self.complete = False
        self._offsets: dict[bytes, int] = {}

    def apply(self, key: bytes, offset: int) -> None:
        """Take a record. All records of a key are in one partition, so their offsets grow.

        Args:
            key: of the record; begins with `PREFIX`.
            offset: of the record.
        """
        if len(key) <= _LONGEST:
            self._offsets[key] = max(offset, self._offsets.get(key, NEVER))

    def newest(self, name: str) -> int:
        """The offset of the newest revocation of an account; `NEVER` if there is none."""
        return self._offsets.get(revocation_key(name), NEVER)


def revocation_key(name: str) -> bytes:
    """The record key of an account's revocations."""
    return PREFIX + name.encode()
