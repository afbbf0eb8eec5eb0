import json
import math
import re

import pycountry
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.jurisdictions.codes import ASSIGNED_COUNTRIES, OWN_CODES
from pipeline.jurisdictions.packaged import packaged_text
from pipeline.jurisdictions.places import (
    EARTH_RADIUS_KM,
    ENCLOSED,
    PLACES,
    UNPLACED,
    Place,
    place_of,
    separation_km,
)
from pipeline.jurisdictions.regions import country_of, normalise

# Counties of Norway that ISO announced on 2023-11-23, which the library's list does not have yet.
NEWER = {"NO-31", "NO-32", "NO-33", "NO-39", "NO-40", "NO-55", "NO-56"}
LISTED = {s.code for s in pycountry.subdivisions} - OWN_CODES.keys()
PLACED = st.sampled_from(sorted(PLACES))


def centre_distance(a, b):
    return separation_km(a, b) + PLACES[a].radius_km + PLACES[b].radius_km


def test_every_assigned_country_has_a_place():
    assert {region for region in PLACES if "-" not in region} == ASSIGNED_COUNTRIES


def test_every_listed_subdivision_is_placed_or_told_to_be_without():
    placed = {region for region in PLACES if "-" in region}
    assert placed | UNPLACED == LISTED | NEWER
    assert not placed & UNPLACED
    assert placed >= ENCLOSED


def test_how_many_subdivisions_have_no_place_of_their_own():
    """The counts that docs/data/README.md states: a lost outline shows here."""
    assert len(LISTED) == 5016
    assert len(LISTED & PLACES.keys() - ENCLOSED) == 4239
    assert len(ENCLOSED) == 694
    assert len(UNPLACED) == 83


@pytest.mark.parametrize(
    "region",
    ["EU", "EU-X", "UK", "ZZ", "ZZ-1", "US-XX", "NL-999", "US-PR", "FR-974", "CN-TW", "NO-21", "", "us"],
)
def test_no_place_for_what_is_reserved_unassigned_or_not_in_normal_form(region):
    assert place_of(region) is None


def test_an_unplaced_subdivision_has_no_place():
    assert all(place_of(region) is None for region in UNPLACED)


@pytest.mark.parametrize("region", sorted({"US-PR", "FR-974", "NL-BQ1", "CN-HK", "NO-22", "FI-01"}))
def test_a_subdivision_with_a_code_of_its_own_has_that_codes_place(region):
    assert place_of(normalise(region)) is not None


def test_every_place_is_on_the_globe_in_normal_form_and_in_a_country():
    for region, place in PLACES.items():
        assert normalise(region) == region
        assert re.fullmatch(r"[A-Z]{2}(-[A-Z0-9]{1,3})?", region)
        assert country_of(region) in ASSIGNED_COUNTRIES
        assert -90 <= place.latitude <= 90
        assert -180 <= place.longitude <= 180
        assert 0 < place.area_km2 < 18e6


def test_what_encloses_another_is_not_so_large_as_to_hide_every_journey():
    assert max(PLACES[region].radius_km for region in ENCLOSED) <= 300


def test_the_file_tells_its_source_and_is_compact():
    text = packaged_text("places.json")
    data = json.loads(text)
    assert "Natural Earth" in data["source"]
    assert data["licence"] == "public domain"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", data["as_of"])
    assert len(text) < 400_000
    assert not re.search(r"\.\d{5}", text)


# Published figures, to a tolerance for water, outlying islands and generalised coasts.
@pytest.mark.parametrize(
    ("region", "area_km2", "within", "latitude", "longitude", "degrees"),
    [
        ("US", 9_600_000, 0.03, 45.0, -103.8, 1),  # the centre of the 50 states, near Belle Fourche
        ("US-CA", 423_970, 0.05, 37.2, -119.5, 0.5),
        ("US-AK", 1_600_000, 0.15, 64.0, -152.5, 1),
        ("US-TX", 695_662, 0.05, 31.5, -99.3, 0.5),
        ("CA", 9_984_670, 0.02, 60.0, -96.0, 1.5),
        ("RU", 17_098_246, 0.02, 66.0, 95.0, 2),
        ("CN", 9_500_000, 0.03, 36.5, 103.5, 1),
        ("BR", 8_515_767, 0.02, -10.8, -53.1, 0.5),
        ("AU", 7_692_024, 0.01, -25.6, 134.4, 0.5),
        ("IN", 3_287_263, 0.06, 22.5, 79.5, 1),
        ("DE", 357_592, 0.01, 51.1, 10.4, 0.2),
        ("DE-BE", 891, 0.1, 52.5, 13.4, 0.1),
        ("NL", 37_400, 0.05, 52.2, 5.6, 0.2),
        ("FR", 543_940, 0.02, 46.5, 2.5, 0.3),
        ("GP", 1_628, 0.05, 16.2, -61.5, 0.2),
        ("RE", 2_512, 0.05, -21.1, 55.5, 0.1),
        ("GF", 83_846, 0.03, 3.9, -53.2, 0.2),
        ("NO", 323_800, 0.03, 64.5, 12.5, 1),
        ("SJ", 62_045, 0.03, 78.8, 18.3, 1),
        ("GB", 243_610, 0.01, 54.1, -2.8, 0.5),
        ("GB-ENG", 130_279, 0.02, 52.6, -1.5, 0.3),
        ("GB-SCT", 77_910, 0.03, 56.8, -4.2, 0.5),
        ("UA", 603_548, 0.02, 49.0, 31.4, 0.5),
        ("UA-43", 26_081, 0.05, 45.3, 34.4, 0.3),
        ("RS", 77_474, 0.02, 44.2, 20.8, 0.3),
        ("XK", 10_887, 0.02, 42.6, 20.9, 0.2),
        ("CY", 9_251, 0.03, 35.05, 33.2, 0.2),
        ("HK", 1_106, 0.1, 22.35, 114.15, 0.2),
        ("TW", 36_193, 0.02, 23.7, 120.9, 0.3),
        ("LI", 160, 0.2, 47.15, 9.55, 0.1),
        ("JP-13", 2_194, 0.25, 35.6, 139.4, 1),
        ("FJ", 18_274, 0.02, -17.5, 178.5, 1),
        ("AQ", 14_000_000, 0.15, -85, 82, 8),
        ("GY-CU", 47_213, 0.05, 6.2, -59.9, 0.5),
        ("EC-T", 3_386, 0.05, -1.3, -78.5, 0.2),
        ("MG-A", 71_911, 0.05, -18.2, 48.7, 0.7),
        ("NO-46", 33_871, 0.05, 60.8, 6.3, 0.5),
        ("VA", 0.44, 0.01, 41.9, 12.45, 0.01),
    ],
)
def test_areas_and_centroids_follow_isos_cut(region, area_km2, within, latitude, longitude, degrees):
    place = place_of(region)
    assert place.area_km2 == pytest.approx(area_km2, rel=within)
    assert place.latitude == pytest.approx(latitude, abs=degrees)
    assert place.longitude == pytest.approx(longitude, abs=degrees)


def test_subdivisions_together_are_about_their_country():
    for country in (
        "US",
        "DE",
        "NL",
        "GB",
        "FR",
        "ES",
        "IT",
        "PL",
        "AU",
        "CA",
        "JP",
        "MX",
        "BR",
        "CN",
        "UA",
        "TR",
        "IE",
    ):
        tops = [s.code for s in pycountry.subdivisions.get(country_code=country) if not s.parent_code]
        area = sum(PLACES[code].area_km2 for code in tops if code in PLACES and code not in ENCLOSED)
        assert area == pytest.approx(PLACES[country].area_km2, rel=0.02), country


def test_the_radius_is_that_of_a_circle_of_the_area():
    assert Place(0.0, 0.0, math.pi * 10_000).radius_km == pytest.approx(100)


@pytest.mark.parametrize(
    ("a", "b", "least", "most"),
    [
        ("NL", "DE", -150, 0),
        ("NL", "BE", -100, 0),
        ("US", "CA", -2_500, -500),
        ("US-CA", "US", -2_500, 0),
        ("GB", "FR", 100, 300),
        ("US-CA", "DE", 8_200, 8_500),
        ("US-CA", "US-NY", 3_000, 3_400),
        ("NL", "GP", 6_500, 7_200),
        ("NZ", "ES", 18_500, 20_015),
    ],
)
def test_how_far_apart_regions_are(a, b, least, most):
    assert least <= separation_km(a, b) <= most


def test_the_distance_of_centroids_by_hand():
    """The haversine formula once more, from the figures of the file, in another form."""
    a, b = PLACES["US-CA"], PLACES["DE"]
    phi, psi = math.radians(a.latitude), math.radians(b.latitude)
    delta = math.radians(b.longitude - a.longitude)
    angle = math.acos(math.sin(phi) * math.sin(psi) + math.cos(phi) * math.cos(psi) * math.cos(delta))
    assert centre_distance("US-CA", "DE") == pytest.approx(6371.0088 * angle, abs=1e-6)
    assert 9_000 < centre_distance("US-CA", "DE") < 9_100


@given(PLACED, PLACED)
def test_separation_is_symmetric_and_bounded(a, b):
    assert separation_km(a, b) == separation_km(b, a)
    assert separation_km(a, b) <= math.pi * EARTH_RADIUS_KM


@given(PLACED)
def test_a_region_overlaps_itself_by_its_diameter(region):
    assert separation_km(region, region) == pytest.approx(-2 * PLACES[region].radius_km)


@given(PLACED, PLACED, PLACED)
def test_no_detour_between_centroids_is_shorter(a, b, c):
    assert centre_distance(a, c) <= centre_distance(a, b) + centre_distance(b, c) + 1e-6


@pytest.mark.parametrize(("a", "b"), [("EU", "NL"), ("NL", "ZZ")])
def test_no_separation_from_nowhere(a, b):
    with pytest.raises(KeyError):
        separation_km(a, b)
