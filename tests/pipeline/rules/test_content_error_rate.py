"""`content.error_rate`."""

import pytest

from pipeline.rules.content_error_rate import ContentErrorRate
from tests.pipeline.rules.error_rates import LEVELS


@pytest.mark.parametrize(("failed", "total", "level"), LEVELS)
def test_level(failed, total, level):
    assert ContentErrorRate().level(failed, total) == level


def test_the_finding_names_its_subject():
    finding = ContentErrorRate().finding("HIGH", 10, 20, {"E1": 10}, {"NL": 20}, {"window_end": "then"})
    assert (finding.rule_id, finding.dimension, finding.regulations) == ("content.error_rate", "content", ())
    assert finding.summary == "10 of 20 playback events of this content failed within an hour."
    assert finding.evidence["window_end"] == "then"
