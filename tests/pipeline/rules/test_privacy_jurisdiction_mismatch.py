"""`privacy.jurisdiction_mismatch`."""

import pytest

from pipeline.rules.privacy_jurisdiction_mismatch import JurisdictionMismatch
from tests.pipeline.rules.cases import profile, said


@pytest.mark.parametrize(
    ("region", "is_eu", "severity"),
    [
        ("NL", True, None),
        ("NL", False, "MEDIUM"),
        ("NL-NH", False, "MEDIUM"),
        ("el", False, "MEDIUM"),
        ("EU", False, "MEDIUM"),
        ("EU", True, None),
        ("EU-1", True, None),
        ("AX", False, "MEDIUM"),
        ("FI-01", True, None),
        ("FR-GP", False, "MEDIUM"),
        ("NO", True, None),
        ("LI", False, "MEDIUM"),
        ("UK", True, "LOW"),
        ("UK", False, None),
        ("CH", True, "LOW"),
        ("US-CA", True, "LOW"),
        ("XK", True, "LOW"),
        ("XK-1", True, "LOW"),
        ("NL-AW", True, "LOW"),
        ("NO-21", True, "LOW"),
        ("FR-PF", True, "LOW"),
        ("FR-PF", False, None),
        ("ZZ", True, None),
        ("ZZ-1", True, None),
        ("ZZ", False, None),
        ("US", False, None),
    ],
)
def test_severity(region, is_eu, severity):
    finding = JurisdictionMismatch().judge(profile(region=region, is_eu=is_eu))
    assert said(finding) == (None if severity is None else (severity, ("GDPR",)))
