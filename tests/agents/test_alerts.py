"""Verdicts become living alerts. Time drawings: minutes of event time; o finding, E of a higher severity.

0         10        60   61
o----o----E---------|----|      opened, (repeated), escalated, ... closed a quiet window after the last
"""

import json
import random
from types import SimpleNamespace

import pytest

from agents.alerts import AlertAgent
from pipeline.delivery.state.unit import State
from pipeline.events.instants import format_instant
from tables.alerts import AlertCodec

MINUTE = 60_000
START = 1_767_225_600_000  # 2026-01-01T00:00:00Z
POINTS = {"LOW": 1, "MEDIUM": 3, "HIGH": 5}


class Kept(State):
    """A partition's state as the delivery keeps it: every value goes through its wire form."""

    def __init__(self):
        super().__init__(0, lambda _: 0)
        self.stored = {}
        self.codec = AlertCodec()

    def load(self, key):
        data = self.stored.get(key)
        if data is None or key in self.dirty:
            return None
        value = self.cache[key] = self.codec.decode(data)
        return value

    def commit(self):
        for key in self.dirty:
            value = self.cache.get(key)
            if value is None:
                self.stored.pop(key, None)
            else:
                self.stored[key] = self.codec.encode(value)
        self.cache, self.dirty = {}, set()


class Alerts:
    """An alert agent with a state, and what it published."""

    def __init__(self):
        self.agent = AlertAgent("risk-alerts")
        self.state = Kept()
        self.outputs = []

    def fold(self, *verdicts, at_once=500):
        """What comes of verdicts, as (key, change or None for a tombstone)."""
        new = []
        records = [SimpleNamespace(value=json.dumps(verdict).encode()) for verdict in verdicts]
        for start in range(0, len(records), at_once):
            new += self.agent.handle(self.state, records[start : start + at_once])
            self.state.commit()
        self.outputs += new
        assert {output.topic for output in new} <= {"risk-alerts"}
        return [
            (output.key.decode(), None if output.value is None else json.loads(output.value)["change"])
            for output in new
        ]

    def last(self):
        """What a reader of the compacted topic has: values by key."""
        found = {}
        for output in self.outputs:
            if output.value is None:
                found.pop(output.key.decode())
            else:
                found[output.key.decode()] = json.loads(output.value)
        return found


@pytest.fixture
def alerts():
    return Alerts()


offsets = iter(range(1_000_000))


def verdict(minute, user="u1", severity="MEDIUM", rules=("account.multi_ip",), offset=None):
    offset = next(offsets) if offset is None else offset
    return {
        "verdict_id": f"{offset:032x}",
        "subject": {"type": "user", "id": user},
        "event_time": format_instant(START + round(minute * MINUTE)),
        "findings": [finding(rule, severity) for rule in rules],
        "source": {"topic": "raw-events", "partition": 0, "offset": offset},
    }


def finding(rule, severity):
    return {
        "rule_id": rule,
        "dimension": rule.partition(".")[0],
        "severity": severity,
        "regulations": [],
        "summary": f"{rule} {severity}",
        "evidence": {"more": [1]},
    }


def on_title(minute, change, severity=None, title="t1"):
    return {
        "verdict_id": f"{next(offsets):032x}",
        "subject": {"type": "content", "id": title},
        "event_time": format_instant(START + minute * MINUTE),
        "change": change,
        "findings": [] if severity is None else [finding("content.error_rate", severity)],
        "source": None,
    }


KEY = "u1/account.multi_ip"


def test_a_finding_opens_and_repetitions_are_published_once_in_ten_minutes(alerts):
    """
    minutes   0   4    9    10   15   20
              o    o    o    o    o    o
              opened         updated   updated
    """
    found = [alerts.fold(verdict(minute)) for minute in (0, 4, 9, 10, 15, 20)]
    assert found == [[(KEY, "opened")], [], [], [(KEY, "updated")], [], [(KEY, "updated")]]
    assert alerts.last()[KEY]["count"] == 6
    assert alerts.last()[KEY]["opened_at"] == "2026-01-01T00:00:00.000Z"
    assert alerts.last()[KEY]["last_at"] == "2026-01-01T00:20:00.000Z"


def test_an_escalation_is_told_at_once_and_easing_is_not(alerts):
    alerts.fold(verdict(0))
    assert alerts.fold(verdict(0.1, severity="HIGH")) == [(KEY, "escalated")]
    assert alerts.fold(verdict(0.2, severity="LOW"), verdict(0.3, severity="HIGH")) == []
    alerts.fold(verdict(12, severity="LOW"))
    assert (alerts.last()[KEY]["severity"], alerts.last()[KEY]["highest_severity"]) == ("LOW", "HIGH")


def test_each_rule_of_each_subject_has_its_own_alert(alerts):
    rules = ("account.multi_ip", "privacy.minor")
    alerts.fold(verdict(0, "a", rules=rules), verdict(0, "b", rules=rules))
    assert set(alerts.last()) == {f"{user}/{rule}" for user in "ab" for rule in rules}
    assert len({alert["alert_id"] for alert in alerts.last().values()}) == 4


def test_a_quiet_window_closes_and_another_one_deletes(alerts):
    """
    minutes     0        59       62          121          125
                o(u1)    o(u2)    o(u2)       o(u2)        o(u2)
    u1 is       opened            closed                   deleted (tombstone)
    """
    alerts.fold(verdict(0))
    assert alerts.fold(verdict(59, "u2")) == [("u2/account.multi_ip", "opened")]
    assert alerts.fold(verdict(62, "u2"))[0] == (KEY, "closed")
    assert alerts.last()[KEY]["status"] == "closed"
    assert alerts.last()[KEY]["closed_at"] == "2026-01-01T01:02:00.000Z"
    assert (KEY, None) not in alerts.fold(verdict(121, "u2"))
    assert (KEY, None) in alerts.fold(verdict(125, "u2"))
    assert KEY not in alerts.last()


def test_one_that_goes_on_is_not_closed(alerts):
    for minute in range(0, 300, 50):
        found = alerts.fold(verdict(minute))
        assert found == [(KEY, "updated" if minute else "opened")]


def test_what_comes_again_after_closing_is_another_alert(alerts):
    alerts.fold(verdict(0))
    first = alerts.last()[KEY]["alert_id"]
    assert alerts.fold(verdict(70)) == [(KEY, "closed"), (KEY, "opened")]
    assert alerts.last()[KEY]["alert_id"] != first
    assert alerts.last()[KEY]["count"] == 1
    # The look-ups of the first one neither close nor delete the second.
    assert alerts.fold(*(verdict(minute) for minute in range(100, 400, 40))) == [
        (KEY, "updated") for _ in range(100, 400, 40)
    ]


def test_a_late_verdict_closes_nothing_and_opens_for_a_whole_window(alerts):
    alerts.fold(verdict(1000, "u2"))
    assert alerts.fold(verdict(3)) == [(KEY, "opened")]
    assert alerts.fold(verdict(1011, "u2")) == [("u2/account.multi_ip", "updated")]
    assert (KEY, "closed") in alerts.fold(verdict(1072, "u2"))


def test_verdicts_on_a_title_open_and_close_its_alert_whatever_the_quiet(alerts):
    key = "t1/content.error_rate"
    assert alerts.fold(on_title(0, "opened", "MEDIUM")) == [(key, "opened")]
    assert alerts.fold(on_title(500, "escalated", "HIGH")) == [(key, "escalated")]
    assert alerts.fold(on_title(501, "eased", "MEDIUM")) == [(key, "updated")]
    closing = on_title(900, "closed")
    assert alerts.fold(closing) == [(key, "closed")]
    assert alerts.fold(closing) == []
    assert alerts.last()[key]["status"] == "closed"
    assert alerts.fold(on_title(901, "opened", "HIGH")) == [(key, "opened")]
    # Neither quiet nor the closing before it ends this one.
    assert alerts.fold(verdict(2000, "u2")) == [("u2/account.multi_ip", "opened")]
    assert alerts.last()[key]["status"] == "open"
    alerts.fold(on_title(2001, "closed"))
    assert (key, None) in alerts.fold(verdict(2065, "u2"))


def test_what_is_no_verdict_is_counted_and_left_out(alerts):
    found = alerts.agent.handle(
        alerts.state, [SimpleNamespace(value=value) for value in (None, b"", b"{}", b'{"verdict_id":1}')]
    )
    assert found == []
    assert alerts.state.cache[b"c"].refused == 4


def by_hand(verdicts):
    """The same by a look at every alert for every verdict."""
    now, alerts, counts = 0, {}, {}
    for one in verdicts:
        time = round((int(one["event_time"][11:13]) * 60 + int(one["event_time"][14:16])) * MINUTE)
        now = max(now, time)
        for key, (seen, _) in list(alerts.items()):
            # Looked at in the minute after that in which it may have been quiet for long enough.
            if now - now % MINUTE >= (seen + 60 * MINUTE) // MINUTE * MINUTE + MINUTE:
                del alerts[key]
        for found in one["findings"]:
            key = f"{one['subject']['id']}/{found['rule_id']}"
            seen = alerts.get(key)
            count = 0 if seen is None or now - seen[0] >= 60 * MINUTE else seen[1]
            alerts[key] = (now, count + 1)
            counts[key] = max(counts.get(key, 0), count + 1)
    return {key: count for key, (_, count) in alerts.items()}


@pytest.mark.parametrize("seed", range(20))
def test_counts_are_those_of_a_look_at_every_alert_however_verdicts_are_batched(seed):
    chance = random.Random(seed)
    minute, given = 0, []
    for _ in range(300):
        minute = min(1_400, minute + chance.choice([0, 0, 1, 2, 5, 30]))
        rules = chance.sample(
            ["account.multi_ip", "privacy.minor", "account.multi_region"], chance.randint(1, 2)
        )
        late = chance.choice([0, 0, 0, 7])
        given.append(verdict(max(0, minute - late), f"u{chance.randint(1, 30)}", rules=rules))
    batches = [Alerts(), Alerts()]
    batches[0].fold(*given, at_once=1)
    batches[1].fold(*given, at_once=97)
    assert batches[0].outputs == batches[1].outputs
    assert batches[0].state.stored == batches[1].state.stored
    codec = AlertCodec()
    kept = {
        key[1:].decode(): codec.decode(value)
        for key, value in batches[0].state.stored.items()
        if key[:1] == b"a"
    }
    assert {key: alert.count for key, alert in kept.items() if alert.closed_at is None} == by_hand(given)


def test_thousands_that_become_quiet_at_once_are_closed_over_several_verdicts(alerts):
    alerts.fold(*(verdict(0, f"u{number}") for number in range(1_050)))
    found = alerts.fold(verdict(70, "other"))
    assert len([change for _, change in found if change == "closed"]) < 200
    alerts.fold(*(verdict(70, "other") for _ in range(10)))
    assert {alert["status"] for key, alert in alerts.last().items() if key != "other/account.multi_ip"} == {
        "closed"
    }
    alerts.fold(*(verdict(140, "other") for _ in range(12)))
    assert set(alerts.last()) == {"other/account.multi_ip"}
    # What is kept is the one alert, the clock, and when to look again.
    assert len(alerts.state.stored) <= 4
