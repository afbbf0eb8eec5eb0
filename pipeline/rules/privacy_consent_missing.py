"""`privacy.consent_missing`: personal data without the consent that a law asks for."""

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from pipeline.rules.case import NO_OTHERS, Case, LooksAt
from pipeline.rules.finding import POINTS, Dimension, Finding


@dataclass(frozen=True, slots=True)
class ConsentMissing:
    """Fires where the event has no consent and one of its laws asks consent by default.

    The severity is the highest that those laws have in the jurisdictions' data file.
    """

    rule_id: ClassVar[str] = "privacy.consent_missing"
    dimension: ClassVar[Dimension] = "privacy"
    looks_at: ClassVar[LooksAt] = "profile"
    __pydantic_config__: ClassVar[ConfigDict] = NO_OTHERS

    def judge(self, case: Case) -> Finding | None:
        """The finding, where the rule fires."""
        if case.event.has_consent:
            return None
        asking = case.laws.asking_consent
        severities = [law.missing_consent for law in asking if law.missing_consent is not None]
        if not severities:
            return None
        names = tuple(law.id for law in asking)
        return Finding(
            self.rule_id,
            self.dimension,
            max(severities, key=POINTS.__getitem__),
            names,
            f"Data from {case.event.region} was processed without the consent required under "
            f"{' and '.join(names)}.",
            {"has_consent": False, "region": case.event.region, "is_eu": case.event.is_eu, "laws": names},
        )
