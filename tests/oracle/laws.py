"""The table of jurisdictions, written down a second time from the contract."""

from math import asin, cos, pi, radians, sin, sqrt

from pipeline.jurisdictions.codes import ASSIGNED_COUNTRIES
from pipeline.jurisdictions.places import PLACES

GDPR_AGES = {
    13: "BE EE FI LV MT PT SE IS NO AX",
    14: "AT BG CY LT IT ES",
    15: "CZ FR GR SI DK GF GP MF MQ RE YT",
    16: "DE HR HU IE LI LU NL PL RO SK EU",
}
"""Consent age to places: together the EEA."""
EEA = {place for places in GDPR_AGES.values() for place in places.split()}
COPPA_PLACES = {"US", "AS", "GU", "MP", "PR", "UM", "VI"}

# law: (places, asks consent, severity where it is missing, consent age, grants opt-out and deletion, days)
OTHERS = {
    "UK-GDPR": ({"GB"}, True, "HIGH", 13, True, 30),
    "FADP": ({"CH"}, False, None, 16, True, 30),
    "CCPA": ({"US-CA"}, False, None, 16, True, 45),
    "LGPD": ({"BR"}, True, "MEDIUM", 12, True, 15),
    "PIPL": ({"CN"}, True, "MEDIUM", 14, True, 15),
    "PDPA-SG": ({"SG"}, True, "MEDIUM", 13, False, 30),
    "PDPA-TH": ({"TH"}, True, "MEDIUM", 20, True, 90),
    "PIPA": ({"KR"}, True, "MEDIUM", 14, True, 10),
    "APPI": ({"JP"}, False, None, 16, True, 30),
    "PIPEDA": ({"CA"}, True, "MEDIUM", 13, False, 30),
    "DPDP": ({"IN"}, True, "MEDIUM", 18, True, 30),
    "POPIA": ({"ZA"}, True, "MEDIUM", 18, True, 30),
    "APP": ({"AU"}, False, None, 15, False, 30),
    "COPPA": (COPPA_PLACES, False, None, 13, False, None),
    "VPPA": (COPPA_PLACES, False, None, None, False, None),
}


def country(region):
    return region.split("-")[0]


def in_eea(region):
    return country(region) in EEA


def is_assigned(region):
    return country(region) in ASSIGNED_COUNTRIES


def laws_of(region, is_eu):
    """Name to (asks consent, severity, age, grants, days), by name."""
    found = {name: values[1:] for name, values in OTHERS.items() if {region, country(region)} & values[0]}
    if in_eea(region):
        age = next(age for age, places in GDPR_AGES.items() if country(region) in places.split())
        found["GDPR"] = (True, "HIGH", age, True, 30)
    elif is_eu:
        found["GDPR"] = (True, "HIGH", 16, True, 30)
    return dict(sorted(found.items()))


def has_centroid(region):
    return region in PLACES


def own_subdivision(bare, region):
    """Whether the one is a bare country and the other one of its subdivisions."""
    return "-" not in bare and "-" in region and country(region) == bare


def apart_km(a, b):
    """Great circle of the centroids, less the radii of circles of the regions' areas."""
    one, two = PLACES[a], PLACES[b]
    north_a, north_b = radians(one.latitude), radians(two.latitude)
    chord = (
        sin((north_b - north_a) / 2) ** 2
        + cos(north_a) * cos(north_b) * sin(radians(two.longitude - one.longitude) / 2) ** 2
    )
    between = 2 * 6371.0088 * asin(min(1.0, sqrt(chord)))
    return between - (sqrt(one.area_km2 / pi) + sqrt(two.area_km2 / pi))
