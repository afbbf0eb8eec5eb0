"""`privacy.sharing_without_consent`: third parties received what nobody consented to."""

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from pipeline.rules.case import NO_OTHERS, Case, LooksAt
from pipeline.rules.finding import Dimension, Finding


@dataclass(frozen=True, slots=True)
class SharingWithoutConsent:
    """Fires where data was shared without consent: MEDIUM for a part of it, HIGH for all."""

    rule_id: ClassVar[str] = "privacy.sharing_without_consent"
    dimension: ClassVar[Dimension] = "privacy"
    looks_at: ClassVar[LooksAt] = "profile"
    __pydantic_config__: ClassVar[ConfigDict] = NO_OTHERS

    def judge(self, case: Case) -> Finding | None:
        """The finding, where the rule fires."""
        event = case.event
        if event.has_consent or event.data_shared == "none":
            return None
        full = event.data_shared == "full"
        return Finding(
            self.rule_id,
            self.dimension,
            "HIGH" if full else "MEDIUM",
            case.laws.names,
            f"{'All' if full else 'A part'} of the data was shared with third parties without consent.",
            {
                "has_consent": False,
                "data_shared": event.data_shared,
                "region": event.region,
                "laws": case.laws.names,
            },
        )
