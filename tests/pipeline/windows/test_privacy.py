"""The laws of the privacy record."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.events.decode import EventDecoder
from pipeline.windows.privacy import NO_RECORD, Mark, PrivacyRecord
from tests.pipeline.events.messages import encoded

TIMES = st.integers(0, 12)
STEPS = st.lists(st.tuples(st.sampled_from(["signalled", "withdrawn"]), TIMES), max_size=12)


def after(steps, mark=None):
    mark = mark or Mark()
    for step, at in steps:
        mark = getattr(mark, step)(at)
    return mark


@given(STEPS)
def test_a_mark_is_what_its_signals_and_its_newest_withdrawal_leave(steps):
    mark = after(steps)
    withdrawals = [at for step, at in steps if step == "withdrawn"]
    assert mark.until == max(withdrawals, default=None)
    assert (mark.since is None) == (mark.last is None)
    if mark.since is not None:
        assert mark.until is None or mark.since > mark.until
        assert mark.since <= mark.last


@given(st.lists(TIMES, min_size=1), st.randoms(use_true_random=False))
def test_signals_come_in_any_order(times, shuffler):
    shuffled = list(times)
    shuffler.shuffle(shuffled)
    mark = after(("signalled", at) for at in shuffled)
    assert mark == Mark(min(times), max(times), None)


@given(STEPS, st.tuples(st.sampled_from(["signalled", "withdrawn"]), TIMES))
def test_what_is_repeated_at_once_changes_nothing(steps, step):
    once = after([*steps, step])
    assert after([step], once) == once


@given(STEPS, TIMES)
def test_a_repeated_signal_can_only_move_since_back_to_a_time_after_the_withdrawal(steps, at):
    before, now = after(steps), after([*steps, ("signalled", at)])
    if now.since != before.since:
        assert before.since is None or now.since < before.since
        assert now.since == at
        assert now.until is None or at > now.until


@given(STEPS, TIMES)
def test_a_withdrawal_never_touches_what_was_signalled_after_it(steps, at):
    before, now = after(steps), after([*steps, ("withdrawn", at)])
    if before.last is not None and before.last > at:
        assert now.last == before.last
        assert now.in_force(before.last + 1)
    elif before.until is None or at > before.until:
        assert now == Mark(None, None, at)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param([("signalled", 5)], Mark(5, 5), id="a signal"),
        pytest.param([("signalled", 5), ("signalled", 3)], Mark(3, 5), id="an earlier one comes later"),
        pytest.param([("withdrawn", 5)], Mark(None, None, 5), id="withdrawn without a signal"),
        pytest.param([("withdrawn", 5), ("signalled", 5)], Mark(None, None, 5), id="signal at until"),
        pytest.param([("withdrawn", 5), ("signalled", 6)], Mark(6, 6, 5), id="signal after until"),
        pytest.param([("signalled", 5), ("withdrawn", 5)], Mark(None, None, 5), id="withdrawn at last"),
        pytest.param([("signalled", 5), ("withdrawn", 4)], Mark(5, 5, 4), id="withdrawn before since"),
        pytest.param(
            [("signalled", 2), ("signalled", 8), ("withdrawn", 5)], Mark(8, 8, 5), id="withdrawn between"
        ),
        pytest.param(
            [("signalled", 5), ("signalled", 8), ("withdrawn", 5)], Mark(8, 8, 5), id="withdrawn at since"
        ),
        pytest.param(
            [("signalled", 6), ("signalled", 8), ("withdrawn", 5)], Mark(6, 8, 5), id="withdrawn before both"
        ),
        pytest.param(
            [("withdrawn", 5), ("withdrawn", 3), ("signalled", 4)], Mark(None, None, 5), id="older withdrawal"
        ),
    ],
)
def test_a_mark(steps, expected):
    assert after(steps) == expected


def test_a_mark_is_in_force_for_times_later_than_since():
    mark = Mark(5, 5)
    assert [mark.in_force(at) for at in (4, 5, 6)] == [False, False, True]
    assert not Mark(None, None, 3).in_force(9)


def event(**changes):
    return EventDecoder().event(encoded(**changes))


@pytest.mark.parametrize(
    ("flags", "marks"),
    [
        ({}, ()),
        ({"do_not_track": True}, ("opt_out",)),
        ({"gpc": True}, ("opt_out",)),
        ({"deletion_requested": True}, ("deletion",)),
        ({"gpc": True, "deletion_requested": True}, ("opt_out", "deletion")),
        ({"gpc": False, "do_not_track": None}, ()),
    ],
)
def test_the_signals_of_an_event(flags, marks):
    one = event(**flags)
    record = NO_RECORD.observe(one)
    for name in ("opt_out", "deletion"):
        assert getattr(record, name) == (Mark(one.time, one.time) if name in marks else Mark())


@given(STEPS, TIMES)
def test_the_absence_of_a_signal_never_withdraws(steps, at):
    record = PrivacyRecord(opt_out=after(steps))
    assert record.observe(event()) == record
    assert record.apply("consent_given", at).opt_out == record.opt_out


@pytest.mark.parametrize(
    ("kind", "changed", "expected"),
    [
        ("opt_out", "opt_out", Mark(1, 9)),
        ("opt_in", "opt_out", Mark(None, None, 9)),
        ("delete", "deletion", Mark(1, 9)),
        ("reinstate", "deletion", Mark(None, None, 9)),
        ("consent_given", "consent_given", 9),
        ("consent_withdrawn", "consent_withdrawn", 9),
    ],
)
def test_each_request_changes_one_thing(kind, changed, expected):
    before = PrivacyRecord(Mark(1, 1), Mark(1, 1), 1, 1)
    now = before.apply(kind, 9)
    for name in PrivacyRecord.__slots__:
        assert getattr(now, name) == (expected if name == changed else getattr(before, name))


def test_consents_keep_the_newest():
    record = NO_RECORD.apply("consent_given", 5).apply("consent_given", 3)
    assert record.consent_given == 5


def test_a_kind_that_the_contract_does_not_name_is_an_error():
    with pytest.raises(ValueError, match="forget_me"):
        NO_RECORD.apply("forget_me", 1)
