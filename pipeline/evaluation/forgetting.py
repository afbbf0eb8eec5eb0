"""Which subjects had an event in which hour, so that those that had none for long are forgotten without a search."""

from typing import Final

from pipeline.evaluation.device_health import DeviceHealth
from pipeline.evaluation.health_state import (
    HealthPartition,
    Records,
    Seen,
    record_key,
    seen_key,
    segment_key,
    title_minute_key,
)
from pipeline.evaluation.subject_health import SubjectHealth

KEPT_HOURS: Final = 24
"""A subject without an event for so many hours of event time is forgotten."""
MINUTES_AN_HOUR: Final = 60
_TOGETHER: Final = 2_000


def note_seen(records: Records, state: HealthPartition, names_by_hour: dict[int, list[str]]) -> None:
    """Write down who had the first event of an hour."""
    for hour, names in names_by_hour.items():
        for first in range(0, len(names), _TOGETHER):
            number = state.seen.get(hour, 0)
            records[seen_key(hour, number)] = Seen(names[first : first + _TOGETHER])
            state.seen[hour] = number + 1


def forget_some(records: Records, state: HealthPartition) -> None:
    """Forget subjects of one record of the oldest hour, if that is long ago."""
    if state.judged_through is None or not state.seen:
        return
    hour = min(state.seen)
    if hour > state.judged_through // MINUTES_AN_HOUR - KEPT_HOURS:
        return
    number = state.seen[hour] - 1
    key = seen_key(hour, number)
    seen = records.get(key)
    if isinstance(seen, Seen):
        for name in seen.subjects:
            _forget(records, state, name, hour)
    records.discard(key)
    if number:
        state.seen[hour] = number
    else:
        del state.seen[hour]


def _forget(records: Records, state: HealthPartition, name: str, hour: int) -> None:
    dimension, _, identifier = name.partition(":")
    key = record_key(dimension, identifier)
    record = records.get(key)
    if not isinstance(record, SubjectHealth | DeviceHealth) or record.hour != hour:
        return
    for segment, _ in record.segments:
        records.discard(segment_key(name, segment))
    if isinstance(record, SubjectHealth):
        for minute in record.by_minute:
            records.discard(title_minute_key(name, minute))
    records.discard(key)
    state.candidates.pop(name, None)
