"""`account.multi_ip`: one account is used from too many networks in an hour. It looks at the user's activity."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from pipeline.events.addresses import mask_network
from pipeline.rules.finding import LISTED, Dimension, Finding, Limit, graded
from pipeline.rules.inputs import NO_OTHERS, Activity


@dataclass(frozen=True, slots=True)
class MultiIp:
    """Fires above `medium_over` / `high_over` distinct networks (IPv4 addresses, IPv6 /64).

    Five networks are normal: a line at home, a phone that changes cells, a place of work.
    """

    rule_id: ClassVar[str] = "account.multi_ip"
    dimension: ClassVar[Dimension] = "account"
    looks_at: ClassVar[Literal["activity"]] = "activity"
    runbook: ClassVar[str] = (
        "Check whether the networks lie in one region and belong to one mobile provider, which changes "
        "addresses often. If they do not, look for shared credentials and ask the user to change the "
        "password; leave it where a single device moves."
    )
    __pydantic_config__: ClassVar[ConfigDict] = NO_OTHERS

    medium_over: Limit = 5
    high_over: Limit = 10

    def judge(self, activity: Activity) -> Finding | None:
        """The finding, where the rule fires."""
        networks = activity.window.networks
        severity = graded(len(networks), self.medium_over, self.high_over)
        if severity is None:
            return None
        masked = sorted({mask_network(network) for network in networks})
        return Finding(
            self.rule_id,
            self.dimension,
            severity,
            (),
            f"The account was used from {len(networks)} networks within an hour.",
            {
                "distinct_networks": len(networks),
                "distinct_masked_networks": len(masked),
                "masked_networks": masked[:LISTED],
                "medium_over": self.medium_over,
                "high_over": self.high_over,
                **activity.window_bounds(),
            },
        )
