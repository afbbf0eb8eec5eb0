"""Subjects without an event for a day of event time are forgotten; a list by hour saves the search for them."""

from typing import Final

from pipeline.titles.state import Records, SeenSubjects, TitlesPartition, figures_key, figures_of, seen_key

KEPT_HOURS: Final = 24
"""A subject without an event for so many hours of event time is forgotten."""
MINUTES_AN_HOUR: Final = 60
_TOGETHER: Final = 2_000


def note_seen(records: Records, state: TitlesPartition, hour: int, subjects: list[str]) -> None:
    """Write down which subjects had their first event of an hour."""
    for begin in range(0, len(subjects), _TOGETHER):
        number = state.seen.get(hour, 0)
        records[seen_key(hour, number)] = SeenSubjects(subjects[begin : begin + _TOGETHER])
        state.seen[hour] = number + 1


def forget_some(records: Records, state: TitlesPartition) -> None:
    """Forget the subjects of one list of the oldest hour, if that is long ago and they had no event since."""
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
