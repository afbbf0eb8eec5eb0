"""The load is the same for every size of the audience, and judged as it is meant to be."""

from collections import Counter

import pytest

from pipeline.assembly import build_evaluator
from pipeline.evaluation.batch import PartitionState, evaluate_batch
from pipeline.evaluation.source import PlainRecord
from pipeline.events.decode import EventDecoder
from pipeline.events.invalid import InvalidMessageError
from pipeline.lab.benchmark.load import Load, number_of
from pipeline.lab.benchmark.yardstick import PartitionUsers
from pipeline.settings.schema import load_settings

NOW_MS = 1_795_000_000_000
EVENTS = 20_000


def judged(load):
    """Counts and users after judging a load as one partition."""
    users, state = PartitionUsers(), PartitionState()
    records = [
        PlainRecord("raw-events", 0, offset, NOW_MS, key, value) for offset, (key, value) in enumerate(load)
    ]
    evaluate_batch(build_evaluator(load_settings(environ={})), records, users, state, "raw-events")
    return state.counts, users


def test_same_options_give_the_same_bytes():
    load = Load(EVENTS, 300, NOW_MS)
    assert list(load) == list(load)
    assert len(list(load)) == EVENTS


@pytest.mark.slow
@pytest.mark.essential
@pytest.mark.parametrize(
    ("users", "least", "most"), [(100, 0.02, 0.15), (1_000, 0.05, 0.10), (50_000, 0.04, 0.10)]
)
def test_five_to_ten_in_a_hundred_are_flagged_and_few_are_broken(users, least, most):
    counts, _ = judged(Load(EVENTS, users, NOW_MS))
    assert least < counts["flagged"] / EVENTS < most
    assert counts["failed"] == EVENTS // 500
    assert counts["duplicate"] == EVENTS // 200
    assert counts["judged"] == EVENTS - counts["failed"] - counts["duplicate"]
    assert {"failed.not_json", "failed.schema_violation"} <= counts.keys()


@pytest.mark.slow
@pytest.mark.essential
def test_a_thousand_users_make_every_kind_of_rule_fire():
    counts, _ = judged(Load(60_000, 1_000, NOW_MS))
    fired = {name.removeprefix("rule.") for name in counts if name.startswith("rule.")}
    assert {
        "privacy.consent_missing",
        "privacy.sharing_without_consent",
        "retention.opt_out_ignored",
        "account.concurrent_streams",
        "account.impossible_travel",
        "account.login_failures",
        "account.multi_ip",
    } <= fired
    assert counts["late"] > 0


def test_a_user_sends_sixty_events_an_hour_of_event_time():
    _, users = judged(Load(12_000, 100, NOW_MS))
    sizes = [len(state.window.entries) for state in users.values()]
    assert len(sizes) == 100
    assert 58 < sum(sizes) / len(sizes) < 61


def test_an_audience_as_large_as_the_load_sends_one_event_each():
    keys = Counter(key for key, _ in Load(1_000, 1_000, NOW_MS))
    # One record in two hundred repeats the one before it.
    assert len(keys) == 995
    assert max(keys.values()) == 2


def test_no_event_is_ahead_of_the_end():
    decode, times = EventDecoder().event, []
    for _, value in Load(5_000, 50, NOW_MS):
        try:
            times.append(decode(value).time)
        except InvalidMessageError:
            continue
    assert max(times) <= NOW_MS
    assert max(times) > NOW_MS - 10_000


def test_an_event_id_tells_the_number_of_its_record():
    decode = EventDecoder().event
    for number, (_, value) in enumerate(Load(70, 10, NOW_MS, tag="run-17")):
        if number != 11:  # broken
            assert number_of(decode(value).event_id) == number
