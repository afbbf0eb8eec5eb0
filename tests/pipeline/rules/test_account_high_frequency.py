"""`account.high_frequency`."""

import pytest

from pipeline.rules.account_high_frequency import HighFrequency
from tests.pipeline.rules.cases import NOW, activity_of, entries_of, event


def judged(count):
    (one,) = entries_of({})
    return HighFrequency().judge(
        activity_of(event(), [one._replace(identity=n, time=NOW) for n in range(count)])
    )


@pytest.mark.parametrize(
    ("count", "severity"),
    [(1, None), (300, None), (301, "MEDIUM"), (1000, "MEDIUM"), (1001, "HIGH"), (4096, "HIGH")],
)
def test_severity(count, severity):
    finding = judged(count)
    assert (finding and finding.severity) == severity


def test_evidence():
    assert judged(301).evidence == {
        "events": 301,
        "medium_over": 300,
        "high_over": 1000,
        "window_start": "2026-01-31T19:15:00.000Z",
        "window_end": "2026-01-31T20:15:00.000Z",
    }
