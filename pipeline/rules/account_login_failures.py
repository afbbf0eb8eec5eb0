"""`account.login_failures`: many failed log-ins and token refreshes in an hour. It looks at the user's activity."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from pipeline.rules.finding import Dimension, Finding, Limit, graded
from pipeline.rules.inputs import NO_OTHERS, Activity


@dataclass(frozen=True, slots=True)
class LoginFailures:
    """Fires above `medium_over` / `high_over` failures.

    Five failures can be a forgotten password; twenty an hour are credential stuffing (OWASP OAT-008).
    """

    rule_id: ClassVar[str] = "account.login_failures"
    dimension: ClassVar[Dimension] = "account"
    looks_at: ClassVar[Literal["activity"]] = "activity"
    runbook: ClassVar[str] = (
        "Check whether the failures come from many networks (somebody tries passwords) or from one device (a "
        "forgotten password, an expired token). In the first case lock log-ins and ask for a new password; "
        "leave a single device that succeeds in the end."
    )
    __pydantic_config__: ClassVar[ConfigDict] = NO_OTHERS

    medium_over: Limit = 5
    high_over: Limit = 20

    def judge(self, activity: Activity) -> Finding | None:
        """The finding, where the rule fires."""
        failures = activity.window.login_failures
        severity = graded(failures, self.medium_over, self.high_over)
        if severity is None:
            return None
        return Finding(
            self.rule_id,
            self.dimension,
            severity,
            (),
            f"{failures} log-ins or token refreshes of the account failed within an hour.",
            {
                "failures": failures,
                "medium_over": self.medium_over,
                "high_over": self.high_over,
                **activity.window_bounds(),
            },
        )
