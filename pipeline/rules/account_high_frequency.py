"""`account.high_frequency`: more events in an hour than people make. It looks at the user's activity."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from pipeline.rules.finding import Dimension, Finding, Limit, graded
from pipeline.rules.inputs import NO_OTHERS, Activity


@dataclass(frozen=True, slots=True)
class HighFrequency:
    """Fires above `medium_over` / `high_over` events in the window.

    A heartbeat per minute on four devices makes 240 events an hour, which must not fire.
    """

    rule_id: ClassVar[str] = "account.high_frequency"
    dimension: ClassVar[Dimension] = "account"
    looks_at: ClassVar[Literal["activity"]] = "activity"
    runbook: ClassVar[str] = (
        "Check which devices send the events: one that repeats the same event points to a defective client, "
        "many event types at this pace to a script. Mend the client or limit the account; leave it where a "
        "known load test is running."
    )
    __pydantic_config__: ClassVar[ConfigDict] = NO_OTHERS

    medium_over: Limit = 300
    high_over: Limit = 1000

    def judge(self, activity: Activity) -> Finding | None:
        """The finding, where the rule fires."""
        count = len(activity.window)
        severity = graded(count, self.medium_over, self.high_over)
        if severity is None:
            return None
        return Finding(
            self.rule_id,
            self.dimension,
            severity,
            (),
            f"The account made {count} events within an hour.",
            {
                "events": count,
                "medium_over": self.medium_over,
                "high_over": self.high_over,
                **activity.window_bounds(),
            },
        )
