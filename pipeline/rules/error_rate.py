"""The base of `content.error_rate` and `device.error_rate`: a share of failures, and its level."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from pydantic import ConfigDict, Field

from pipeline.rules.finding import MAX_LIMIT, Dimension, Finding, Severity
from pipeline.rules.inputs import NO_OTHERS

Share = Annotated[float, Field(ge=0, le=1, strict=True)]
Count = Annotated[int, Field(ge=1, le=MAX_LIMIT, strict=True)]

Z_95: Final = 1.96
TOP: Final = 5


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """Judges the share of failed playback events in 60 whole minutes.

    A high share is significant with few events, a lower one needs more. With fewer events than that, one bad connection
    would look like a bad title.
    """

    rule_id: ClassVar[str]
    subject_type: ClassVar[str]
    runbook: ClassVar[str]
    dimension: ClassVar[Dimension] = "content"
    __pydantic_config__: ClassVar[ConfigDict] = NO_OTHERS

    high_over: Share = 0.20
    high_min_events: Count = 20
    medium_over: Share = 0.10
    medium_min_events: Count = 50

    def level(self, failed: int, total: int) -> Severity | None:
        """The level of `failed` of `total` events; None where the rule does not fire."""
        if total >= self.high_min_events and failed / total > self.high_over:
            return "HIGH"
        if total >= self.medium_min_events and failed / total > self.medium_over:
            return "MEDIUM"
        return None

    def finding(
        self,
        severity: Severity,
        failed: int,
        total: int,
        error_codes: Mapping[str, int],
        regions: Mapping[str, int],
        bounds: Mapping[str, object],
    ) -> Finding:
        """The finding of a level, with its evidence. `bounds` is the part of the evidence about the window."""
        low, high = wilson_interval(failed, total)
        return Finding(
            self.rule_id,
            self.dimension,
            severity,
            (),
            f"{failed} of {total} playback events of this {self.subject_type} failed within an hour.",
            {
                "failed": failed,
                "total": total,
                "rate": round(failed / total, 4),
                "wilson_low": low,
                "wilson_high": high,
                "top_error_codes": top(error_codes),
                "top_regions": top(regions),
                "high_over": self.high_over,
                "high_min_events": self.high_min_events,
                "medium_over": self.medium_over,
                "medium_min_events": self.medium_min_events,
                **bounds,
            },
        )


def top(counts: Mapping[str, int]) -> dict[str, int]:
    """The most frequent names with their counts, by descending count, then by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP])


def wilson_interval(failed: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share, rounded to 4 decimals.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    Journal of the American Statistical Association 22 (1927).
    """
    share = failed / total
    z2 = Z_95 * Z_95
    centre = share + z2 / (2 * total)
    spread = Z_95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    scale = 1 + z2 / total
    # Without failures the lower end may be just below zero, and -0.0 would be shown.
    return max(0.0, round((centre - spread) / scale, 4)), round((centre + spread) / scale, 4)
