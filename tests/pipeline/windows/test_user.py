"""Who was away for 30 days of record time starts anew."""

import pytest

from pipeline.windows.privacy import PrivacyRecord
from pipeline.windows.user import IDLE_MS, LastPlace, UserState


@pytest.mark.parametrize(
    ("last", "now", "idle"),
    [
        (0, IDLE_MS, False),
        (0, IDLE_MS + 1, True),
        (IDLE_MS + 1, 0, False),
        (-1, 2 * IDLE_MS, False),
        (0, -1, False),
        (-1, -1, False),
    ],
)
def test_idle_takes_two_timestamps_more_than_30_days_apart(last, now, idle):
    assert UserState(last_record_time=last).idle(now) == idle


def test_of_an_erased_user_the_privacy_record_stays():
    privacy = PrivacyRecord().apply("delete", 5)
    known = {"stream_time": 1, "last_place": LastPlace("NL", 1), "last_record_time": 1}
    assert UserState(**known).erased() is None
    assert UserState(**known, privacy=privacy).erased() == UserState(privacy=privacy)


def test_states_are_equal_by_all_that_they_keep():
    assert UserState() == UserState()
    for name, value in (("stream_time", 1), ("last_record_time", 1), ("last_place", ("NL", 1))):
        other = UserState()
        setattr(other, name, value)
        assert other != UserState()
