"""`account.concurrent_streams`."""

import pytest

from pipeline.rules.account_concurrent_streams import ConcurrentStreams
from tests.pipeline.rules.cases import activity_of, entries_of, event


def judged(playing, plan=None, rule=None, more=()):
    entries = entries_of(*({"device_id": f"d{number}"} for number in range(playing)), *more)
    return (rule or ConcurrentStreams()).judge(activity_of(event(subscription_plan=plan), entries))


@pytest.mark.parametrize(
    ("plan", "limit"),
    [
        ("free", 1),
        ("trial", 1),
        ("basic", 1),
        ("standard", 2),
        ("premium", 4),
        ("vip", 4),
        ("family", 6),
        (None, 4),
        ("", 4),
        ("Family", 4),
        ("gold", 4),
    ],
)
def test_the_limit_of_each_plan(plan, limit):
    assert judged(limit, plan) is None
    assert judged(limit + 1, plan).severity == "MEDIUM"
    assert judged(2 * limit, plan).severity == ("MEDIUM")
    assert judged(2 * limit + 1, plan).severity == "HIGH"


def test_the_limit_is_that_of_this_events_plan():
    assert judged(2, "standard") is None
    assert judged(2, "basic").severity == "MEDIUM"


def test_a_device_that_stopped_does_not_count():
    assert judged(2, "basic", more=[{"device_id": "d0", "event_type": "STOP"}]) is None


def test_evidence():
    assert judged(2, "basic").evidence == {
        "devices_playing": 2,
        "devices": ["d0", "d1"],
        "subscription_plan": "basic",
        "limit": 1,
        "high_over": 2,
        "silent_after_seconds": 900,
        "window_start": "2026-01-31T19:15:01.000Z",
        "window_end": "2026-01-31T20:15:01.000Z",
    }


def test_devices_stand_in_evidence_as_outputs_show_them():
    activity = activity_of(
        event(subscription_plan="basic"), entries_of({"device_id": "d1"}, {"device_id": "d2"})
    )
    activity.show = lambda identifier: "x" + identifier[::-1]
    assert ConcurrentStreams().judge(activity).evidence["devices"] == ["x1d", "x2d"]


def test_a_plan_that_is_not_named_keeps_its_limit():
    rule = ConcurrentStreams(plan_limits={"premium": 5, "gold": 8})
    assert judged(5, "premium", rule) is None
    assert judged(8, "gold", rule) is None
    assert judged(2, "basic", rule).severity == "MEDIUM"
