"""`privacy.jurisdiction_mismatch`: region and `is_eu` contradict each other. It looks at the legal profile."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from pipeline.jurisdictions.regions import country_of, in_eea, is_assigned_country
from pipeline.rules.finding import Dimension, Finding
from pipeline.rules.inputs import NO_OTHERS, Profile


@dataclass(frozen=True, slots=True)
class JurisdictionMismatch:
    """Fires if a region in the EEA comes without `is_eu` (MEDIUM), or a region outside of it with `is_eu` (LOW).

    The first leaves a person without protection. The second protects a person who may only be travelling.
    """

    rule_id: ClassVar[str] = "privacy.jurisdiction_mismatch"
    dimension: ClassVar[Dimension] = "privacy"
    looks_at: ClassVar[Literal["profile"]] = "profile"
    runbook: ClassVar[str] = (
        "Check how the client derives region and is_eu; a whole client version that disagrees is a defect to "
        "mend there. Treat the user as protected by the GDPR until that is clear; leave a LOW finding of a "
        "single user who is travelling."
    )
    references: ClassVar[tuple[str, ...]] = (
        "GDPR: Regulation (EU) 2016/679, General Data Protection Regulation, art. 3",
    )
    __pydantic_config__: ClassVar[ConfigDict] = NO_OTHERS

    def judge(self, profile: Profile) -> Finding | None:
        """The finding, where the rule fires."""
        inside = in_eea(profile.region)
        if inside == profile.is_eu or (profile.is_eu and not is_assigned_country(country_of(profile.region))):
            return None
        evidence: dict[str, object] = {
            "region": profile.region,
            "is_eu": profile.is_eu,
            "region_in_eea": inside,
        }
        if inside:
            summary = f"The region {profile.region} lies in the EEA, but the event says that the GDPR does not apply."
            return Finding(self.rule_id, self.dimension, "MEDIUM", ("GDPR",), summary, evidence)
        summary = (
            f"The event says that the GDPR applies, but the region {profile.region} lies outside the EEA."
        )
        return Finding(self.rule_id, self.dimension, "LOW", ("GDPR",), summary, evidence)
