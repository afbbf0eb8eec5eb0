"""`account.impossible_travel`."""

import pytest

from pipeline.jurisdictions.places import separation_km
from pipeline.rules.account_impossible_travel import ImpossibleTravel, place_after
from pipeline.windows.user import LastPlace
from tests.pipeline.rules.cases import NOW, activity_of, event

HOUR = 3_600_000


def judged(origin, region, after=0, rule=None, *, in_order=True):
    last = None if origin is None else LastPlace(origin, NOW - after)
    activity = activity_of(event(region=region), last_place=last, in_order=in_order)
    return (rule or ImpossibleTravel()).judge(activity)


@pytest.mark.parametrize(
    ("origin", "region"),
    [("US-CA", "NL"), ("NL", "JP"), ("UK", "AU"), ("US-CA", "US-NY"), ("FR", "FR-RE"), ("US", "US-PR")],
)
def test_far_places_at_once(origin, region):
    # A subdivision with a code of its own is elsewhere.
    finding = judged(event(region=origin).region, region)
    assert finding.severity == "HIGH"
    assert finding.regulations == ()


@pytest.mark.parametrize(
    ("origin", "region"),
    [
        pytest.param(None, "NL", id="no last place"),
        pytest.param("NL", "NL", id="the same"),
        pytest.param("NL", "BE", id="neighbours"),
        pytest.param("US", "CA", id="large neighbours"),
        pytest.param("US", "US-HI", id="a country, then its own subdivision"),
        pytest.param("US-HI", "US", id="a subdivision, then its country"),
        pytest.param("JP", "EU", id="the EEA has no centroid"),
        pytest.param("JP", "ZZ", id="an unassigned country has none"),
        pytest.param("JP", "NL-ZZZ", id="an unassigned subdivision has none"),
    ],
)
def test_harmless(origin, region):
    assert judged(origin, region) is None


def test_out_of_order_is_passed_over():
    assert judged("US-CA", "NL", in_order=False) is None


def test_the_distance_has_to_exceed_its_limit():
    distance = separation_km("US-CA", "NL")
    assert judged("US-CA", "NL", rule=ImpossibleTravel(min_distance_km=distance)) is None
    assert judged("US-CA", "NL", rule=ImpossibleTravel(min_distance_km=distance - 0.001)) is not None


def test_the_speed_has_to_exceed_its_limit():
    distance = separation_km("US-CA", "NL")
    at_the_limit = ImpossibleTravel(max_speed_kmh=distance)
    assert judged("US-CA", "NL", HOUR, at_the_limit) is None
    assert judged("US-CA", "NL", HOUR - 1, at_the_limit) is not None
    eight_hours = int(distance / 1000 * HOUR)
    assert judged("US-CA", "NL", eight_hours - 1000) is not None
    assert judged("US-CA", "NL", eight_hours + 1000) is None


@pytest.mark.parametrize("after", [0, 1, 59_999, 60_000])
def test_the_time_counts_as_at_least_a_minute(after):
    evidence = judged("US-CA", "NL", after).evidence
    assert evidence["hours"] == 0.0167
    assert evidence["speed_kmh"] == round(separation_km("US-CA", "NL") * 60, 4)


def test_evidence():
    assert judged("US-CA", "NL", HOUR).evidence == {
        "from_region": "US-CA",
        "to_region": "NL",
        "from_time": "2026-01-31T19:15:00.000Z",
        "to_time": "2026-01-31T20:15:00.000Z",
        "distance_km": round(separation_km("US-CA", "NL"), 4),
        "hours": 1.0,
        "speed_kmh": round(separation_km("US-CA", "NL"), 4),
        "min_distance_km": 500.0,
        "max_speed_kmh": 1000.0,
    }


@pytest.mark.parametrize(
    ("last", "region", "kept"),
    [
        (None, "NL", "NL"),
        (None, "EU", None),
        ("NL", "NL", "NL"),
        ("NL", "DE", "DE"),
        ("NL", "EU", None),
        ("NL", "ZZ", None),
        ("NL", "NL-ZZZ", None),
        ("NL", "NL-NH", "NL-NH"),
        ("NL-NH", "NL", None),
        ("NL-NH", "NL-ZH", "NL-ZH"),
        ("NL-NH", "DE", "DE"),
    ],
)
def test_the_last_place_after_an_event(last, region, kept):
    """`kept` None: what it was."""
    before = None if last is None else LastPlace(last, 1)
    assert place_after(before, region, 2) == (before if kept is None else LastPlace(kept, 2))


def test_a_bare_country_hides_no_journey():
    """From California by way of "US" to the Netherlands: the way is measured from California."""
    last = None
    for region, time in (("US-CA", 0), ("US", 3 * HOUR)):
        last = place_after(last, region, time)
    assert last == LastPlace("US-CA", 0)
