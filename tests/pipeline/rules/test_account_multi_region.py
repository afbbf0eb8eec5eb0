"""`account.multi_region`."""

import pytest

from pipeline.rules.account_multi_region import MultiRegion, distinct_regions
from tests.pipeline.rules.cases import activity_of, entries_of, event

EEA_SIX = ["NL", "DE", "FR", "BE", "IT", "ES"]


def judged(regions, rule=None):
    return (rule or MultiRegion()).judge(
        activity_of(event(), entries_of(*({"region": each} for each in regions)))
    )


@pytest.mark.parametrize(
    ("regions", "severity"),
    [
        pytest.param(["NL"], None, id="one"),
        pytest.param(["NL", "US"], None, id="two"),
        pytest.param(["NL", "US"] * 5, None, id="two, often"),
        pytest.param(["NL", "US", "GB"], "MEDIUM", id="three"),
        pytest.param(["NL", "US", "GB", "JP"], "MEDIUM", id="four"),
        pytest.param(["NL", "US", "GB", "JP", "BR"], "HIGH", id="five"),
        pytest.param(EEA_SIX[:2], None, id="two in the EEA"),
        pytest.param(EEA_SIX[:3], "MEDIUM", id="three in the EEA"),
        pytest.param(EEA_SIX, "MEDIUM", id="six in the EEA"),
        pytest.param(["NL-NH", "DE-BE", "EU", "GP", "AX", "FR-RE"], "MEDIUM", id="the EEA's far corners"),
        pytest.param([*EEA_SIX[:4], "CH"], "HIGH", id="five, one of them outside the EEA"),
        pytest.param([*EEA_SIX[:4], "NL-AW"], "HIGH", id="five, one of them Aruba, outside the EEA"),
        pytest.param(["UK", "GB", "NL"], None, id="UK is GB"),
        pytest.param(["EL", "GR", "NL"], None, id="EL is GR"),
        pytest.param(["US", "US-CA", "NL"], None, id="a country beside its own subdivision"),
        pytest.param(["US", "US-CA", "US-NY"], None, id="a country beside two of its own"),
        pytest.param(["US-CA", "US-NY", "US-TX"], "MEDIUM", id="three subdivisions of one country"),
        pytest.param(["US", "US-PR", "NL"], "MEDIUM", id="Puerto Rico is no subdivision here"),
        pytest.param(["US", "US-CA", "NL", "GB"], "MEDIUM", id="three beside the bare country"),
        pytest.param(["ZZ", "ZY", "ZX", "ZW", "QQ"], "HIGH", id="unassigned ones are regions too"),
    ],
)
def test_severity(regions, severity):
    finding = judged(regions)
    assert (finding and finding.severity) == severity


def test_evidence():
    finding = judged(["US", "US-CA", "NL", "GB"])
    assert finding.evidence == {
        "distinct_regions": 3,
        "regions": ["GB", "NL", "US-CA"],
        "all_in_eea": False,
        "medium_over": 2,
        "high_over": 4,
        "window_start": "2026-01-31T19:15:03.000Z",
        "window_end": "2026-01-31T20:15:03.000Z",
    }
    assert finding.regulations == ()


def test_many_regions_are_listed_in_part_and_counted_in_full():
    regions = [f"US-{number}" for number in range(30)]
    evidence = judged(regions).evidence
    assert evidence["distinct_regions"] == 30
    assert evidence["regions"] == sorted(regions)[:20]


def test_limits_are_parameters():
    assert judged(["NL", "US"], MultiRegion(medium_over=0, high_over=1)).severity == "HIGH"


def test_regions_by_name():
    assert distinct_regions(["NL", "DE", "NL-NH"]) == ["DE", "NL-NH"]
