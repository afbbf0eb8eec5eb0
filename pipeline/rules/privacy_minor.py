"""`privacy.minor`: a child's data without the consent that its age asks for."""

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from pipeline.rules.case import NO_OTHERS, Case, LooksAt
from pipeline.rules.finding import Dimension, Finding


@dataclass(frozen=True, slots=True)
class Minor:
    """Fires below the consent age of one of the event's laws without consent (e.g. GDPR art. 8).

    Under COPPA (15 U.S.C. 6501-6506; 16 CFR 312.5) sharing a child's data fires whatever the consent: the
    flag on the event is not a verifiable parental consent to disclosure.
    """

    rule_id: ClassVar[str] = "privacy.minor"
    dimension: ClassVar[Dimension] = "privacy"
    looks_at: ClassVar[LooksAt] = "profile"
    __pydantic_config__: ClassVar[ConfigDict] = NO_OTHERS

    def judge(self, case: Case) -> Finding | None:
        """The finding, where the rule fires."""
        event = case.event
        age = event.user_age
        if age is None:
            return None
        missed: dict[str, int | None] = {}
        if not event.has_consent:
            missed = {
                law.id: law.consent_age
                for law in case.laws.laws
                if law.consent_age is not None and age < law.consent_age
            }
        coppa = case.laws.coppa_age
        shared = coppa is not None and age < coppa and event.data_shared != "none"
        if shared:
            missed["COPPA"] = coppa
        if not missed:
            return None
        names = tuple(sorted(missed))
        what = "and their data was shared" if shared else "and there is no consent"
        return Finding(
            self.rule_id,
            self.dimension,
            "HIGH",
            names,
            f"The user is {age}, below the consent age under {' and '.join(names)}, {what}.",
            {
                "user_age": age,
                "consent_ages": dict(sorted(missed.items())),
                "has_consent": event.has_consent,
                "data_shared": event.data_shared,
                "region": event.region,
            },
        )
