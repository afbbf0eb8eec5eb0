"""The table of laws, row by row as the rules state it."""

import pycountry
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.jurisdictions.codes import ASSIGNED_COUNTRIES
from pipeline.jurisdictions.laws import GDPR_BY_CLAIM, Law, laws_of
from pipeline.jurisdictions.regions import normalise

GDPR_AGES = {
    13: "BE EE FI LV MT PT SE IS NO AX",
    14: "AT BG CY LT IT ES",
    15: "CZ FR GR SI DK GF GP MF MQ RE YT",
    16: "DE HR HU IE LI LU NL PL RO SK EU",
}
GDPR_ROWS = [(region, age) for age, regions in GDPR_AGES.items() for region in regions.split()]

# id, where, asks consent, missing consent, consent age, grants opt-out/deletion, deadline in days
ROWS = [
    ("UK-GDPR", "GB", True, "HIGH", 13, True, 30),
    ("FADP", "CH", False, None, 16, True, 30),
    ("LGPD", "BR", True, "MEDIUM", 12, True, 15),
    ("PIPL", "CN", True, "MEDIUM", 14, True, 15),
    ("PDPA-SG", "SG", True, "MEDIUM", 13, False, 30),
    ("PDPA-TH", "TH", True, "MEDIUM", 20, True, 90),
    ("PIPA", "KR", True, "MEDIUM", 14, True, 10),
    ("APPI", "JP", False, None, 16, True, 30),
    ("PIPEDA", "CA", True, "MEDIUM", 13, False, 30),
    ("DPDP", "IN", True, "MEDIUM", 18, True, 30),
    ("POPIA", "ZA", True, "MEDIUM", 18, True, 30),
    ("APP", "AU", False, None, 15, False, 30),
]
CCPA = Law("CCPA", False, None, 16, True, 45)
COPPA = Law("COPPA", False, None, 13, False, None)
VPPA = Law("VPPA", False, None, None, False, None)


def test_the_gdpr_has_38_places():
    assert len(GDPR_ROWS) == len(set(GDPR_ROWS)) == 38


@pytest.mark.parametrize(("region", "age"), GDPR_ROWS)
def test_the_gdpr_with_the_age_of_the_member_state(region, age):
    law = Law("GDPR", True, "HIGH", age, True, 30)
    assert laws_of(region) == (law,)
    assert laws_of(f"{region}-X") == (law,)


def test_the_gdpr_by_claim_alone_has_its_own_age():
    assert Law("GDPR", True, "HIGH", 16, True, 30) == GDPR_BY_CLAIM


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_law_of_one_country(row):
    law_id, region, *values = row
    assert laws_of(region) == (Law(law_id, *values),)
    assert laws_of(f"{region}-1") == (Law(law_id, *values),)


@pytest.mark.parametrize(
    "region", ["US", "US-NY", "US-DC", "US-XX", "AS", "GU", "MP", "PR", "UM", "VI", "UM-79"]
)
def test_the_united_states_and_their_territories(region):
    assert laws_of(region) == (COPPA, VPPA)


def test_california_has_its_own_law_besides():
    assert laws_of("US-CA") == (CCPA, COPPA, VPPA)


@pytest.mark.parametrize(
    "region",
    ["XK", "ZZ", "ZZ-1", "HK", "MO", "TW", "SJ", "BL", "NC", "AW", "BQ", "MX", "", "UK"],
)
def test_no_law_where_the_table_names_none(region):
    assert laws_of(region) == ()


def test_the_laws_apply_nowhere_else():
    named = {region for region, _ in GDPR_ROWS} | {row[1] for row in ROWS}
    named |= {"US", "AS", "GU", "MP", "PR", "UM", "VI"}
    assert {code for code in [*ASSIGNED_COUNTRIES, "EU"] if laws_of(code)} == named


REGIONS = st.sampled_from(
    sorted(
        {s.code for s in pycountry.subdivisions}
        | {c.alpha_2 for c in pycountry.countries}
        | {"EU", "XK", "ZZ"}
    )
)


@given(REGIONS)
def test_laws_are_sorted_distinct_and_inherited(code):
    region = normalise(code)
    laws = laws_of(region)
    ids = [law.id for law in laws]
    assert ids == sorted(set(ids))
    assert set(laws_of(region[:2])) <= set(laws)
    assert laws_of(region) is laws_of(region) or laws == ()


@given(REGIONS)
def test_a_law_that_asks_consent_says_how_severe_its_absence_is(code):
    for law in laws_of(normalise(code)):
        assert law.asks_consent == (law.missing_consent is not None)
