"""`privacy.sharing_without_consent`."""

import pytest

from pipeline.rules.privacy_sharing_without_consent import SharingWithoutConsent
from tests.pipeline.rules.cases import profile, said


@pytest.mark.parametrize(
    ("shared", "has_consent", "severity"),
    [
        ("partial", False, "MEDIUM"),
        ("full", False, "HIGH"),
        ("none", False, None),
        (None, False, None),
        ("partial", True, None),
        ("full", True, None),
    ],
)
def test_severity(shared, has_consent, severity):
    finding = SharingWithoutConsent().judge(profile(data_shared=shared, has_consent=has_consent))
    assert said(finding) == (None if severity is None else (severity, ("GDPR",)))


@pytest.mark.parametrize(
    ("region", "is_eu", "laws"),
    [
        ("US-CA", False, ("CCPA", "COPPA", "VPPA")),
        ("US-CA", True, ("CCPA", "COPPA", "GDPR", "VPPA")),
        ("CH", False, ("FADP",)),
        ("ZZ", False, ()),
        ("NL", True, ("GDPR",)),
    ],
)
def test_the_regulations_are_all_of_the_events_laws(region, is_eu, laws):
    given = profile(region=region, is_eu=is_eu, has_consent=False, data_shared="full")
    assert said(SharingWithoutConsent().judge(given)) == ("HIGH", laws)
