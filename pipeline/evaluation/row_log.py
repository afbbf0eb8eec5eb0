"""Rows of one subject, one behind the other, as they are encoded: most are never looked at one by one.

A row says: in this minute, so many events of a region, with an error code or none, of a kind, and of one thing more.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from pipeline.events.foreign import UnreadableError, packed_reader

# Persisted in `health-partials` and in the health table: kinds of rows.
ACCOUNT: Final = 0
"""Events that are not of playback."""
PLAYBACK: Final = 1
"""Playback events but PLAY."""
PLAY: Final = 2
START_FAILED: Final = 3
FLAGGED: Final = 4
"""Findings in published verdicts."""

EVENTS: Final = (ACCOUNT, PLAYBACK, PLAY)

Row = tuple[int, str | None, str | None, int, str | None, int, int]
"""Minute since 1970, region, error code, kind, one thing more, number, milliseconds of playing.

The one thing more is the kind of device in rows of titles, regions and plans, the user in those of devices, and in rows
of kind `FLAGGED` of regions the rule.
"""

encode_row: Final = msgspec.msgpack.Encoder().encode
_decode: Final = packed_reader(list[Row])
_ARRAY_32: Final = b"\xdd"  # MessagePack: an array whose length follows in four bytes


def encode_rows(rows: Iterable[Row]) -> bytes:
    """Rows one behind the other."""
    return b"".join(map(encode_row, rows))


def decode_rows(count: int, data: bytes) -> list[Row]:
    """So many rows.

    Raises:
        UnreadableError: they are something else.
    """
    return _decode(_ARRAY_32 + count.to_bytes(4, "big") + data) if count else []


def kept_rows(count: int, data: bytes) -> list[Row]:
    """So many rows of a table record; none where they cannot be read.

    Rows are kept as they came, unread. A stranger's among them would otherwise break the figures of their subject, and
    every view of it, for ever.
    """
    try:
        return decode_rows(count, data)
    except UnreadableError:
        return []


def taken_back(rows: Iterable[Row]) -> list[Row]:
    """Rows that undo these."""
    return [
        (minute, region, error, kind, extra, -number, -played)
        for minute, region, error, kind, extra, number, played in rows
    ]
