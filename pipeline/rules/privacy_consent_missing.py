"""`privacy.consent_missing`: data without the consent that a law requires. It looks at the legal profile."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from pipeline.rules.finding import POINTS, Dimension, Finding
from pipeline.rules.inputs import NO_OTHERS, Profile


@dataclass(frozen=True, slots=True)
class ConsentMissing:
    """Fires if the event has no consent and one of its laws requires consent by default.

    The severity is the highest that `laws.toml` gives for those laws.
    """

    rule_id: ClassVar[str] = "privacy.consent_missing"
    dimension: ClassVar[Dimension] = "privacy"
    looks_at: ClassVar[Literal["profile"]] = "profile"
    runbook: ClassVar[str] = (
        "Check whether the consent was recorded elsewhere (consent banner, account settings) and did not "
        "reach the event. If there is no consent, stop collecting for this user and delete what was "
        "collected; leave it only where another legal basis is documented."
    )
    references: ClassVar[tuple[str, ...]] = (
        (
            "GDPR: Regulation (EU) 2016/679, General Data Protection Regulation, art. 6(1)(a), art. 7; Directive "
            "2002/58/EC art. 5(3)"
        ),
        (
            "UK-GDPR: United Kingdom General Data Protection Regulation, art. 6(1)(a), art. 7; Privacy and "
            "Electronic Communications Regulations 2003 reg. 6"
        ),
        "LGPD: Lei Geral de Proteção de Dados Pessoais, Lei n.º 13.709/2018 (Brazil), art. 7(I), art. 8",
        "PIPL: Personal Information Protection Law (China), art. 13(1), 14",
        "PDPA-SG: Personal Data Protection Act 2012 (Singapore), s. 13",
        "PDPA-TH: Personal Data Protection Act B.E. 2562 (Thailand), s. 19",
        "PIPA: Personal Information Protection Act (Republic of Korea), art. 15(1)(1), 22",
        (
            "PIPEDA: Personal Information Protection and Electronic Documents Act (Canada), s. 6.1, Sch. 1 cl. "
            "4.3"
        ),
        "DPDP: Digital Personal Data Protection Act, 2023 (India), s. 4(1)(a), 6",
        "POPIA: Protection of Personal Information Act, 2013 (South Africa), s. 11(1)(a), 69",
    )
    __pydantic_config__: ClassVar[ConfigDict] = NO_OTHERS

    def judge(self, profile: Profile) -> Finding | None:
        """The finding, where the rule fires."""
        if profile.has_consent:
            return None
        asking = profile.laws.asking_consent
        severities = [law.missing_consent for law in asking if law.missing_consent is not None]
        if not severities:
            return None
        names = tuple(law.id for law in asking)
        return Finding(
            self.rule_id,
            self.dimension,
            max(severities, key=POINTS.__getitem__),
            names,
            f"Data from {profile.region} was processed without the consent required under "
            f"{' and '.join(names)}.",
            {"has_consent": False, "region": profile.region, "is_eu": profile.is_eu, "laws": names},
        )
