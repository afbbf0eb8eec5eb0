"""`account.login_failures`."""

import pytest

from pipeline.rules.account_login_failures import LoginFailures
from tests.pipeline.rules.cases import activity_of, entries_of, event


def judged(*kinds):
    return LoginFailures().judge(activity_of(event(), entries_of(*({"event_type": kind} for kind in kinds))))


@pytest.mark.parametrize(
    ("kinds", "severity"),
    [
        pytest.param(["LOGIN_FAILED"] * 5, None, id="five"),
        pytest.param(["LOGIN_FAILED"] * 6, "MEDIUM", id="six"),
        pytest.param(["login_failed"] * 3 + ["TOKEN_REFRESH_FAILED"] * 3, "MEDIUM", id="both kinds"),
        pytest.param(["TOKEN_REFRESH_FAILED"] * 20, "MEDIUM", id="twenty"),
        pytest.param(["LOGIN_FAILED"] * 21, "HIGH", id="twenty-one"),
        pytest.param(["LOGIN"] * 30, None, id="that succeed"),
        pytest.param(["ERROR"] * 30, None, id="other errors"),
        pytest.param(["LOGIN_FAILED_AGAIN"] * 30, None, id="a type that nobody knows"),
    ],
)
def test_severity(kinds, severity):
    finding = judged(*kinds)
    assert (finding and finding.severity) == severity


def test_evidence():
    evidence = judged(*["LOGIN_FAILED"] * 6).evidence
    assert (evidence["failures"], evidence["medium_over"], evidence["high_over"]) == (6, 5, 20)
