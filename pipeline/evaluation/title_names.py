"""Error codes and regions of a title, minute by minute: in its record while they are few, else in records of their own.

A popular title has thousands of them in an hour; one large record would be written with every commit.
"""

from pipeline.evaluation.device_health import names_of
from pipeline.evaluation.health_state import Records, title_minute_key
from pipeline.evaluation.minutes import WINDOW_MINUTES
from pipeline.evaluation.row_log import PLAYBACK, Row, encode_rows
from pipeline.evaluation.subject_health import MINUTE_NAMES, SubjectHealth, TitleMinute, add

_FEW = 128
"""So many rows may stay in the record."""


def keep_by_minute(
    records: Records, content_id: str, record: SubjectHealth, judged_through: int | None
) -> None:
    """Sum the rows with names of a title; write them into the records of their minutes if they are still many.

    Minutes that no window will hold again are dropped.
    """
    first = 0 if judged_through is None else judged_through - WINDOW_MINUTES + 1
    sums: dict[tuple[int, str | None, str | None], int] = {}
    for minute, region, error, _, _, number, _ in record.named_rows():
        if minute >= first and region is not None:
            key = (minute, region, error)
            sums[key] = sums.get(key, 0) + number
    for minute in [minute for minute in record.by_minute if minute < first]:
        records.discard(title_minute_key(content_id, minute))
    record.by_minute = [minute for minute in record.by_minute if minute >= first]
    if len(sums) <= _FEW:
        rows: list[Row] = [(*key, PLAYBACK, None, number, 0) for key, number in sums.items() if number]
        record.named = (len(rows), encode_rows(rows))
        return
    for (minute, region, error), number in sums.items():
        key_of_minute = title_minute_key(content_id, minute)
        found = records.get(key_of_minute)
        if not isinstance(found, TitleMinute):
            found = TitleMinute()
        if minute not in record.by_minute:
            record.by_minute = [*record.by_minute, minute]
        add(found.regions, region or "", number, MINUTE_NAMES)
        if error is not None:
            add(found.error_codes, error, number, MINUTE_NAMES)
        records[key_of_minute] = found
    record.named = (0, b"")


def title_names(
    records: Records, content_id: str, record: SubjectHealth, first: int, last: int
) -> tuple[dict[str, int], dict[str, int]]:
    """Error codes and regions of the minutes from first to last, with their counts."""
    codes, regions = names_of(record.named_rows(), first, last)
    for minute in record.by_minute:
        found = records.get(title_minute_key(content_id, minute)) if first <= minute <= last else None
        if isinstance(found, TitleMinute):
            for sums, counts in ((codes, found.error_codes), (regions, found.regions)):
                for name, number in counts.items():
                    sums[name] = sums.get(name, 0) + number
    return codes, regions
