"""`privacy.consent_missing`."""

import pytest

from pipeline.rules.privacy_consent_missing import ConsentMissing
from tests.pipeline.rules.cases import profile, said


def judged(region, *, is_eu=False, has_consent=False):
    return ConsentMissing().judge(profile(region=region, is_eu=is_eu, has_consent=has_consent))


@pytest.mark.parametrize(
    ("region", "is_eu", "severity", "laws"),
    [
        ("NL", True, "HIGH", ("GDPR",)),
        ("NL", False, "HIGH", ("GDPR",)),
        ("NL-NH", False, "HIGH", ("GDPR",)),
        ("EL", False, "HIGH", ("GDPR",)),
        ("EU", False, "HIGH", ("GDPR",)),
        ("FR-RE", False, "HIGH", ("GDPR",)),
        ("FI-01", False, "HIGH", ("GDPR",)),
        ("UK", False, "HIGH", ("UK-GDPR",)),
        ("GB-SCT", True, "HIGH", ("GDPR", "UK-GDPR")),
        ("BR", False, "MEDIUM", ("LGPD",)),
        ("BR-SP", True, "HIGH", ("GDPR", "LGPD")),
        ("CN", False, "MEDIUM", ("PIPL",)),
        ("SG", False, "MEDIUM", ("PDPA-SG",)),
        ("TH", False, "MEDIUM", ("PDPA-TH",)),
        ("KR", False, "MEDIUM", ("PIPA",)),
        ("CA", False, "MEDIUM", ("PIPEDA",)),
        ("IN", False, "MEDIUM", ("DPDP",)),
        ("ZA", False, "MEDIUM", ("POPIA",)),
        ("US-CA", True, "HIGH", ("GDPR",)),
        ("ZZ", True, "HIGH", ("GDPR",)),
    ],
)
def test_the_laws_that_ask_consent(region, is_eu, severity, laws):
    assert said(judged(region, is_eu=is_eu)) == (severity, laws)
    assert judged(region, is_eu=is_eu, has_consent=True) is None


@pytest.mark.parametrize("region", ["CH", "US", "US-CA", "PR", "JP", "AU", "XK", "ZZ", "GL", "AQ"])
def test_places_whose_laws_do_not(region):
    assert judged(region) is None


@pytest.mark.parametrize(
    "region", ["NL-AW", "NL-BQ1", "FR-NC", "FR-PF", "CN-HK", "CN-71", "NO-21", "NO-22", "US-GU"]
)
def test_subdivisions_with_a_code_of_their_own_leave_the_old_countrys_laws(region):
    assert judged(region) is None


def test_evidence_and_summary():
    finding = judged("GB", is_eu=True)
    assert finding.evidence == {
        "has_consent": False,
        "region": "GB",
        "is_eu": True,
        "laws": ("GDPR", "UK-GDPR"),
    }
    assert "GDPR and UK-GDPR" in finding.summary
