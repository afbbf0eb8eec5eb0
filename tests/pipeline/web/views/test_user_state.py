"""What is said of a user's window."""

import pytest

from pipeline.rules.inputs import shown_as_it_is
from pipeline.rules.ruleset import built_in
from pipeline.web.views.user_state import segment_of
from pipeline.windows.entry import KINDS, NEUTRAL, ROLES, START_FAILS, Entry
from pipeline.windows.user import UserState
from pipeline.windows.window import Window

NOON = 1_700_000_000_000
MINUTE = 60_000


def segment(*roles):
    """Of a user with an event a minute up to noon."""
    first = NOON - (len(roles) - 1) * MINUTE
    entries = [
        Entry(first + number * MINUTE, number, 0, "NL", "192.0.2.0/24", "tv", ROLES.index(role))
        for number, role in enumerate(roles)
    ]
    return segment_of("somebody", UserState(NOON, Window(entries)), NOON, built_in(), shown_as_it_is)


@pytest.mark.parametrize("kind", ["PLAY", "RESUME", "HEARTBEAT", "SEEK", "BUFFERING"])
def test_whoever_plays_is_a_viewer_by_whichever_sign(kind):
    role = ROLES[KINDS[kind]]
    found = segment(role, NEUTRAL, role)
    assert (found.segment, found.why) == ("viewer", "2 signs of playing within the hour.")
    assert segment(*[role] * 45).segment == "heavy_viewer"


def test_a_start_that_failed_is_a_sign_of_playing_as_for_streams():
    found = segment(START_FAILS)
    assert (found.segment, found.playing) == ("viewer", 1)


@pytest.mark.parametrize("kind", ["PAUSE", "STOP", "LOGOUT", "ERROR"])
def test_whoever_does_not_play_only_browses(kind):
    assert segment(ROLES[KINDS[kind]], NEUTRAL).segment == "browser"
