"""The subject rules: the minute that counts, the levels and their changes.

minute:      0 .. 59     the window of minute 59; judged when W >= end + 60 s
partition:   P           an event counts in the later of its minute and that of P - 60 s
"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.evaluator import Evaluator
from pipeline.evaluation.pseudonyms import pseudonymiser
from pipeline.evaluation.source import PlainRecord
from pipeline.evaluation.verdict import encode_verdict
from pipeline.events.instants import format_instant
from pipeline.judging.file import AllUsers
from pipeline.rules.ruleset import built_in, read_ruleset
from pipeline.titles.engine import Engine
from pipeline.titles.levels import SubjectRules, level_change
from pipeline.titles.minutes import MINUTE_MS, counted_minute
from pipeline.titles.notes import DIMENSIONS, Notes, RollUp
from pipeline.titles.state import TitlesPartition
from tests.pipeline.events.messages import encoded
from tests.pipeline.titles.units import Records

HOUR_MS = 60 * MINUTE_MS


FINE = {"event_type": "HEARTBEAT"}
BROKEN = {"event_type": "ERROR", "error_code": "E1"}


@pytest.mark.parametrize(
    ("time", "partition_time", "minute"),
    [
        pytest.param(59_999, None, 0, id="the first of its partition"),
        pytest.param(-1, None, -1, id="before 1970"),
        pytest.param(HOUR_MS, HOUR_MS, 60, id="in time"),
        pytest.param(HOUR_MS, HOUR_MS + 60_000, 60, id="a minute behind, in its own minute"),
        pytest.param(HOUR_MS - 1, HOUR_MS + 60_000, 60, id="behind the grace: in that of P - 60 s"),
        pytest.param(0, HOUR_MS, 59, id="sixty minutes behind"),
        pytest.param(-1, HOUR_MS, None, id="more than sixty minutes behind"),
        pytest.param(HOUR_MS, 0, 60, id="ahead"),
    ],
)
def test_the_minute_in_which_an_event_counts(time, partition_time, minute):
    assert counted_minute(time, partition_time) == minute


@given(st.integers(-(10**9), 10**9), st.integers(0, 10**7))
def test_what_a_partition_brings_is_never_judged_already(partition_time, behind):
    """A watermark of at most P has judged minutes up to this one."""
    minute = counted_minute(partition_time - behind, partition_time)
    judged_through = (partition_time - 60_000) // MINUTE_MS - 1
    assert minute is None or minute > judged_through


class Judged:
    """An engine with what it said: (type, change, level, minute of the end)."""

    def __init__(self, ruleset=None, **options):
        self.state = TitlesPartition()
        self.engine = Engine(SubjectRules(ruleset or built_in(), **options), Records(), self.state)
        self.verdicts = []

    def note(self, minute, times, **changes):
        """Let so many events count in a minute."""
        time = format_instant(minute * MINUTE_MS)
        record = PlainRecord("raw-events", 0, 0, -1, None, encoded(timestamp=time, **changes))
        outcome = Evaluator(built_in(), "1").judge(record, AllUsers())
        notes = Notes("raw-events")
        for _ in range(times):
            notes.observe(outcome.event, outcome, None)
        if times:
            for dimension in DIMENSIONS:
                self.engine.add(RollUp([notes]).subjects(dimension), minute, minute)
        return self

    def count(self, minute, fine, failed):
        return self.note(minute, fine, **FINE).note(minute, failed, **BROKEN)

    def until(self, minute):
        """Let the watermark close this minute and all before it; what was said of the title."""
        said = list(self.engine.advance((minute + 2) * MINUTE_MS))
        self.verdicts += said
        return [(one.change, one.risk_level, one.minute_end) for one in said if one.subject.type == "content"]


def at(minute):
    return f"1970-01-01T{minute // 60:02d}:{minute % 60:02d}:00.000Z"


def test_a_minute_is_judged_sixty_seconds_after_its_end():
    judged = Judged().count(0, 10, 10)
    assert list(judged.engine.advance(2 * MINUTE_MS - 1)) == []
    assert len(list(judged.engine.advance(2 * MINUTE_MS))) == 2
    assert list(judged.engine.advance(2 * MINUTE_MS)) == []


def test_levels_open_ease_escalate_and_close():
    judged = Judged()
    judged.count(0, 15, 5)
    assert judged.until(0) == [("opened", "HIGH", at(1))]
    judged.count(1, 15, 0)
    assert judged.until(1) == [("closed", "NONE", at(2))]
    judged.count(2, 13, 2)
    assert judged.until(2) == [("opened", "MEDIUM", at(3))]
    judged.count(3, 0, 6)
    assert judged.until(3) == [("escalated", "HIGH", at(4))]
    judged.count(4, 20, 0)
    assert judged.until(4) == [("eased", "MEDIUM", at(5))]
    # Minute after minute leaves: 8 of 56 stay, then 8 of 41, 6 of 26, 0 of 20.
    assert judged.until(60) == []
    assert judged.until(200) == [
        ("closed", "NONE", at(62)),
        ("opened", "HIGH", at(63)),
        ("closed", "NONE", at(64)),
    ]


def test_minutes_are_judged_in_order_also_where_the_watermark_jumps():
    steps, jump = Judged(), Judged()
    for judged in (steps, jump):
        judged.count(0, 0, 20).count(1, 100, 0).count(3, 0, 100).count(7, 5, 0)
    for minute in range(200):
        steps.until(minute)
    jump.until(199)
    assert [encode_verdict(one) for one in steps.verdicts] == [encode_verdict(one) for one in jump.verdicts]
    assert len(jump.verdicts) == 8
    ends = [(one.minute_end, one.subject.type) for one in jump.verdicts]
    assert ends == sorted(ends)


def test_the_window_holds_sixty_minutes():
    judged = Judged().count(0, 0, 10).count(59, 0, 10)
    assert judged.until(58) == []
    assert judged.until(59) == [("opened", "HIGH", at(60))]
    assert judged.until(60) == [("closed", "NONE", at(61))]


def test_what_comes_for_a_judged_minute_is_not_counted():
    judged = Judged().count(0, 0, 20)
    judged.until(5)
    judged.count(5, 1, 0)
    assert judged.state.counts["too_late"] == 1
    judged.count(6, 1, 0)
    assert judged.state.counts["too_late"] == 1


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [
        (None, None, None),
        ("HIGH", "HIGH", None),
        (None, "MEDIUM", "opened"),
        (None, "HIGH", "opened"),
        ("MEDIUM", "HIGH", "escalated"),
        ("HIGH", "MEDIUM", "eased"),
        ("MEDIUM", None, "closed"),
    ],
)
def test_a_change_of_level(before, now, change):
    assert level_change(before, now) == change


def test_the_bytes_of_an_opened_and_a_closed_verdict():
    judged = Judged().count(0, 10, 10)
    judged.until(100)
    content, device, closed, _ = judged.verdicts
    assert encode_verdict(content).decode() == (
        '{"schema":"risk-verdict/1","verdict_id":"' + content.verdict_id + '",'
        '"subject":{"type":"content","id":"title-1"},"event_id":null,"user_id":null,"device_id":null,'
        '"content_id":"title-1","region":null,"event_type":null,"event_time":"1970-01-01T00:01:00.000Z",'
        '"change":"opened","minute_end":"1970-01-01T00:01:00.000Z","risk_level":"HIGH","score":5,'
        '"dimensions":{"content":"HIGH"},"findings":[{"rule_id":"content.error_rate","dimension":"content",'
        '"severity":"HIGH","regulations":[],'
        '"summary":"10 of 20 playback events of this content failed within an hour.",'
        '"evidence":{"failed":10,"total":20,"rate":0.5,"wilson_low":0.2993,"wilson_high":0.7007,'
        '"top_error_codes":{"E1":10},"top_regions":{"NL":10},"high_over":0.2,"high_min_events":20,'
        '"medium_over":0.1,"medium_min_events":50,"window_start":"1969-12-31T23:01:00.000Z",'
        '"window_end":"1970-01-01T00:01:00.000Z"}}],"regulations":[],"subscription_plan":null,'
        '"plan_adjustment":0,"late":false,"source":null,"ruleset_version":"built-in/1","model_version":null}'
    )
    shown = json.loads(encode_verdict(closed))
    assert (shown["change"], shown["findings"], shown["score"]) == ("closed", [], 0)
    assert (shown["risk_level"], shown["dimensions"], shown["regulations"]) == ("NONE", {}, [])
    shown = json.loads(encode_verdict(device))
    assert (shown["device_id"], shown["content_id"]) == ("device-1", None)
    assert len({one.verdict_id for one in judged.verdicts}) == 4


def test_an_error_without_a_code_counts_as_error():
    judged = Judged()
    for code in (None, ""):
        judged.note(0, 10, event_type="ERROR", error_code=code)
    judged.until(0)
    assert judged.verdicts[0].findings[0].evidence["top_error_codes"] == {"ERROR": 20}


def test_devices_have_pseudonyms_and_titles_have_not():
    show = pseudonymiser(b"key")
    judged = Judged(show=show).count(0, 0, 20)
    judged.until(0)
    assert [one.subject.id for one in judged.verdicts] == ["title-1", show("device-1")]
    assert judged.verdicts[1].device_id == show("device-1")


def test_rules_that_are_off_or_in_shadow_say_nothing():
    ruleset = read_ruleset(
        {
            "version": "1",
            "rules": {"content.error_rate": {"mode": "off"}, "device.error_rate": {"mode": "shadow"}},
        }
    )
    judged = Judged(ruleset=ruleset).count(0, 0, 20)
    judged.until(200)
    assert judged.verdicts == []
