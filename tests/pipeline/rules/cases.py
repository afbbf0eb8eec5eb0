"""Cases for rules: an event, and what is known of its user after it."""

from pipeline.events.decode import EventDecoder
from pipeline.rules.case import Case, event_laws
from pipeline.windows.privacy import NO_RECORD
from pipeline.windows.window import NEUTRAL, ROLES, Entry, Window
from tests.pipeline.events.messages import encoded

NOW = 1_769_890_500_000  # the time of an event that `message` makes


def event(**changes):
    """A valid event that no rule minds, with fields changed."""
    return EventDecoder().event(encoded(**changes))


def profile(**changes):
    """A case for the rules that look at the event alone."""
    return case_of(event(**changes))


def case_of(one, entries=(), *, privacy=NO_RECORD, last_place=None, in_order=True):
    stream_time = max([one.time, *(entry.time for entry in entries)])
    window = Window(sorted(entries, key=lambda entry: entry.time))
    return Case(one, event_laws(one.region, one.is_eu), window, stream_time, privacy, last_place, in_order)


def entries_of(*changes):
    """Entries of a window, one for each dictionary of a message's changes, a second apart."""
    made = []
    for number, fields in enumerate(changes):
        one = event(**fields)
        made.append(
            Entry(
                NOW + 1000 * number if "timestamp" not in fields else one.time,
                number,
                0,
                one.region,
                one.network,
                one.device_id,
                ROLES.get(one.type, NEUTRAL),
            )
        )
    return made


def said(finding):
    """Severity and regulations of a finding; None where there is none."""
    return None if finding is None else (finding.severity, finding.regulations)
