"""`device.error_rate`."""

import pytest

from pipeline.rules.device_error_rate import DeviceErrorRate
from tests.pipeline.rules.error_rates import LEVELS


@pytest.mark.parametrize(("failed", "total", "level"), LEVELS)
def test_level(failed, total, level):
    assert DeviceErrorRate().level(failed, total) == level


def test_the_finding_names_its_subject():
    finding = DeviceErrorRate().finding("HIGH", 10, 20, {"E1": 10}, {"NL": 20}, {"window_end": "then"})
    assert (finding.rule_id, finding.dimension, finding.regulations) == ("device.error_rate", "content", ())
    assert finding.summary == "10 of 20 playback events of this device failed within an hour."
    assert finding.evidence["window_end"] == "then"
