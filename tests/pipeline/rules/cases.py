"""What rules look at, made from events."""

from pipeline.events.decode import EventDecoder
from pipeline.rules.inputs import Activity, OptOuts, Profile
from pipeline.windows.entry import KINDS, Entry
from pipeline.windows.privacy import NO_RECORD
from pipeline.windows.window import Window
from tests.pipeline.events.messages import encoded

NOW = 1_769_890_500_000  # the time of an event that `message` makes


def event(**changes):
    """A valid event that no rule minds, with fields changed."""
    return EventDecoder().event(encoded(**changes))


def profile_of(one):
    return Profile(one.region, one.is_eu, one.has_consent, one.user_age, one.data_shared)


def profile(**changes):
    """The legal profile of a valid event with fields changed."""
    return profile_of(event(**changes))


def opt_outs_of(one, privacy=NO_RECORD):
    """The opt-outs of an event, and the record of its user after it."""
    return OptOuts(profile_of(one), one.time, one.do_not_track, one.gpc, one.deletion_requested, privacy)


def activity_of(one, entries=(), *, last_place=None, in_order=True):
    """What a user with these entries does, as of an event."""
    stream_time = max([one.time, *(entry.time for entry in entries)])
    window = Window(sorted(entries, key=lambda entry: entry.time))
    return Activity(window, stream_time, one.region, one.time, one.plan, last_place, in_order)


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
                KINDS[one.type] + bool(one.error_code),
            )
        )
    return made


def said(finding):
    """Severity and regulations of a finding; None where there is none."""
    return None if finding is None else (finding.severity, finding.regulations)
