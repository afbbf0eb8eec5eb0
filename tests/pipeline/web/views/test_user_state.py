"""What is said of a user's window."""

import pytest

from pipeline.anomaly.scoring import NotEvaluated
from pipeline.anomaly.shipped import shipped_model
from pipeline.rules.inputs import shown_as_it_is
from pipeline.rules.ruleset import built_in, read_ruleset
from pipeline.web.views.user_state import segment_of, view_of
from pipeline.windows.entry import KINDS, NEUTRAL, ROLES, START_FAILS, Entry
from pipeline.windows.score import Cause, Score
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


def anomaly(model, *, events=10, score=None, rules=None):
    """What the view says of the hour of a user."""
    entries = [
        Entry(NOON - number * MINUTE, number, 0, "NL", "192.0.2.0/24", "tv", KINDS["PLAY"])
        for number in reversed(range(events))
    ]
    state = UserState(NOON, Window(entries), score=score)
    return view_of("u", state, rules or built_in(), model, None, shown_as_it_is).anomaly


def test_a_score_is_shown_with_its_threshold_and_its_model():
    model = shipped_model()
    found = anomaly(model, score=Score(NOON, model.version, model.alert_below // 2, (Cause(0, 9.0, 7),)))
    assert (found.model, found.not_evaluated, found.is_anomaly) == (model.version, None, True)
    assert found.score > found.threshold
    assert found.time == "2023-11-14T22:13:20.000Z"
    ordinary = anomaly(model, score=Score(NOON, model.version, model.alert_below))
    assert (ordinary.is_anomaly, ordinary.score) == (False, ordinary.threshold)


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ({"events": 9}, "too_little_history"),
        ({"score": None}, "not_scored_yet"),
        ({"score": Score(NOON, "another")}, "not_scored_yet"),
        ({"score": Score(NOON, shipped_model().version)}, "failed"),
        (
            {"rules": read_ruleset({"version": "v", "rules": {"anomaly.isolation_forest": {"mode": "off"}}})},
            "rule_off",
        ),
    ],
)
def test_without_a_score_the_view_says_why_and_never_calls_the_hour_ordinary(case, reason):
    found = anomaly(shipped_model(), **case)
    assert (found.not_evaluated, found.is_anomaly, found.score) == (reason, None, None)


@pytest.mark.parametrize("reason", [NotEvaluated.NO_MODEL, NotEvaluated.REFUSED_MODEL])
def test_without_a_model_the_view_says_why(reason):
    found = anomaly(reason)
    assert (found.model, found.not_evaluated, found.is_anomaly) == (None, reason, None)
