"""Rows of the last hour of a title or a device that are in its sums already: kept apart, as they change no more.

A record that is written with every commit stays small; the rows are read when a level may change.
"""

from collections.abc import Callable, Iterable
from typing import Final

from pipeline.evaluation.device_health import DeviceHealth, count_in
from pipeline.evaluation.health_state import HealthValue, Records, Segment, segment_key, title_minute_key
from pipeline.evaluation.minutes import WINDOW_MINUTES
from pipeline.evaluation.row_log import ACCOUNT, PLAY, PLAYBACK, Row, encode_rows, kept_rows
from pipeline.evaluation.subject_health import (
    FAILED,
    MINUTE_NAMES,
    OTHER,
    TOTAL,
    SubjectHealth,
    TitleMinute,
    add,
)

_SEGMENTS: Final = 8
"""From so many segments on they are made into one."""
_NAMED: Final = 256
"""So many rows of a title may be in one segment; more are kept by minute. A popular one has thousands in an hour."""
_NAMED_OF_DEVICE: Final = 2_000
"""So many rows of a device are kept with their regions and codes; more of them without."""

_Sums = dict[tuple[int, str | None, str | None], int]
Read = Callable[[bytes], HealthValue | None]


def seal(
    records: Records, name: str, record: DeviceHealth | SubjectHealth, judged_through: int | None
) -> None:
    """Sum the fresh rows of a device or a title, and put them away; drop minutes that no window will hold again.

    Args:
        records: of the partition.
        name: of the subject: dimension, colon, id.
        record: of the subject.
        judged_through: the last minute that was judged.
    """
    first = 0 if judged_through is None else judged_through - WINDOW_MINUTES + 1
    fresh, count = record.fresh, record.count
    rows = record.settle(judged_through)
    if rows:
        _put(records, name, record, max(row[0] for row in rows), Segment(count, fresh))
    kept = []
    for number, last in record.segments:
        if last >= first:
            kept.append((number, last))
        else:
            records.discard(segment_key(name, number))
    record.segments = kept
    if isinstance(record, SubjectHealth):
        for minute in record.by_minute:
            if minute < first:
                records.discard(title_minute_key(name, minute))
        record.by_minute = [minute for minute in record.by_minute if minute >= first]
    if len(kept) > _SEGMENTS:
        _join(records, name, record, first)


def rows_of(read: Read, name: str, record: DeviceHealth | SubjectHealth) -> list[Row]:
    """The rows of playback of the last hour, and some older ones; those of the same kind may be several.

    Args:
        read: from a key to its value.
        name: of the subject.
        record: of the subject.
    """
    found: list[Row] = []
    for number, _ in record.segments:
        segment = read(segment_key(name, number))
        if isinstance(segment, Segment):
            found += kept_rows(segment.count, segment.rows)
    found += record.fresh_rows()
    return [row for row in found if row[3] != ACCOUNT]


def series_of(
    read: Read, name: str, record: DeviceHealth | SubjectHealth, first: int = 0, last: int | None = None
) -> dict[int, list[int]]:
    """By minute failed and all playback events; see `rows_of`.

    Args:
        read: see `rows_of`.
        name: see `rows_of`.
        record: see `rows_of`.
        first: minutes before it are left out.
        last: and those after it; while partitions are hours apart, there are hundreds.
    """
    if isinstance(record, SubjectHealth):
        known = _between(record.series, first, last)
        series = {minute: [numbers[FAILED], numbers[TOTAL]] for minute, numbers in known}
        rows = record.fresh_rows()
    elif record.series is not None:
        series = {minute: numbers.copy() for minute, numbers in _between(record.series, first, last)}
        rows = record.fresh_rows()
    else:
        series, rows = {}, rows_of(read, name, record)
    for minute, _, error, kind, _, number, _ in rows:
        if kind in (PLAYBACK, PLAY) and first <= minute and (last is None or minute <= last):
            count_in(series, minute, number, failed=error is not None)
    return series


def _between(series: dict[int, list[int]], first: int, last: int | None) -> Iterable[tuple[int, list[int]]]:
    if last is not None and last - first < len(series):
        return [(minute, series[minute]) for minute in range(first, last + 1) if minute in series]
    return [
        (minute, numbers)
        for minute, numbers in series.items()
        if first <= minute and (last is None or minute <= last)
    ]


def sums_of(series: dict[int, list[int]], first: int, last: int) -> tuple[int, int]:
    """Failed and all playback events of the minutes from first to last."""
    window = [numbers for minute, numbers in series.items() if first <= minute <= last]
    return sum([numbers[0] for numbers in window]), sum([numbers[1] for numbers in window])


def names_of(
    read: Read, name: str, record: DeviceHealth | SubjectHealth, first: int, last: int
) -> tuple[dict[str, int], dict[str, int]]:
    """Error codes and regions of the minutes from first to last, with their counts; some may have been taken back."""
    codes: dict[str, int] = {}
    regions: dict[str, int] = {}
    for minute, region, error, _, _, number, _ in rows_of(read, name, record):
        if first <= minute <= last:
            if region is not None:
                regions[region] = regions.get(region, 0) + number
            if error is not None:
                codes[error] = codes.get(error, 0) + number
    for minute in record.by_minute if isinstance(record, SubjectHealth) else ():
        found = read(title_minute_key(name, minute)) if first <= minute <= last else None
        if isinstance(found, TitleMinute):
            for sums, counts in ((codes, found.error_codes), (regions, found.regions)):
                for one, number in counts.items():
                    sums[one] = sums.get(one, 0) + number
    return codes, regions


def _put(
    records: Records, name: str, record: DeviceHealth | SubjectHealth, last: int, segment: Segment
) -> None:
    records[segment_key(name, record.sealed)] = segment
    record.segments = [*record.segments, (record.sealed, last)]
    record.sealed += 1


def _join(records: Records, name: str, record: DeviceHealth | SubjectHealth, first: int) -> None:
    """Make the segments into one, with their sums."""
    sums: _Sums = {}
    for minute, region, error, _, _, number, _ in rows_of(records.get, name, record):
        if minute >= first and region is not None:
            key = (minute, region, error)
            sums[key] = sums.get(key, 0) + number
    for number, _ in record.segments:
        records.discard(segment_key(name, number))
    record.segments = []
    if isinstance(record, SubjectHealth) and len(sums) > _NAMED:
        _keep_by_minute(records, name, record, sums)
        return
    if len(sums) > _NAMED_OF_DEVICE:
        sums = _without_names(sums)
    rows: list[Row] = [(*key, PLAYBACK, None, number, 0) for key, number in sums.items() if number]
    if rows:
        last = max(row[0] for row in rows)
        _put(records, name, record, last, Segment(len(rows), encode_rows(rows)))


def _keep_by_minute(records: Records, name: str, record: SubjectHealth, sums: _Sums) -> None:
    for (minute, region, error), number in sums.items():
        key = title_minute_key(name, minute)
        found = records.get(key)
        if not isinstance(found, TitleMinute):
            found = TitleMinute()
        if minute not in record.by_minute:
            record.by_minute = [*record.by_minute, minute]
        add(found.regions, region or OTHER, number, MINUTE_NAMES)
        if error is not None:
            add(found.error_codes, error, number, MINUTE_NAMES)
        records[key] = found


def _without_names(sums: _Sums) -> _Sums:
    unnamed: _Sums = {}
    for (minute, _, error), number in sums.items():
        key = (minute, OTHER, None if error is None else OTHER)
        unnamed[key] = unnamed.get(key, 0) + number
    return unnamed
