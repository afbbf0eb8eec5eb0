"""Which tokens of people were revoked: records under the keys `revoked/NAME` on `rule-config`.

A token names the offset of the newest revocation of its account that the issuing worker knew. A later revocation ends
it on every worker, also on one that was down, without comparing clocks.
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = b"revoked/"
NEVER: Final = -1
_LONGEST: Final = 200


class Revocations:
    """The newest revocation of each account, as `rule-config` has it.

    Attributes:
        complete: whether what was there before this worker's start is known; no token is to be believed before.
    """

    def __init__(self) -> None:
        self.complete = False
        self._offsets: dict[bytes, int] = {}

    def apply(self, key: bytes, offset: int) -> None:
        """Take a record of the topic. All records of a key are in one partition, where offsets only grow.

        Args:
            key: of the record; it begins with `PREFIX`.
            offset: of the record.
        """
        if len(key) <= _LONGEST:
            self._offsets[key] = max(offset, self._offsets.get(key, NEVER))

    def newest(self, name: str) -> int:
        """The newest revocation of an account; `NEVER` without one."""
        return self._offsets.get(revocation_key(name), NEVER)


def revocation_key(name: str) -> bytes:
    """The key of an account's revocations."""
    return PREFIX + name.encode()
