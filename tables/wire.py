"""What the wire forms share: kinds, versions, and the error for bytes that are not ours."""

from typing import Final

USER: Final = 0x55
PARTITION: Final = 0x50
RECENT: Final = 0x52
REQUESTS: Final = 0x51
RULES: Final = 0x53
"""The first byte of a value: what kind of record it is (U, P, R, Q, S). The second is the version of its form."""


class WireError(ValueError):
    """Bytes in a table that this version of the program cannot read."""

    def __init__(self, kind: str, value: bytes) -> None:
        super().__init__(
            f"a {kind} record begins with {value[:2].hex() or 'nothing'}, which this version cannot read; "
            "it was written by a newer version, or the table is not one of ours"
        )
