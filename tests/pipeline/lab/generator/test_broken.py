"""Each way to break an event breaks it, for the reason it names."""

import json
import random

import pytest

from pipeline.events.decode import EventDecoder
from pipeline.events.invalid import InvalidMessageError
from pipeline.lab.generator.broken import NOT_ON_A_LINE, break_event, kinds

ARRIVAL_MS = 1_772_366_400_000
EVERYWHERE = kinds(with_topic=True, stamped_on_arrival=True)


def valid_event() -> dict:
    return {
        "event_id": "e-1",
        "user_id": "zoë-7",
        "device_id": "tv-1",
        "content_id": "film-1",
        "event_type": "play",
        "timestamp": "2026-03-01T12:00:00.000Z",
        "region": "NL",
        "is_eu": True,
        "has_consent": True,
        "ip_address": "10.0.0.1",
    }


@pytest.mark.parametrize("kind", EVERYWHERE)
@pytest.mark.parametrize("seed", range(6))
def test_it_fails_for_its_reason_and_says_whether_an_opt_out_is_lost(kind, seed):
    value, fault = break_event(kind, valid_event(), ARRIVAL_MS, random.Random(seed))
    assert (fault.fate, fault.kind) == ("failed", kind)
    decoder = EventDecoder()
    if fault.reason == "future_timestamp":
        assert decoder.event(value).time > ARRIVAL_MS + 5 * 60_000
        return
    with pytest.raises(InvalidMessageError) as caught:
        decoder.event(value)
    assert caught.value.reason == fault.reason
    lost = any(error.type == "opt_out_not_recorded" for error in caught.value.errors)
    assert lost == fault.carries_opt_out


def test_an_event_that_is_not_broken_is_valid():
    # Else the test above would prove nothing.
    assert EventDecoder().event(json.dumps(valid_event()).encode()).event_id == "e-1"


def test_lines_hold_no_line_breaks():
    for kind in kinds(with_topic=False, stamped_on_arrival=False):
        value, _ = break_event(kind, valid_event(), ARRIVAL_MS, random.Random(1))
        assert value is not None
        assert b"\n" not in value
        assert not value.endswith(b"\r")


def test_what_needs_a_topic_or_a_timestamp_is_left_out_of_lines():
    assert NOT_ON_A_LINE.isdisjoint(kinds(with_topic=False, stamped_on_arrival=False))
    assert set(EVERYWHERE) >= NOT_ON_A_LINE


def test_where_the_broker_stamps_only_far_futures_are_certain():
    # A record may be stamped hours after its event was made up.
    stamped_elsewhere = kinds(with_topic=True, stamped_on_arrival=False)
    assert [kind for kind in stamped_elsewhere if kind.startswith("future")] == ["future_year"]


def test_some_broken_events_carry_an_opt_out():
    rng = random.Random(1)
    faults = [break_event(kind, valid_event(), ARRIVAL_MS, rng)[1] for kind in EVERYWHERE * 3]
    assert 5 < sum(fault.carries_opt_out for fault in faults) < len(faults) / 2
