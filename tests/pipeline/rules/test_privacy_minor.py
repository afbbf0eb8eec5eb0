"""`privacy.minor`."""

import pytest

from pipeline.rules.privacy_minor import Minor
from tests.pipeline.rules.cases import profile, said

AGES = {
    "NL": ("GDPR", 16),
    "BE": ("GDPR", 13),
    "AX": ("GDPR", 13),
    "AT": ("GDPR", 14),
    "EL": ("GDPR", 15),
    "RE": ("GDPR", 15),
    "EU": ("GDPR", 16),
    "UK": ("UK-GDPR", 13),
    "CH": ("FADP", 16),
    "BR": ("LGPD", 12),
    "CN": ("PIPL", 14),
    "SG": ("PDPA-SG", 13),
    "TH": ("PDPA-TH", 20),
    "KR": ("PIPA", 14),
    "JP": ("APPI", 16),
    "CA": ("PIPEDA", 13),
    "IN": ("DPDP", 18),
    "ZA": ("POPIA", 18),
    "AU": ("APP", 15),
    "US": ("COPPA", 13),
    "US-NY": ("COPPA", 13),
    "US-PR": ("COPPA", 13),
}


def judged(region, age, *, is_eu=False, has_consent=False, shared=None):
    changes = {"user_age": age, "data_shared": shared}
    return Minor().judge(profile(region=region, is_eu=is_eu, has_consent=has_consent, **changes))


@pytest.mark.parametrize(("region", "law", "age"), [(place, *values) for place, values in AGES.items()])
def test_below_the_consent_age_without_consent(region, law, age):
    assert said(judged(region, age - 1)) == ("HIGH", (law,))
    assert judged(region, age) is None
    assert judged(region, age - 1, has_consent=True) is None
    assert judged(region, None) is None


@pytest.mark.parametrize(
    ("region", "age", "is_eu", "laws"),
    [
        ("US-CA", 12, False, ("CCPA", "COPPA")),
        ("US-CA", 15, False, ("CCPA",)),
        ("US-CA", 15, True, ("CCPA", "GDPR")),
        ("US", 15, True, ("GDPR",)),
        ("US", 15, False, None),
        ("ZZ", 15, True, ("GDPR",)),
        ("ZZ", 0, False, None),
        ("BE", 15, True, None),
        ("GB", 14, True, ("GDPR",)),
        ("XK", 3, False, None),
    ],
)
def test_several_laws_and_the_gdpr_by_claim(region, age, is_eu, laws):
    """Where only the claim brings the GDPR the age is 16; where the region does, the region's."""
    assert said(judged(region, age, is_eu=is_eu)) == (None if laws is None else ("HIGH", laws))


@pytest.mark.parametrize(
    ("region", "age", "shared", "has_consent", "laws"),
    [
        ("US", 12, "partial", True, ("COPPA",)),
        ("US", 12, "full", True, ("COPPA",)),
        ("US", 12, "none", True, None),
        ("US", 12, None, True, None),
        ("US", 13, "full", True, None),
        ("US-CA", 12, "full", True, ("COPPA",)),
        ("GU", 0, "full", True, ("COPPA",)),
        ("NL", 12, "full", True, None),
        ("US", 12, "full", False, ("COPPA",)),
        ("US", 13, "full", False, None),
    ],
)
def test_sharing_a_childs_data_under_coppa_whatever_the_consent(region, age, shared, has_consent, laws):
    finding = judged(region, age, has_consent=has_consent, shared=shared)
    assert said(finding) == (None if laws is None else ("HIGH", laws))


def test_evidence():
    assert judged("US-CA", 12, is_eu=True).evidence == {
        "user_age": 12,
        "consent_ages": {"CCPA": 16, "COPPA": 13, "GDPR": 16},
        "has_consent": False,
        "data_shared": "none",
        "region": "US-CA",
    }
