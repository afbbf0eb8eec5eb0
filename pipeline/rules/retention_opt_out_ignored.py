"""`retention.opt_out_ignored`: events of a user who opted out or asked for deletion. It looks at the opt-outs."""

from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from pydantic import ConfigDict, StrictBool

from pipeline.events.instants import format_instant
from pipeline.rules.finding import Dimension, Finding, Severity
from pipeline.rules.inputs import NO_OTHERS, OptOuts

_LOWERED: Final[dict[Severity, Severity]] = {"HIGH": "MEDIUM", "MEDIUM": "LOW", "LOW": "LOW"}


@dataclass(frozen=True, slots=True)
class OptOutIgnored:
    """Fires if the event has a signal, or the privacy record has a mark that is in force at the event time.

    The severity is HIGH if one of the event's laws grants the right (e.g. GDPR art. 17 and 21, Cal. Civ. Code 1798.105
    and 1798.120), else MEDIUM. `lower_unless_shared` is for those who read an opt-out as one from sale and sharing only
    (Cal. Civ. Code 1798.120). With it the severity of an opt-out, not of a deletion, is one step lower while no data is
    shared.
    """

    rule_id: ClassVar[str] = "retention.opt_out_ignored"
    dimension: ClassVar[Dimension] = "retention"
    looks_at: ClassVar[Literal["opt_outs"]] = "opt_outs"
    runbook: ClassVar[str] = (
        "Check in the user's privacy record since when the opt-out or deletion holds, and which client still "
        "sends. Stop that collection and carry the request out before the deadline; leave it only where the "
        "user withdrew the request later, or a law obliges you to keep the data."
    )
    references: ClassVar[tuple[str, ...]] = (
        "GDPR: Regulation (EU) 2016/679, General Data Protection Regulation, art. 7(3), 17, 21",
        "UK-GDPR: United Kingdom General Data Protection Regulation, art. 7(3), 17, 21",
        "FADP: Federal Act on Data Protection (Switzerland), art. 30(2)(b), 32(2)(c)",
        (
            "CCPA: California Consumer Privacy Act, as amended by the California Privacy Rights Act, Cal. Civ. "
            "Code §§ 1798.105, 1798.120, 1798.135(b)"
        ),
        (
            "LGPD: Lei Geral de Proteção de Dados Pessoais, Lei n.º 13.709/2018 (Brazil), art. 8(5), art. 18(VI), "
            "(IX)"
        ),
        "PIPL: Personal Information Protection Law (China), art. 15, 44, 47",
        "PDPA-TH: Personal Data Protection Act B.E. 2562 (Thailand), s. 19, 32, 33",
        "PIPA: Personal Information Protection Act (Republic of Korea), art. 36, 37",
        "APPI: Act on the Protection of Personal Information (Japan), art. 35",
        "DPDP: Digital Personal Data Protection Act, 2023 (India), s. 6(4), 12",
        "POPIA: Protection of Personal Information Act, 2013 (South Africa), s. 5, 11(2)-(3), 24",
    )
    __pydantic_config__: ClassVar[ConfigDict] = NO_OTHERS

    lower_unless_shared: StrictBool = False

    def judge(self, opt_outs: OptOuts) -> Finding | None:
        """The finding, where the rule fires."""
        profile, privacy = opt_outs.profile, opt_outs.privacy
        opted_out = privacy.opt_out.in_force(opt_outs.time)
        deleted = privacy.deletion.in_force(opt_outs.time)
        signals = [name for name in ("do_not_track", "gpc", "deletion_requested") if getattr(opt_outs, name)]
        if not (opted_out or deleted or signals):
            return None
        granting = profile.laws.granting
        severity: Severity = "HIGH" if granting else "MEDIUM"
        deletion = deleted or opt_outs.deletion_requested
        if self.lower_unless_shared and not deletion and profile.data_shared == "none":
            severity = _LOWERED[severity]
        evidence: dict[str, object] = {
            "signals": signals,
            "data_shared": profile.data_shared,
            "region": profile.region,
        }
        if opted_out and privacy.opt_out.since is not None:
            evidence["opted_out_since"] = format_instant(privacy.opt_out.since)
        if deleted and privacy.deletion.since is not None:
            evidence["deletion_requested_since"] = format_instant(privacy.deletion.since)
        if deletion:
            evidence["deletion_deadline_days"] = {law.id: law.deadline_days for law in granting}
        what = "asked for deletion" if deletion else "opted out"
        names = tuple(law.id for law in granting)
        right = f", a right under {' and '.join(names)}" if names else ""
        return Finding(
            self.rule_id,
            self.dimension,
            severity,
            names,
            f"The user {what}{right}, and events go on being recorded.",
            evidence,
        )
