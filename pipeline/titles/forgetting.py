"""Deletes subjects without an event for a day of event time. Lists by hour say which subjects to look at."""

from typing import Final

from pipeline.titles.state import Records, SeenSubjects, TitlesPartition, figures_key, figures_of, seen_key

KEPT_HOURS: Final = 24
"""A subject is deleted after this many hours of event time without an event."""
MINUTES_AN_HOUR: Final = 60
_TOGETHER: Final = 2_000


def record_seen(records: Records, state: TitlesPartition, hour: int, subjects: list[str]) -> None:
    """Record which subjects had their first event of an hour."""
    for begin in range(0, len(subjects), _TOGETHER):
        number = state.seen.get(hour, 0)
        records[seen_key(hour, number)] = SeenSubjects(subjects[begin : begin + _TOGETHER])
        state.seen[hour] = number + 1


def forget_some(records: Records, state: TitlesPartition) -> None:
    """Take one list of the oldest hour, if that is long ago, and delete its subjects that had no event since."""
    if state.judged_through is None or not state.seen:
        return
    hour = min(state.seen)
    if hour > state.judged_through // MINUTES_AN_HOUR - KEPT_HOURS:
        return
    number = state.seen[hour] - 1
    key = seen_key(hour, number)
    seen = records.get(key)
    if isinstance(seen, SeenSubjects):
        for subject in seen.subjects:
            figures = figures_of(records, subject)
            if figures is not None and figures.hour == hour:
                records.discard(figures_key(subject))
                state.candidates.pop(subject, None)
    records.discard(key)
    if number:
        state.seen[hour] = number
    else:
        del state.seen[hour]
