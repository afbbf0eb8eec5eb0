"""The interval of an error rate as it is shown."""

from math import copysign

from pipeline.rules.error_rate import wilson_interval


def test_no_interval_begins_at_minus_zero():
    for total in range(1, 3000):
        low, _ = wilson_interval(0, total)
        assert copysign(1, low) == 1
