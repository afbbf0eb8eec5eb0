"""The stream: exactly as many records as asked for, in order of arrival, the same ones for the same plan."""

from collections import Counter
from itertools import islice

import pytest

from pipeline.errors import UsageError
from pipeline.events.decode import EventDecoder
from pipeline.events.instants import parse_instant
from pipeline.lab.generator.casting import capacity
from pipeline.lab.generator.personas import CAST, PERSONAS
from pipeline.lab.generator.schedule import LiveSchedule
from pipeline.lab.generator.stream import EventStream, Plan
from pipeline.lab.generator.world import DIURNAL, HOUR_MS, MINUTE_MS, REPORTED_REGIONS, AddressBook
from tests.pipeline.lab.generator.conftest import START_MS, past_plan, simulate


def essence(records):
    return [(r.arrival_ms, r.event_ms, r.value, r.who.key, r.mark, r.fault) for r in records]


def events_of(records):
    return [record for record in records if not record.is_request]


def test_the_same_plan_gives_the_same_records():
    assert essence(simulate(3_000, requests=9)) == essence(simulate(3_000, requests=9))


def test_another_seed_gives_other_records():
    one, other = simulate(500), simulate(500, seed=2)
    assert {r.value for r in one}.isdisjoint({r.value for r in other if r.value and b"event_id" in r.value})


def test_another_start_gives_other_event_ids():
    # Two demo runs within the hour must not look like each other's duplicates.
    decoder = EventDecoder()

    def ids(plan):
        return {decoder.event(r.value).event_id for r in EventStream(plan) if r.fault is None}

    plan = past_plan(300)
    shifted = Plan(plan.seed, LiveSchedule(START_MS + 1, 100, HOUR_MS, 300), plan.users)
    assert ids(plan).isdisjoint(ids(shifted))


@pytest.mark.parametrize(
    ("events", "users", "hours"),
    [(1, 60, 2), (2, 8, 0.02), (97, 60, 0.1), (1_000, 60, 24), (5_000, 8, 24 * 30), (4_000, 4_000, 0.02)],
)
def test_exactly_as_many_as_asked_for(events, users, hours):
    records = simulate(events, users=users, hours=hours)
    assert len(records) == events
    assert all(START_MS <= r.arrival_ms < START_MS + hours * HOUR_MS for r in records)


@pytest.mark.slow
@pytest.mark.essential
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("users", "hours"), [(8, 100), (61, 12), (1_000, 1), (300, 48), (2_000, 0.02), (900, 0.3)]
)
def test_an_audience_at_its_capacity_still_sends_everything(seed, users, hours):
    events = capacity(users, hours)
    assert len(simulate(events, users=users, hours=hours, seed=seed)) == events


def test_an_audience_that_is_too_small_says_so():
    with pytest.raises(UsageError, match=r"8 users sent only .* of 20000 events .* give more --users"):
        simulate(20_000, users=8, hours=2)


def test_records_come_in_order_of_arrival_and_no_event_precedes_itself(afternoon):
    arrivals = [record.arrival_ms for record in afternoon]
    assert arrivals == sorted(arrivals)
    assert all(record.event_ms <= record.arrival_ms for record in afternoon)


def test_what_is_written_is_the_event_time_that_is_known(afternoon):
    decoder = EventDecoder()
    for record in events_of(afternoon):
        if record.fault is None or record.fault.fate in ("late", "duplicate"):
            # A client without fractions of a second cuts them off.
            assert 0 <= record.event_ms - decoder.event(record.value).time < 1000


@pytest.mark.slow
@pytest.mark.essential
def test_faults_have_about_their_shares():
    records = simulate(30_000, broken_share=0.02, late_share=0.01, duplicate_share=0.03)
    fates = Counter("judged" if r.fault is None else r.fault.fate for r in records)
    # One in ten repetitions has another content, and fails.
    assert fates["failed"] / 30_000 == pytest.approx(0.02 + 0.003, rel=0.15)
    assert fates["late"] / 30_000 == pytest.approx(0.01, rel=0.2)
    assert fates["duplicate"] / 30_000 == pytest.approx(0.027, rel=0.15)


def test_without_shares_every_record_is_valid():
    records = simulate(2_000, broken_share=0, late_share=0, duplicate_share=0)
    assert all(record.fault is None for record in records)


def test_late_events_are_more_than_an_hour_behind_their_user():
    newest: dict[str, int] = {}
    late = 0
    decoder = EventDecoder()
    for record in events_of(simulate(10_000, late_share=0.03)):
        if record.fault is not None and record.fault.fate in ("failed", "duplicate"):
            continue
        event = decoder.event(record.value)
        is_late = event.time <= newest.get(event.user_id, 0) - HOUR_MS
        assert is_late == (record.fault is not None)
        late += is_late
        newest[event.user_id] = max(newest.get(event.user_id, 0), event.time)
    assert late > 200


def test_some_events_arrive_out_of_order():
    decoder = EventDecoder()
    newest: dict[str, int] = {}
    behind = 0
    for record in events_of(simulate(10_000, late_share=0, broken_share=0, duplicate_share=0)):
        event = decoder.event(record.value)
        behind += event.time < newest.get(event.user_id, 0)
        newest[event.user_id] = max(newest.get(event.user_id, 0), event.time)
    assert 20 < behind < 1_000


def test_every_persona_is_met_in_20_000_events(afternoon):
    met = Counter(record.who.persona.kind for record in events_of(afternoon))
    expected = {kind for kind in PERSONAS if not kind.startswith("request_")}
    assert expected <= set(met)
    assert min(met[kind] for kind in expected) >= 8


def test_every_kind_of_request_is_met(afternoon):
    requests = [record for record in afternoon if record.is_request]
    assert len(requests) == 40
    assert {record.who.persona.kind for record in requests} == {
        kind for kind in PERSONAS if kind.startswith("request_")
    }


def test_without_risk_there_are_no_stories():
    kinds = {record.who.persona.kind for record in simulate(5_000, risk_share=0)}
    assert kinds == {"viewer", "household", "mobile"}


def test_the_first_minute_of_a_demo_meets_most_stories():
    now_ms = START_MS
    stream = EventStream(Plan(1, LiveSchedule(now_ms, rate=50), users=30_000))
    first_minute = list(islice(stream, 3_000))
    assert set(CAST) - {record.who.persona.kind for record in first_minute} <= {"binge", "rough_device"}
    # It has caught up with the clock, and has not overtaken it.
    assert now_ms + 30_000 < first_minute[-1].arrival_ms <= now_ms + 61_000


@pytest.mark.slow
@pytest.mark.essential
def test_a_live_run_keeps_its_rate_and_never_overtakes_the_clock():
    schedule = LiveSchedule(START_MS, rate=100)
    clocks = [
        schedule.clock_ms(record.arrival_ms)
        for record in islice(EventStream(Plan(3, schedule, users=60_000)), 100 * 240)
    ]
    per_minute = Counter(int((clock - START_MS) // MINUTE_MS) for clock in clocks)
    assert all(per_minute[minute] == pytest.approx(6_000, rel=0.1) for minute in range(3))


def test_event_ids_are_unique(afternoon):
    decoder = EventDecoder()
    ids = [decoder.event(r.value).event_id for r in events_of(afternoon) if r.fault is None]
    assert len(set(ids)) == len(ids)


def test_the_wire_shows_all_it_should(afternoon):
    """Aliases, lower case, other types, IPv6, other scripts, offsets, metadata, unknown members."""
    values = [r.value for r in events_of(afternoon) if r.fault is None]
    text = b"\n".join(values)
    for needle in (
        b'"stream_start"',
        b'"heartbeat"',
        b'"Heartbeat"',
        b'"AD_IMPRESSION"',
        b"2001:db8:",
        b"::ffff:10.",
        "zoë".encode(),
        "利用者".encode(),
        b"+05:30",
        b"-08:00",
        b'"extra_metadata"',
        b'"sdk"',
        b'"region":"UK"',
        b'"region":"nl"',
        b'"error_code"',
        b'"gpc":true',
        b'"deletion_requested":true',
    ):
        assert needle in text, needle


@pytest.mark.slow
@pytest.mark.essential
def test_people_watch_in_the_evening_of_their_region():
    # No risk: stories come at any time.
    weights = {"day": 0, "night": 0}
    for record in simulate(20_000, hours=24, users=3_000, risk_share=0):
        hour = record.who.user.home.local_hour(record.event_ms)
        if 19 <= hour < 23:
            weights["day"] += 1
        elif 2 <= hour < 6:
            weights["night"] += 1
    assert weights["day"] > 2 * weights["night"]


def test_the_diurnal_curve_and_the_places_are_sound():
    assert len(DIURNAL) == 24
    assert max(DIURNAL) == 1.0
    assert len({place.code for place in REPORTED_REGIONS}) == len(REPORTED_REGIONS)


def test_foreign_networks_do_not_repeat():
    book = AddressBook()
    addresses = [book.fresh() for _ in range(50_000)]
    assert len(set(addresses)) == len(addresses)


def test_instants_of_requests_are_their_event_times(afternoon):
    for record in afternoon:
        if record.is_request and record.fault is None:
            assert b'"schema":"privacy-request/1"' in record.value
            stamp = record.value.split(b'"timestamp":"')[1].split(b'"')[0].decode()
            assert parse_instant(stamp) == record.event_ms
