"""The laws of the sliding hour."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.windows import window as module
from pipeline.windows.entry import (
    FAILS,
    FAILS_LOGIN,
    NEUTRAL,
    PLAYS,
    RELEASES,
    ROLES,
    START_FAILS,
    STARTS,
    Entry,
)
from pipeline.windows.window import MAX_ENTRIES, PLAYING_MS, WINDOW_MS, Window

NOW = 10 * WINDOW_MS

PLAYING = (PLAYS, STARTS, START_FAILS)

TIMES = st.one_of(
    st.integers(NOW - 5, NOW + 5),
    st.sampled_from([NOW - WINDOW_MS + shift for shift in (-1, 0, 1)]),
    st.sampled_from([NOW - PLAYING_MS + shift for shift in (-1, 0, 1)]),
    st.integers(NOW - 2 * WINDOW_MS, NOW + 2 * WINDOW_MS),
)


HASHES = st.integers(0, 2**64 - 1)


def entries(identities=HASHES):
    return st.builds(
        Entry,
        time=TIMES,
        identity=identities,
        content=st.integers(0, 1),
        region=st.sampled_from(["NL", "US", "US-CA"]),
        network=st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::/64"]),
        device=st.sampled_from(["d1", "d2"]),
        kind=st.sampled_from(range(len(ROLES))),
        title=st.integers(0, 2),
    )


DISTINCT = st.lists(entries(), max_size=25, unique_by=lambda entry: entry.identity)
OFTEN_THE_SAME = st.lists(entries(st.integers(0, 5)), max_size=25)


class Folded:
    """A window into which entries are folded as the evaluation does it."""

    def __init__(self, given_entries=()):
        self.window = Window()
        self.stream_time = None
        for entry in given_entries:
            self.fold(entry)

    def fold(self, entry):
        """What left; None where the entry is too late, or stands there already."""
        now = entry.time if self.stream_time is None else max(self.stream_time, entry.time)
        if entry.time <= now - WINDOW_MS or self.window.find(entry.identity, now) is not None:
            return None
        self.stream_time = now
        return self.window.observe(entry, now)

    def answers(self):
        window, now = self.window, self.stream_time
        return (
            now,
            sorted(window.entries),
            window.regions,
            window.networks,
            window.login_failures,
            sorted(window.playing(now)) if now is not None else [],
        )


def everything(window):
    """All that a window holds, in a form that can be compared."""
    return {name: getattr(window, name) for name in Window.__slots__}


def copied(window):
    kept = everything(window)
    return {name: value.copy() if hasattr(value, "copy") else value for name, value in kept.items()}


@given(DISTINCT, st.randoms(use_true_random=False))
def test_any_order_gives_the_same_window(given_entries, shuffler):
    shuffled = list(given_entries)
    shuffler.shuffle(shuffled)
    assert Folded(shuffled).answers() == Folded(given_entries).answers()


@given(OFTEN_THE_SAME, entries(st.integers(0, 5)))
def test_a_duplicate_changes_nothing(given_entries, entry):
    folded = Folded([*given_entries, entry])
    before = copied(folded.window), folded.stream_time
    assert folded.fold(entry) is None
    assert (everything(folded.window), folded.stream_time) == before


@given(OFTEN_THE_SAME)
def test_brute_force_agrees(given_entries):
    folded = Folded()
    accepted = []
    for entry in given_entries:
        if folded.fold(entry) is not None:
            accepted.append(entry)
        now = max(each.time for each in accepted)
        inside = [each for each in accepted if now - WINDOW_MS < each.time <= now]
        assert sorted(folded.window.entries) == sorted(inside)
        assert len(folded.window) == len(inside)
        assert folded.window.regions == {
            name: sum(each.region == name for each in inside) for name in {each.region for each in inside}
        }
        assert set(folded.window.networks) == {each.network for each in inside}
        assert folded.window.login_failures == sum(each.role == FAILS_LOGIN for each in inside)
        assert set(folded.window.playing(now)) == {
            device for device in ("d1", "d2") if plays(device, inside, now)
        }


def plays(device, inside, now):
    signs = [each.time for each in inside if each.device == device and each.role in PLAYING]
    releases = [each.time for each in inside if each.device == device and each.role == RELEASES]
    if not signs or now - max(signs) >= PLAYING_MS:
        return False
    return not releases or max(signs) > max(releases)


@given(OFTEN_THE_SAME, st.integers(1, 5))
def test_the_counts_are_those_of_a_window_that_is_made_anew(given_entries, most):
    with full_at(most):
        window = Folded(given_entries).window
        assert everything(window) == everything(Window(window.entries, window.left_early))


@given(OFTEN_THE_SAME, entries(st.integers(6, 9)), st.integers(1, 5))
def test_undo_restores_everything(given_entries, entry, most):
    with full_at(most):
        folded = Folded(given_entries)
        before, left_early = copied(folded.window), folded.window.left_early
        left = folded.fold(entry)
        if left is not None:
            folded.window.undo(entry, left, left_early)
        assert everything(folded.window) == before


@given(DISTINCT, st.integers(1, 5))
def test_a_full_window_keeps_the_newest_and_says_so(given_entries, most):
    with full_at(most):
        folded = Folded()
        for entry in given_entries:
            before = list(folded.window.entries)
            left = folded.fold(entry)
            assert len(folded.window) <= most
            if left is None:
                continue
            candidates = [each for each in [*before, entry] if each.time > folded.stream_time - WINDOW_MS]
            newest = sorted(candidates, key=lambda each: each.time)[-most:]
            assert sorted(folded.window.entries) == sorted(newest)
            if len(candidates) > most:
                assert folded.window.saturated(folded.stream_time)


class full_at:  # noqa: N801 - reads as a word of the tests
    """Within it a window is full at so many entries."""

    def __init__(self, most):
        self.most = most

    def __enter__(self):
        self.kept, module.MAX_ENTRIES = module.MAX_ENTRIES, self.most

    def __exit__(self, *_):
        module.MAX_ENTRIES = self.kept


def entry_at(time, identity=1, role=NEUTRAL, device="d1"):
    return Entry(time, identity, 0, "NL", "192.0.2.1", device, ROLES.index(role))


def test_a_full_window_of_the_real_size():
    folded = Folded(entry_at(NOW + number, number) for number in range(MAX_ENTRIES))
    assert not folded.window.saturated(folded.stream_time)
    first = entry_at(NOW, 0)
    assert folded.fold(entry_at(NOW + MAX_ENTRIES, MAX_ENTRIES)) == [first]
    assert len(folded.window) == MAX_ENTRIES
    assert folded.window.saturated(NOW + WINDOW_MS - 1)
    assert not folded.window.saturated(NOW + WINDOW_MS)
    # An older one than all that are kept leaves at once.
    oldest = entry_at(NOW, 0)
    assert folded.fold(oldest) == [oldest]


def test_of_the_same_time_the_one_that_arrived_first_leaves_a_full_window():
    with full_at(2):
        folded = Folded([entry_at(NOW, 1), entry_at(NOW, 2)])
        assert folded.fold(entry_at(NOW, 3)) == [entry_at(NOW, 1)]


@pytest.mark.parametrize(
    ("older", "kept"), [(WINDOW_MS - 1, True), (WINDOW_MS, False), (WINDOW_MS + 1, False)]
)
def test_the_window_is_open_at_its_start(older, kept):
    folded = Folded([entry_at(NOW, 1), entry_at(NOW + older, 2)])
    assert (len(folded.window) == 2) == kept
    assert (Window([entry_at(NOW, 1)]).find(1, NOW + older) is not None) == kept


@pytest.mark.parametrize(
    ("signs", "now", "playing"),
    [
        pytest.param([(0, PLAYS)], 0, True, id="now"),
        pytest.param([(0, PLAYS)], PLAYING_MS - 1, True, id="just under fifteen minutes ago"),
        pytest.param([(0, PLAYS)], PLAYING_MS, False, id="fifteen minutes ago"),
        pytest.param([(0, PLAYS), (1, RELEASES)], 1, False, id="released after it"),
        pytest.param([(0, PLAYS), (0, RELEASES)], 0, False, id="a tie releases"),
        pytest.param([(0, RELEASES), (0, PLAYS)], 0, False, id="a tie releases in any order"),
        pytest.param([(0, RELEASES), (1, PLAYS)], 1, True, id="plays again"),
        pytest.param([(1, PLAYS), (0, RELEASES)], 1, True, id="a release that arrives late"),
        pytest.param([(0, RELEASES)], 0, False, id="only released"),
        pytest.param([(0, NEUTRAL), (0, FAILS_LOGIN)], 0, False, id="nothing of playing"),
        pytest.param([(0, STARTS)], 0, True, id="started"),
        pytest.param([(0, START_FAILS)], 0, True, id="a PLAY that failed plays all the same"),
        pytest.param([(0, FAILS)], 0, False, id="an error does not play"),
        pytest.param([(0, PLAYS), (1, FAILS)], 1, True, id="an error does not release"),
    ],
)
def test_when_a_device_plays(signs, now, playing):
    folded = Folded(entry_at(NOW + at, number, role) for number, (at, role) in enumerate(signs))
    assert folded.window.playing(NOW + now) == (["d1"] if playing else [])


@pytest.mark.parametrize(
    ("signs", "now", "watched"),
    [
        pytest.param([], 5, 0, id="nothing is known"),
        pytest.param([(0, STARTS)], 5, 5, id="since the start"),
        pytest.param([(0, STARTS), (3, PLAYS)], 5, 2, id="since the last sign, so that no time counts twice"),
        pytest.param([(0, PLAYS)], PLAYING_MS, PLAYING_MS, id="a gap of fifteen minutes"),
        pytest.param([(0, PLAYS)], PLAYING_MS + 1, 0, id="a longer gap"),
        pytest.param([(0, PLAYS), (2, RELEASES)], 5, 0, id="released"),
        pytest.param([(0, PLAYS), (0, RELEASES)], 5, 0, id="a tie releases"),
        pytest.param([(0, PLAYS), (2, FAILS)], 5, 5, id="an error does not release"),
        pytest.param([(7, PLAYS)], 5, 0, id="older than the last sign: counted with that"),
    ],
)
def test_for_how_long_a_device_has_played(signs, now, watched):
    folded = Folded(entry_at(NOW + at, number, role) for number, (at, role) in enumerate(signs))
    assert folded.window.watched("d1", NOW + now) == watched
    assert folded.window.watched("d2", NOW + now) == 0


@pytest.mark.parametrize(
    ("signs", "only_started"),
    [
        pytest.param([], False, id="nothing is known"),
        pytest.param([STARTS], True, id="started"),
        pytest.param([STARTS, NEUTRAL, FAILS_LOGIN], True, id="what tells nothing of playing"),
        pytest.param([STARTS, PLAYS], False, id="played on"),
        pytest.param([STARTS, RELEASES], False, id="released"),
        pytest.param([STARTS, FAILS], False, id="has failed already"),
        pytest.param([START_FAILS], False, id="said itself that it failed"),
        pytest.param([PLAYS, STARTS], True, id="started again"),
    ],
)
def test_whether_a_device_has_started_and_nothing_more(signs, only_started):
    window = Folded(entry_at(NOW + number, number, role) for number, role in enumerate(signs)).window
    assert window.only_started("d1", NOW + 100) == only_started
    assert window.only_started("d2", NOW + 100) is False
    assert window.only_started("d1", NOW - 1) is False


def test_more_playing_devices_than_asked_for_are_all_told():
    folded = Folded(entry_at(NOW, number, PLAYS, f"d{number}") for number in range(3))
    assert folded.window.playing(NOW, more_than=3) == []
    assert len(folded.window.playing(NOW, more_than=2)) == 3


def test_a_window_of_many_costs_the_same_counts():
    shuffler = random.Random(7)
    given_entries = [
        entry_at(NOW + shuffler.randrange(WINDOW_MS), number, shuffler.randrange(7)) for number in range(3000)
    ]
    window = Folded(given_entries).window
    assert everything(window) == everything(Window(window.entries))
