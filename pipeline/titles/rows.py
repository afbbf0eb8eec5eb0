"""A row: what happened to one subject in one minute, as six whole numbers in 36 bytes.

Rows of a subject stand one behind the other as bytes. To add one is to append it; they are summed when they are many,
or when somebody asks.
"""

from struct import Struct
from typing import Final

import numpy as np

# Persisted in `health-partials` and in the titles table. Places in a row, behind the minute.
EVENTS: Final = 0
"""All events; those of no playback, such as LOGIN, count here alone. Findings, in the rows of a rule."""
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
"""From the minute (whole minutes since 1970) and its six numbers to a row."""
unpack_rows: Final = _ROW.iter_unpack
"""From rows to tuples of the minute and its six numbers."""


def sum_rows(rows: bytes) -> bytes:
    """The same with one row for each minute, in their order."""
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
    """The six numbers of each minute."""
    return {minute: numbers for minute, *numbers in unpack_rows(sum_rows(rows))}


def rows_after(rows: bytes, minute: int) -> bytes:
    """Those of later minutes."""
    found = np.frombuffer(rows, _AS_ARRAY)
    return found[found["minute"] > minute].tobytes()
