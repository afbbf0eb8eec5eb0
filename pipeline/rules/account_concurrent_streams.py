"""`account.concurrent_streams`: more devices play at once than the plan allows. It looks at the user's activity."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, ClassVar, Final, Literal

from pydantic import ConfigDict, Field

from pipeline.rules.finding import LISTED, MAX_LIMIT, Dimension, Finding, graded
from pipeline.rules.inputs import NO_OTHERS, Activity
from pipeline.windows.window import PLAYING_MS

Streams = Annotated[int, Field(ge=1, le=MAX_LIMIT, strict=True)]

PLAN_LIMITS: Final[Mapping[str, int]] = MappingProxyType(
    {"free": 1, "trial": 1, "basic": 1, "standard": 2, "premium": 4, "vip": 4, "family": 6}
)


@dataclass(frozen=True, slots=True)
class ConcurrentStreams:
    """Fires if more devices play than the plan of the event allows: MEDIUM above the limit, HIGH above twice the limit.

    A device plays if its latest sign of playing is later than its latest release and less than 15 minutes before the
    stream time. A plan that `plan_limits` does not name keeps its default.
    """

    rule_id: ClassVar[str] = "account.concurrent_streams"
    dimension: ClassVar[Dimension] = "account"
    looks_at: ClassVar[Literal["activity"]] = "activity"
    runbook: ClassVar[str] = (
        "Check whether the devices that play belong to one household and whether the plan was changed lately. "
        "If the account is shared, offer a larger plan or end the oldest streams; leave a short excess that "
        "ends when the user changes devices."
    )
    __pydantic_config__: ClassVar[ConfigDict] = NO_OTHERS

    plan_limits: Mapping[str, Streams] = field(default_factory=lambda: dict(PLAN_LIMITS))
    unknown_plan_limit: Streams = 4

    def __post_init__(self) -> None:
        """Keep the defaults of the plans that are not named."""
        object.__setattr__(self, "plan_limits", {**PLAN_LIMITS, **self.plan_limits})

    def judge(self, activity: Activity) -> Finding | None:
        """The finding, where the rule fires."""
        plan = activity.plan
        limit = (
            self.unknown_plan_limit if plan is None else self.plan_limits.get(plan, self.unknown_plan_limit)
        )
        playing = activity.window.playing(activity.stream_time, more_than=limit)
        severity = graded(len(playing), limit, 2 * limit)
        if severity is None:
            return None
        devices = sorted(activity.show(device) for device in playing)
        return Finding(
            self.rule_id,
            self.dimension,
            severity,
            (),
            f"{len(playing)} devices play at once; the plan allows {limit}.",
            {
                "devices_playing": len(playing),
                "devices": devices[:LISTED],
                "subscription_plan": plan,
                "limit": limit,
                "high_over": 2 * limit,
                "silent_after_seconds": PLAYING_MS // 1000,
                **activity.window_bounds(),
            },
        )
