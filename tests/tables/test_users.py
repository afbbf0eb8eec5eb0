"""The wire form of a user: it comes back as it went, the same state gives the same bytes, and it is small."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.windows.entry import ROLES, Entry
from pipeline.windows.privacy import Mark, PrivacyRecord
from pipeline.windows.score import Cause, Score
from pipeline.windows.user import LastEvent, LastPlace, UserState
from pipeline.windows.window import MAX_ENTRIES, WINDOW_MS, Window
from tables.forms import WireError
from tables.users import decode_user, decode_without_window, encode_user, last_record_time_of
from tests.oracle.streams import streams
from tests.pipeline.evaluation.records import Judge

TIMES = st.integers(-62_135_596_800_000, 253_402_300_799_999)
MAYBE = st.none() | TIMES
MARKS = st.builds(Mark, MAYBE, MAYBE, MAYBE)
RECORDS = st.builds(PrivacyRecord, MARKS, MARKS, MAYBE, MAYBE)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3)
HASHES = st.integers(0, 2**64 - 1)
LAST_EVENTS = st.builds(
    LastEvent,
    *[st.booleans()] * 5,
    st.none() | st.integers(0, 150),
    st.sampled_from(["none", "full"]),
    st.none() | st.sampled_from(["basic", "family"]),
    st.none() | st.builds(LastPlace, st.sampled_from(["NL", "US-CA"]), TIMES),
)

CAUSES = st.builds(Cause, st.integers(0, 29), st.floats(0, 10**6), st.integers(1, 2**40))
SCORES = st.builds(
    Score, TIMES, st.text("0123456789abcdef"), st.integers(-1, 2**40), st.lists(CAUSES, max_size=3).map(tuple)
)


@st.composite
def states(draw):
    """States as the evaluation may leave them."""
    privacy = draw(RECORDS)
    if draw(st.booleans()):
        return UserState(privacy=privacy)
    stream_time = draw(TIMES)
    entry = st.builds(
        Entry,
        time=st.integers(stream_time - WINDOW_MS + 1, stream_time),
        identity=HASHES,
        content=HASHES,
        region=st.sampled_from(["NL", "US-CA", "EU"]),
        network=NAMES,
        device=NAMES,
        kind=st.integers(0, len(ROLES) - 1),
        title=st.integers(0, 2**32 - 1),
    )
    entries = sorted(draw(st.lists(entry, max_size=12)), key=lambda one: one.time)
    return UserState(
        stream_time,
        Window(entries, draw(MAYBE)),
        draw(st.none() | st.builds(LastPlace, st.sampled_from(["NL", "US-CA"]), TIMES)),
        draw(st.integers(-1, 2**60)),
        privacy,
        draw(st.none() | LAST_EVENTS),
        draw(st.none() | SCORES),
    )


def everything(window):
    return {name: getattr(window, name) for name in Window.__slots__}


@given(states())
def test_a_state_comes_back_as_it_went(state):
    again = decode_user(encode_user(state))
    assert again == state
    assert everything(again.window) == everything(state.window)
    assert encode_user(again) == encode_user(state)


@given(states())
def test_the_time_of_the_last_record_is_read_without_the_window(state):
    assert last_record_time_of(encode_user(state)) == state.last_record_time


@given(streams())
def test_a_state_that_was_stored_is_judged_as_one_that_was_not(records):
    kept, stored = Judge(), Judge()
    for record, is_request in records:
        outcomes = []
        for judge in (kept, stored):
            apply = judge.evaluator.apply if is_request else judge.evaluator.judge
            outcomes.append(apply(record, judge.users))
        assert outcomes[0] == outcomes[1]
        for user_id, state in stored.users.items():
            stored.users[user_id] = decode_user(encode_user(state))
    assert kept.users == stored.users
    # The same state has the same bytes, whether it was stored on the way or not.
    for user_id, state in kept.users.items():
        assert encode_user(state) == encode_user(stored.users[user_id])


def entry(number, stream_time=10**12, **changes):
    values = {
        "time": stream_time - number * 60_000,
        "identity": (number + 1) * 0x9E3779B97F4A7C15 % 2**64,
        "content": (number + 1) * 0xC2B2AE3D27D4EB4F % 2**64,
        "region": "US-CA",
        "network": f"2001:db8:{number % 6:x}::/64",
        "device": f"6f1c2d7e-0b1a-4c3d-8e9f-{number % 4:012x}",
        "kind": number % 4,
        "title": number % 3,
    }
    return Entry(**values | changes)


def state_of(entries, stream_time=10**12):
    privacy = PrivacyRecord(Mark(1, 2, 3), Mark(1, 2, 3), 4, 5)
    place = LastPlace("US-CA", stream_time)
    last = LastEvent(True, False, True, True, True, 12, "partial", "premium", place)
    return UserState(stream_time, Window(entries, stream_time), place, stream_time, privacy, last)


def test_sixty_events_in_the_hour_fit_into_two_kilobytes():
    entries = [entry(number) for number in reversed(range(60))]
    assert len(encode_user(state_of(entries))) <= 2048


def test_an_idle_user_costs_a_small_privacy_record():
    privacy = PrivacyRecord(Mark(10**12, 10**12, 10**12), Mark(10**12, 10**12, 10**12), 10**12, 10**12)
    assert len(encode_user(UserState(privacy=privacy))) <= 128
    assert len(encode_user(UserState())) <= 16


@pytest.mark.parametrize("distinct", [1, 255, 256, 257, MAX_ENTRIES])
def test_a_full_window_with_few_and_many_names(distinct):
    entries = [
        entry(0, time=10**12 - MAX_ENTRIES + number, identity=number, device=f"d{number % distinct}")
        for number in range(MAX_ENTRIES)
    ]
    state = state_of(entries)
    assert decode_user(encode_user(state)) == state


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"U",
        b"U\x00",
        b"U\x02" + encode_user(UserState())[2:],
        b"P\x01" + encode_user(UserState())[2:],
        encode_user(UserState())[:-1],
        encode_user(UserState()) + b"\x00",
        b"U\x03\xc0",
        b"U\x03\xff\xff",
    ],
)
def test_what_is_of_an_unknown_version_or_not_a_users_is_refused(value):
    with pytest.raises(WireError, match="a user record begins with"):
        decode_user(value)


@pytest.mark.parametrize("value", [b"", b"U\x02\x90", b"P\x01\x90", b"U\x03\xc0", b"U\x03\x91\x01"])
@pytest.mark.parametrize("read", [last_record_time_of, decode_without_window])
def test_of_such_bytes_no_part_is_read_either(value, read):
    with pytest.raises(WireError, match="a user record begins with"):
        read(value)


@given(states())
def test_all_but_the_window_is_read_without_it(state):
    written = encode_user(state)
    state.window = Window()
    assert decode_without_window(written) == state


@given(st.binary(max_size=40))
def test_any_other_bytes_are_refused(value):
    for written in (value, b"U\x03" + value):
        try:
            state = decode_user(written)
        except WireError:
            continue
        assert decode_user(encode_user(state)) == state


@given(states().filter(lambda state: state.window.entries), st.data())
def test_bytes_that_are_cut_are_refused(state, data):
    written = encode_user(state)
    with pytest.raises(WireError):
        decode_user(written[: data.draw(st.integers(0, len(written) - 1))])


NAMED = [["a"], b"\0"]
COLUMNS = {
    "times": bytes(4),
    "hashes": bytes(16),
    "regions": NAMED,
    "networks": NAMED,
    "devices": NAMED,
    "kinds": b"\0",
    "titles": [[0], b"\0"],
}


def with_columns(**changes):
    columns = list((COLUMNS | changes).values())
    return b"U\x04" + msgspec.msgpack.encode([10**12, -1, None, None, None, None, None, columns])


@pytest.mark.parametrize(
    "changes",
    [
        {"times": b""},
        {"times": bytes(5)},
        {"hashes": bytes(15)},
        {"hashes": bytes(32)},
        {"kinds": bytes(2)},
        {"kinds": b"\xff"},
        {"titles": [[1], b"\1"]},
        {"titles": [["a"], b"\0"]},
        {"regions": [["a"], b""]},
        {"networks": [["a"], b"\1"]},
        {"devices": [[], b"\0"]},
        {"devices": [["a"] * 257, b"\0"]},
    ],
)
def test_columns_that_do_not_fit_are_refused(changes):
    assert len(decode_user(with_columns()).window) == 1
    with pytest.raises(WireError):
        decode_user(with_columns(**changes))
