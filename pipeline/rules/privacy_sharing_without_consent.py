"""`privacy.sharing_without_consent`: third parties got data without consent. It looks at the legal profile."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from pipeline.rules.finding import Dimension, Finding
from pipeline.rules.inputs import NO_OTHERS, Profile


@dataclass(frozen=True, slots=True)
class SharingWithoutConsent:
    """Fires if data was shared without consent: MEDIUM for a part of the data, HIGH for all of it."""

    rule_id: ClassVar[str] = "privacy.sharing_without_consent"
    dimension: ClassVar[Dimension] = "privacy"
    looks_at: ClassVar[Literal["profile"]] = "profile"
    runbook: ClassVar[str] = (
        "Check which third parties received the data and whether the user consented to that elsewhere. If "
        "not, stop the sharing for this user, ask the recipients to delete what they got, and inform the "
        "privacy officer; leave it only where the recipient works on your behalf under a contract."
    )
    references: ClassVar[tuple[str, ...]] = (
        "GDPR: Regulation (EU) 2016/679, General Data Protection Regulation, art. 6(1)(a), art. 7",
        "UK-GDPR: United Kingdom General Data Protection Regulation, art. 6(1)(a), art. 7",
        (
            "CCPA: California Consumer Privacy Act, as amended by the California Privacy Rights Act, Cal. Civ. "
            "Code § 1798.120(a): the right to opt out of sale and sharing"
        ),
        "COPPA: Children's Online Privacy Protection Act (United States), 15 U.S.C. 6502(b); 16 CFR 312.5",
        "VPPA: Video Privacy Protection Act (United States), 18 U.S.C. 2710(b)(2)(B)",
    )
    __pydantic_config__: ClassVar[ConfigDict] = NO_OTHERS

    def judge(self, profile: Profile) -> Finding | None:
        """The finding, where the rule fires."""
        if profile.has_consent or profile.data_shared == "none":
            return None
        full = profile.data_shared == "full"
        return Finding(
            self.rule_id,
            self.dimension,
            "HIGH" if full else "MEDIUM",
            profile.laws.names,
            f"{'All' if full else 'A part'} of the data was shared with third parties without consent.",
            {
                "has_consent": False,
                "data_shared": profile.data_shared,
                "region": profile.region,
                "laws": profile.laws.names,
            },
        )
