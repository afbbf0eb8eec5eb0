"""`privacy.minor`: a child's data without the consent that the child's age requires. It looks at the legal profile."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from pipeline.rules.finding import Dimension, Finding
from pipeline.rules.inputs import NO_OTHERS, Profile


@dataclass(frozen=True, slots=True)
class Minor:
    """Fires if the user is below the consent age of one of the event's laws and there is no consent (e.g. GDPR art. 8).

    Under COPPA (15 U.S.C. 6501-6506; 16 CFR 312.5) sharing a child's data fires even with consent, because the flag on
    the event is no verifiable consent of a parent to disclosure.
    """

    rule_id: ClassVar[str] = "privacy.minor"
    dimension: ClassVar[Dimension] = "privacy"
    looks_at: ClassVar[Literal["profile"]] = "profile"
    runbook: ClassVar[str] = (
        "Check the age in the account and whether a parent's verifiable consent is on file. If there is none, "
        "stop collecting and sharing for this account and inform the privacy officer; leave it only where "
        "that consent is documented, or the age was entered wrongly and is corrected."
    )
    references: ClassVar[tuple[str, ...]] = (
        "GDPR: Regulation (EU) 2016/679, General Data Protection Regulation, art. 8(1)",
        (
            "UK-GDPR: United Kingdom General Data Protection Regulation, art. 8(1), as read with Data Protection "
            "Act 2018 s. 9"
        ),
        (
            "CCPA: California Consumer Privacy Act, as amended by the California Privacy Rights Act, Cal. Civ. "
            "Code § 1798.120(c)"
        ),
        "LGPD: Lei Geral de Proteção de Dados Pessoais, Lei n.º 13.709/2018 (Brazil), art. 14(1)",
        "PIPL: Personal Information Protection Law (China), art. 31",
        "PDPA-TH: Personal Data Protection Act B.E. 2562 (Thailand), s. 20",
        "PIPA: Personal Information Protection Act (Republic of Korea), art. 22-2",
        "DPDP: Digital Personal Data Protection Act, 2023 (India), s. 9(1)",
        "POPIA: Protection of Personal Information Act, 2013 (South Africa), s. 34, 35",
        "COPPA: Children's Online Privacy Protection Act (United States), 15 U.S.C. 6502(b); 16 CFR 312.5",
    )
    __pydantic_config__: ClassVar[ConfigDict] = NO_OTHERS

    def judge(self, profile: Profile) -> Finding | None:
        """The finding, where the rule fires."""
        age = profile.user_age
        if age is None:
            return None
        missed: dict[str, int | None] = {}
        if not profile.has_consent:
            missed = {
                law.id: law.consent_age
                for law in profile.laws.laws
                if law.consent_age is not None and age < law.consent_age
            }
        coppa = profile.laws.coppa_age
        shared = coppa is not None and age < coppa and profile.data_shared != "none"
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
                "has_consent": profile.has_consent,
                "data_shared": profile.data_shared,
                "region": profile.region,
            },
        )
