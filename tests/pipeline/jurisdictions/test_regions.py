import string

import pycountry
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.jurisdictions.codes import ASSIGNED_COUNTRIES, OWN_CODES
from pipeline.jurisdictions.regions import (
    country_of,
    in_eea,
    is_assigned_country,
    is_own_subdivision,
    normalise,
)

FORMED = st.from_regex(r"[A-Za-z]{2}(-[A-Za-z0-9]{1,3})?", fullmatch=True)


@pytest.mark.parametrize(
    ("raw", "region"),
    [
        ("NL", "NL"),
        ("nl", "NL"),
        ("us-ca", "US-CA"),
        ("Us-Ca", "US-CA"),
        ("FR-75", "FR-75"),
        ("fr-75c", "FR-75C"),
        ("GB-ENG", "GB-ENG"),
        ("AU-1", "AU-1"),
        ("EU", "EU"),
        ("eu", "EU"),
        ("EU-X", "EU-X"),
        ("XK", "XK"),
        ("ZZ", "ZZ"),
        ("ZZ-99", "ZZ-99"),
        ("UK", "GB"),
        ("uk", "GB"),
        ("UK-ENG", "GB-ENG"),
        ("EL", "GR"),
        ("EL-A", "GR-A"),
        ("el-a", "GR-A"),
        # Only the country part is one of the two codes.
        ("UA-UK", "UA-UK"),
    ],
)
def test_a_region_of_the_form_has_a_normal_form(raw, region):
    assert normalise(raw) == region


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "U",
        "USA",
        "usca",
        "US-",
        "US-ABCD",
        "US_CA",
        "US--CA",
        "US-C-A",
        "U1",
        "1S",
        "12",
        "-CA",
        " US",
        "US ",
        "US\n",
        "US-CA\n",
        "US\x00",
        "US-C.",
        # Digits and letters that are not ASCII, some of which become ASCII in upper case.
        "\uff35\uff33",
        "US-\uff23\uff21",
        "US-\u0661",
        "US-\u00b2",
        "\u0131t",
        "IT-\u0131",
        "\u017fe",
        "SE-\u017f",
        "DE-\u00df",
        "K\u212a",
        "DE-\ufb00",
        "\u00c9",
        "E\u0301",
        "\ud800\ud800",
    ],
)
def test_what_has_not_the_form_has_none(raw):
    assert normalise(raw) is None


OWN_CODE_LIST = {
    "US": {code: code for code in ("AS", "GU", "MP", "PR", "UM", "VI")},
    "FR": {code: code for code in ("BL", "GF", "GP", "MF", "MQ", "NC", "PF", "PM", "RE", "TF", "WF", "YT")}
    | {"971": "GP", "972": "MQ", "973": "GF", "974": "RE", "976": "YT"},
    "NL": {"AW": "AW", "CW": "CW", "SX": "SX", "BQ1": "BQ", "BQ2": "BQ", "BQ3": "BQ"},
    "CN": {"HK": "HK", "MO": "MO", "TW": "TW", "91": "HK", "92": "MO", "71": "TW"},
    "NO": {"21": "SJ", "22": "SJ"},
    "FI": {"01": "AX"},
}
OWN_CODE_ROWS = [
    (f"{country}-{part}", code) for country, parts in OWN_CODE_LIST.items() for part, code in parts.items()
]


@pytest.mark.parametrize(("raw", "code"), OWN_CODE_ROWS)
def test_a_subdivision_with_a_code_of_its_own_becomes_that_code(raw, code):
    assert normalise(raw) == code
    assert normalise(raw.lower()) == code
    assert not is_own_subdivision(raw[:2], code)


def test_no_other_subdivision_has_a_code_of_its_own():
    assert dict(OWN_CODES) == dict(OWN_CODE_ROWS)
    for raw in ("FR-975", "FR-977", "FR-987", "FR-CP", "NL-BQ", "NL-BQ4", "NO-20", "FI-02", "US-DC", "CN-11"):
        assert normalise(raw) == raw


@given(FORMED)
@example("UK-971")
@example("nl-bq1")
def test_a_normal_form_is_its_own(raw):
    region = normalise(raw)
    assert region is not None
    assert normalise(region) == region
    assert region == region.upper()
    assert country_of(region) not in {"UK", "EL"}


@given(FORMED)
def test_upper_and_lower_case_are_one_region(raw):
    assert normalise(raw.upper()) == normalise(raw.lower()) == normalise(raw)


@given(st.text(max_size=8))
@example("US\n")
@example("\u0131T")
def test_only_ascii_of_the_form_is_taken(raw):
    letters, alphanumeric = string.ascii_letters, string.ascii_letters + string.digits
    country, dash, part = raw.partition("-")
    formed = len(country) == 2 and all(c in letters for c in country)
    if dash:
        formed = formed and 1 <= len(part) <= 3 and all(c in alphanumeric for c in part)
    assert (normalise(raw) is not None) == formed


def test_the_assigned_countries_are_those_of_iso_and_kosovo():
    assert {country.alpha_2 for country in pycountry.countries} | {"XK"} == ASSIGNED_COUNTRIES
    assert len(ASSIGNED_COUNTRIES) == 250


@pytest.mark.parametrize("code", ["EU", "UK", "EL", "ZZ", "AA", "AN", "SU", "YU", "", "us", "US-CA"])
def test_a_reserved_former_or_unknown_code_is_not_assigned(code):
    assert not is_assigned_country(code)


@pytest.mark.parametrize(
    ("region", "country"), [("NL", "NL"), ("US-CA", "US"), ("EU", "EU"), ("GB-ENG", "GB")]
)
def test_the_country_of_a_region(region, country):
    assert country_of(region) == country


@pytest.mark.parametrize(
    ("country", "region", "own"),
    [
        ("US", "US-CA", True),
        ("GB", "GB-ENG", True),
        ("ZZ", "ZZ-1", True),
        ("EU", "EU-X", True),
        ("US", "US", False),
        ("US-CA", "US", False),
        ("US-CA", "US-CA", False),
        ("US-CA", "US-NY", False),
        ("US", "CA", False),
        ("US", "UM", False),
        ("US", "PR", False),
        ("FR", "GP", False),
        ("FR", "DE-BE", False),
    ],
)
def test_a_bare_country_and_its_own_subdivision(country, region, own):
    assert is_own_subdivision(country, region) is own


EEA_PLACES = (
    # EU 27
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK "
    # EEA, the reserved code, and the places with a code of their own
    "IS LI NO EU AX GF GP MF MQ RE YT"
)


def test_the_eea_is_the_places_of_the_gdpr():
    assert {code for code in [*ASSIGNED_COUNTRIES, "EU"] if in_eea(code)} == set(EEA_PLACES.split())


@pytest.mark.parametrize(
    ("region", "inside"),
    [("DE-BE", True), ("FR-75", True), ("NO-03", True), ("EU-X", True), ("AX-01", True)]
    + [("GB-ENG", False), ("CH-ZH", False), ("US-CA", False), ("XK", False), ("ZZ", False), ("ZZ-1", False)]
    # Parts of member states outside the EEA, by codes of their own.
    + [
        (code, False)
        for code in ("AW", "BQ", "CW", "SX", "NC", "PF", "PM", "TF", "WF", "BL", "SJ", "GL", "FO")
    ],
)
def test_a_subdivision_is_in_the_eea_as_its_country(region, inside):
    assert in_eea(region) is inside
