"""`account.multi_region`: one account is used in too many regions in an hour. It looks at the user's activity."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from pipeline.jurisdictions.regions import country_of, in_eea
from pipeline.rules.finding import LISTED, Dimension, Finding, Limit, graded
from pipeline.rules.inputs import NO_OTHERS, Activity


@dataclass(frozen=True, slots=True)
class MultiRegion:
    """Fires above `medium_over` / `high_over` distinct regions.

    Two regions are normal for a commute across a border. The severity is at most MEDIUM if all regions lie in the EEA,
    where subscribers may use their service across borders (Regulation (EU) 2017/1128). A country does not count beside
    one of its own subdivisions, because it names the same place less exactly.
    """

    rule_id: ClassVar[str] = "account.multi_region"
    dimension: ClassVar[Dimension] = "account"
    looks_at: ClassVar[Literal["activity"]] = "activity"
    runbook: ClassVar[str] = (
        "Check the regions against the account's devices, and whether a VPN is used. If several devices play "
        "in places far apart, treat the credentials as shared or stolen and ask the user to change the "
        "password; leave a traveller with one device."
    )
    __pydantic_config__: ClassVar[ConfigDict] = NO_OTHERS

    medium_over: Limit = 2
    high_over: Limit = 4

    def judge(self, activity: Activity) -> Finding | None:
        """The finding, where the rule fires."""
        if len(activity.window.regions) <= self.medium_over:
            return None
        regions = distinct_regions(activity.window.regions)
        severity = graded(len(regions), self.medium_over, self.high_over)
        if severity is None:
            return None
        all_in_eea = all(in_eea(region) for region in regions)
        if all_in_eea:
            severity = "MEDIUM"
        return Finding(
            self.rule_id,
            self.dimension,
            severity,
            (),
            f"The account was used in {len(regions)} regions within an hour.",
            {
                "distinct_regions": len(regions),
                "regions": regions[:LISTED],
                "all_in_eea": all_in_eea,
                "medium_over": self.medium_over,
                "high_over": self.high_over,
                **activity.window_bounds(),
            },
        )


def distinct_regions(regions: Iterable[str]) -> list[str]:
    """The regions, sorted, without a country that stands beside one of its own subdivisions."""
    seen = set(regions)
    divided = {country_of(region) for region in seen if region != country_of(region)}
    return sorted(seen - divided)
