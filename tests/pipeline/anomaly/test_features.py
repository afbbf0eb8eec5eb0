"""What each feature counts, and that counts kept in the window are those of a window made anew."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.anomaly.features import FEATURE_NAMES, FEATURES, row_of
from pipeline.windows import window as window_module
from pipeline.windows.entry import KINDS, TYPES
from pipeline.windows.tally import Tally
from pipeline.windows.window import WINDOW_MS, Window
from tests.oracle.features import features_of
from tests.pipeline.anomaly.conftest import S, event
from tests.pipeline.anomaly.conftest import row as row_of_events


def row(*events, limit=1):
    return dict(zip(FEATURE_NAMES, row_of_events(*events, limit=limit), strict=True))


events = st.builds(
    event,
    at_s=st.integers(0, 3_599),
    kind=st.sampled_from(TYPES),
    title=st.integers(0, 3),
    region=st.sampled_from(["NL", "US-CA", "ZZ", "JP"]),
    network=st.sampled_from(["n1", "n2", "n3"]),
    device=st.sampled_from(["d1", "d2", "d3"]),
    failed=st.booleans(),
)


def test_every_feature_has_a_name_of_its_own_a_unit_and_a_sentence():
    assert len(set(FEATURE_NAMES)) == len(FEATURES)
    assert all(one.unit and one.words and one.meaning.endswith(".") for one in FEATURES)


def test_no_feature_is_named_after_a_protected_trait():
    assert not {"age", "user_age", "consent", "has_consent", "region", "is_eu"} & set(FEATURE_NAMES)


def test_type_and_outcome_fit_into_one_byte_and_are_not_confused():
    codes = {kind + failed for kind in KINDS.values() for failed in (False, True)}
    assert len(codes) == 2 * len(TYPES)
    assert max(codes) < 128


def test_a_quiet_hour_of_one_device():
    # 12:00:00 PLAY, 12:00:10 SEEK, then a heartbeat each minute up to 12:03:00
    values = row(event(0, "PLAY"), event(10, "SEEK"), event(60), event(120), event(180), limit=2)
    assert values["events"] == 5
    assert values["busiest_minute"] == 2
    assert values["active_minutes"] == 4
    assert (values["starts"], values["seeks"], values["titles"]) == (1, 1, 1)
    assert values["beats_per_start"] == 3
    assert values["playing_to_plan"] == 0.5
    assert values["night_share"] == 0
    assert values["stream_limit"] == 2


def test_the_variation_of_gaps_is_their_standard_deviation_by_their_mean():
    gaps = [10, 50, 60, 60]
    values = row(*(event(sum(gaps[:n])) for n in range(5)))
    assert values["gap_variation"] == pytest.approx(np.std(gaps) / np.mean(gaps), rel=1e-6)


def test_a_clock_has_no_variation():
    assert row(*(event(30 * n) for n in range(20)))["gap_variation"] == 0


def test_one_event_has_no_gaps():
    assert row(event())["gap_variation"] == 0


def test_networks_and_devices_and_how_often_they_change():
    # n1/d1, n2/d1, n1/d2, n1/d2: the network changes twice, the device once.
    values = row(event(0), event(1, network="n2"), event(2, device="d2"), event(3, device="d2"))
    assert (values["networks"], values["devices"], values["separate_places"]) == (2, 2, 2)
    assert (values["network_changes"], values["device_changes"]) == (2, 1)


def test_one_title_started_most_often():
    values = row(*(event(n, "PLAY", title) for n, title in enumerate([7, 7, 8, 7])), event(9, "LOGIN", 0))
    assert (values["starts"], values["starts_of_one_title"], values["titles"]) == (4, 3, 2)


def test_failures_of_each_kind():
    values = row(
        event(0, "PLAY", failed=True),
        event(1, "ERROR"),
        event(2, "ERROR", failed=True),
        event(3, "LOGIN_FAILED", 0, device="d2"),
        event(4, "TOKEN_REFRESH_FAILED", 0, device="d2"),
        event(5, "LOGIN_FAILED", 0),
    )
    assert (values["failures"], values["failed_starts"]) == (3, 1)
    assert (values["login_failures"], values["devices_failing_login"]) == (3, 2)


def test_seeks_at_an_even_pace():
    even = [event(15 * n, "SEEK") for n in range(10)]
    assert row(*even)["regular_seeks"] == 8
    assert row(*(event(n * n, "SEEK") for n in range(10)))["regular_seeks"] == 0


@pytest.mark.parametrize(
    ("region", "hour", "night"),
    # Longitude 5 in NL, 138 in JP, -119 in US-CA; ZZ and EU lie nowhere.
    [
        ("NL", 0, 1),
        ("NL", 4, 1),
        ("NL", 6, 0),
        ("JP", 16, 1),
        ("JP", 3, 0),
        ("US-CA", 10, 1),
        ("ZZ", 2, 0),
        ("EU", 2, 0),
    ],
)
def test_night_is_that_of_the_region(region, hour, night):
    midnight = S - 12 * 3_600_000
    assert row(event(hour * 3600, region=region, start=midnight))["night_share"] == night


def test_which_region_it_is_reaches_no_feature():
    # Both lie in the same quarter of an hour of solar time; one is in the EEA, the other is not.
    one, other = (row(event(0, region=code), event(60, region=code)) for code in ("DE", "CH"))
    assert one == other


@given(st.lists(events, min_size=1, max_size=30), st.integers(1, 6), st.sampled_from([0, 5, 12]))
def test_each_feature_is_what_its_sentence_says(some, limit, hour):
    some = [one._replace(time=one.time - hour * 3_600_000 - 1_800_000) for one in some]
    ordered = sorted(some, key=lambda one: one.time)
    found = row(*some, limit=limit)
    assert found == pytest.approx(features_of(ordered, ordered[-1].time, limit), rel=1e-9, abs=1e-9)


@given(st.lists(events, min_size=1, max_size=30), st.integers(1, 40), st.floats(0.1, 3))
def test_counts_that_are_kept_are_those_that_are_made_anew(some, most, pace):
    """Entries come in any order, expire, and are pushed out of a full window."""
    kept = Window()
    kept.tallied()
    newest = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window_module, "MAX_ENTRIES", most)
        for one in some:
            entry = one._replace(time=S + int((one.time - S) * pace))
            newest = max(newest, entry.time)
            if entry.time <= newest - WINDOW_MS:
                continue
            kept.observe(entry, newest)
            assert kept.tally == Tally(kept.entries)
            assert row_of(kept, newest, 2) == row_of(Window(kept.entries), newest, 2)


def test_the_largest_window_fits():
    full = row(*(event(n * 0.878, "SEEK" if n % 2 else "PLAY", n) for n in range(4_096)))
    assert full["events"] == 4_096


def test_an_empty_window_has_no_features():
    with pytest.raises(IndexError):
        row_of(Window(), S, 1)
