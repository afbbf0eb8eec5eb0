"""Rows: the counts of one subject in one minute, as six whole numbers in 36 bytes.

The rows of a subject are concatenated bytes. Adding a row appends it. Rows of the same minute are summed when there are
many, or when a view or a judgement reads them.
"""

from struct import Struct
from typing import Final

import numpy as np

# The positions in a row, after the minute. They are persisted, in `health-partials` and in the titles table.
EVENTS: Final = 0
"""All events. An event without playback, such as LOGIN, counts only here. In the rows of a rule: findings."""
TOTAL: Final = 1
"""Playback events."""
FAILED: Final = 2
PLAYS: Final = 3
FAILED_STARTS: Final = 4
WATCHED: Final = 5
"""Milliseconds of playing."""

NUMBERS: Final = 6

_ROW: Final = Struct("<q5IQ")
_AS_ARRAY: Final = np.dtype([("minute", "<i8"), ("counts", "<u4", (5,)), ("watched", "<u8")])

ROW_BYTES: Final = _ROW.size
pack_row: Final = _ROW.pack
"""Makes a row of a minute (whole minutes since 1970) and its six numbers."""
unpack_rows: Final = _ROW.iter_unpack
"""Iterates over rows: a tuple of the minute and its six numbers for each."""


def sum_rows(rows: bytes) -> bytes:
    """The same counts with one row per minute, in the order of minutes."""
    found = np.frombuffer(rows, _AS_ARRAY)
    found = found[np.argsort(found["minute"], kind="stable")]
    minutes, starts = np.unique(found["minute"], return_index=True)
    sums = np.zeros(len(minutes), _AS_ARRAY)
    sums["minute"] = minutes
    if len(minutes):
        sums["counts"] = np.add.reduceat(found["counts"], starts, axis=0)
        sums["watched"] = np.add.reduceat(found["watched"], starts)
    return sums.tobytes()


def by_minute(rows: bytes) -> dict[int, list[int]]:
    """The six numbers of each minute, in the order of minutes."""
    return {minute: numbers for minute, *numbers in unpack_rows(sum_rows(rows))}


def rows_after(rows: bytes, minute: int) -> bytes:
    """The rows of later minutes."""
    found = np.frombuffer(rows, _AS_ARRAY)
    return found[found["minute"] > minute].tobytes()
