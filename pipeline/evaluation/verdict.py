"""Verdicts: findings to a score, a level, and the bytes on `flagged-events`."""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final, Literal

import msgspec

from pipeline.evaluation.source import Source
from pipeline.events.event import Event
from pipeline.events.instants import format_instant
from pipeline.rules.finding import LEGAL, POINTS, Finding

VERDICT_SCHEMA: Final = "risk-verdict/1"

PLAN_ADJUSTMENTS: Final = {"premium": -1, "family": -1, "vip": -1, "basic": 1, "free": 1, "trial": 1}
"""Points that a plan adds to the behavioural score. Several devices and places are normal on a plan for families."""

RiskLevel = Literal["HIGH", "MEDIUM", "LOW", "NONE"]
Change = Literal["opened", "escalated", "eased", "closed"]


class Subject(msgspec.Struct, frozen=True):
    """The user, title or device that a verdict is about."""

    type: Literal["user", "content", "device"]
    id: str


class _VerdictSource(msgspec.Struct, frozen=True):
    topic: str | None
    partition: int
    offset: int


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """A verdict on a user's event; the fields in the order of the published JSON."""

    schema: str
    verdict_id: str
    subject: Subject
    event_id: str
    user_id: str
    device_id: str
    content_id: str | None
    region: str
    event_type: str
    event_time: str
    risk_level: RiskLevel
    score: int
    dimensions: dict[str, str]
    findings: Sequence[Finding]
    regulations: list[str]
    subscription_plan: str | None
    plan_adjustment: int
    late: bool
    source: _VerdictSource
    ruleset_version: str
    model_version: str | None


class SubjectVerdict(msgspec.Struct, frozen=True):
    """A verdict on a title or a device; the fields in the order of the published JSON."""

    schema: str
    verdict_id: str
    subject: Subject
    event_id: None
    user_id: None
    device_id: str | None
    content_id: str | None
    region: None
    event_type: None
    event_time: str
    change: Change
    minute_end: str
    risk_level: RiskLevel
    score: int
    dimensions: dict[str, str]
    findings: Sequence[Finding]
    regulations: list[str]
    subscription_plan: None
    plan_adjustment: int
    late: bool
    source: None
    ruleset_version: str
    model_version: None


def user_verdict(
    event: Event,
    findings: list[Finding],
    late: bool,
    source: Source,
    ruleset_version: str,
    model_version: str | None,
    show: Callable[[str], str],
) -> Verdict:
    """The verdict on an event with findings. `show` gives the form of user and device ids in outputs."""
    if len(findings) > 1:
        findings.sort(key=_rule_id)
    adjustment, score = plan_score(findings, event.plan)
    user = show(event.user_id)
    return Verdict(
        VERDICT_SCHEMA,
        _verdict_id(
            ("user", event.user_id, source.topic, source.partition, source.offset, event),
            ruleset_version,
            model_version,
        ),
        Subject("user", user),
        event.event_id,
        user,
        show(event.device_id),
        event.content_id,
        event.region,
        event.type,
        format_instant(event.time),
        risk_level(score),
        score,
        dimension_levels(findings),
        findings,
        sorted({name for finding in findings for name in finding.regulations}),
        event.plan,
        adjustment,
        late,
        _VerdictSource(source.topic, source.partition, source.offset),
        ruleset_version,
        model_version,
    )


def subject_verdict(
    subject: Subject,
    shown_id: str,
    minute_end: int,
    change: Change,
    finding: Finding | None,
    ruleset_version: str,
) -> SubjectVerdict:
    """The verdict on a title or device whose level changed at `minute_end` (milliseconds since 1970).

    No model looks at it, so its model version is always null.
    """
    findings = [] if finding is None else [finding]
    score = sum(POINTS[finding.severity] for finding in findings)
    return SubjectVerdict(
        VERDICT_SCHEMA,
        _verdict_id((subject.type, subject.id, minute_end), ruleset_version, None),
        Subject(subject.type, shown_id),
        None,
        None,
        shown_id if subject.type == "device" else None,
        shown_id if subject.type == "content" else None,
        None,
        None,
        format_instant(minute_end),
        change,
        format_instant(minute_end),
        risk_level(score),
        score,
        dimension_levels(findings),
        findings,
        [],
        None,
        0,
        False,
        None,
        ruleset_version,
        None,
    )


def plan_score(findings: Sequence[Finding], plan: str | None) -> tuple[int, int]:
    """The plan's adjustment that was applied, and the score.

    The plan adjusts behavioural points only, only where there are any, and never below 0.
    """
    legal = behavioural = 0
    for finding in findings:
        if finding.dimension in LEGAL:
            legal += POINTS[finding.severity]
        else:
            behavioural += POINTS[finding.severity]
    adjustment = 0
    if behavioural and plan is not None:
        adjustment = max(-behavioural, PLAN_ADJUSTMENTS.get(plan, 0))
    return adjustment, legal + behavioural + adjustment


def risk_level(score: int) -> RiskLevel:
    """The level of a score: HIGH from 5, MEDIUM from 3, LOW from above 0."""
    if score >= POINTS["HIGH"]:
        return "HIGH"
    if score >= POINTS["MEDIUM"]:
        return "MEDIUM"
    return "LOW" if score > 0 else "NONE"


def dimension_levels(findings: Sequence[Finding]) -> dict[str, str]:
    """Each dimension with a finding, by name, with its highest severity."""
    levels: dict[str, str] = {}
    for finding in sorted(findings, key=lambda finding: (finding.dimension, POINTS[finding.severity])):
        levels[finding.dimension] = finding.severity
    return levels


def encode_verdict(verdict: Verdict | SubjectVerdict) -> bytes:
    """The published bytes: UTF-8 JSON, no spaces, non-ASCII as it is."""
    return msgspec.json.encode(verdict)


def _rule_id(finding: Finding) -> str:
    return finding.rule_id


def _verdict_id(what: tuple[object, ...], ruleset_version: str, model_version: str | None) -> str:
    """A hash of 128 bits of what was judged and under which rules, so that judging again gives the same id."""
    identity = msgspec.msgpack.encode((what, ruleset_version, model_version))
    return blake2b(identity, digest_size=16).hexdigest()
