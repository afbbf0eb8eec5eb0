"""`account.multi_ip`."""

import pytest

from pipeline.rules.account_multi_ip import MultiIp
from tests.pipeline.rules.cases import activity_of, entries_of, event


def judged(addresses):
    entries = entries_of(*({"ip_address": address} for address in addresses))
    return MultiIp().judge(activity_of(event(), entries))


def ipv4(count):
    return [f"192.0.2.{number}" for number in range(count)]


@pytest.mark.parametrize(
    ("addresses", "severity"),
    [
        pytest.param(ipv4(5), None, id="five"),
        pytest.param(ipv4(5) * 3, None, id="five, often"),
        pytest.param(ipv4(6), "MEDIUM", id="six"),
        pytest.param(ipv4(10), "MEDIUM", id="ten"),
        pytest.param(ipv4(11), "HIGH", id="eleven"),
        pytest.param([*ipv4(5), "::ffff:192.0.2.0"], None, id="a mapped address is the IPv4 one"),
        pytest.param([f"2001:db8::{number:x}" for number in range(20)], None, id="one /64"),
        pytest.param([f"2001:db8:0:{number:x}::1" for number in range(6)], "MEDIUM", id="six /64"),
    ],
)
def test_severity(addresses, severity):
    finding = judged(addresses)
    assert (finding and finding.severity) == severity


def test_evidence_masks_addresses_and_counts_them_exactly():
    evidence = judged([*ipv4(5), "198.51.100.9", "2001:db8:1:2::3", "2001:db8:1:4::3"]).evidence
    assert evidence == {
        "distinct_networks": 8,
        "distinct_masked_networks": 3,
        "masked_networks": ["192.0.2.0/24", "198.51.100.0/24", "2001:db8:1::/48"],
        "medium_over": 5,
        "high_over": 10,
        "window_start": "2026-01-31T19:15:07.000Z",
        "window_end": "2026-01-31T20:15:07.000Z",
    }
