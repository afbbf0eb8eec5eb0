"""Runs the rules on users: for an event that is judged, and for a user's last event as of now."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from pipeline.anomaly.artefact import Model
from pipeline.rules.finding import Finding
from pipeline.rules.inputs import Activity, OptOuts, Profile, ScoredHour
from pipeline.rules.ruleset import RuleSet
from pipeline.windows.privacy import NO_RECORD, PrivacyRecord
from pipeline.windows.user import UserState


class Signals(Protocol):
    """The opt-out and deletion signals of an event."""

    @property
    def do_not_track(self) -> bool: ...  # noqa: D102 - as in the contract
    @property
    def gpc(self) -> bool: ...  # noqa: D102 - as in the contract
    @property
    def deletion_requested(self) -> bool: ...  # noqa: D102 - as in the contract
    @property
    def signals_opt_out(self) -> bool:
        """Whether one of the three is set."""
        ...


def legal_findings(
    ruleset: RuleSet,
    profile: tuple[str, bool, bool, int | None, str],
    time: int,
    signals: Signals,
    privacy: PrivacyRecord,
) -> list[Finding]:
    """The findings of the legal rules, active and shadow. The list is new, so the caller may change it.

    Args:
        ruleset: the rules.
        profile: the fields of a `Profile`. Findings of the same profile are the same, so they are remembered.
        time: the event time, in milliseconds since 1970.
        signals: the event's opt-out and deletion signals.
        privacy: the user's privacy record after the event.
    """
    known = ruleset.profiles.get(profile)
    if known is None:
        given = Profile._make(profile)
        known = tuple(finding for judge in ruleset.by_profile if (finding := judge(given)) is not None)
        ruleset.profiles[profile] = known
    findings = list(known)
    if signals.signals_opt_out or privacy is not NO_RECORD:
        opt_outs = OptOuts(
            Profile._make(profile),
            time,
            signals.do_not_track,
            signals.gpc,
            signals.deletion_requested,
            privacy,
        )
        findings += [finding for judge in ruleset.by_opt_outs if (finding := judge(opt_outs)) is not None]
    return findings


def add_activity_findings(findings: list[Finding], ruleset: RuleSet, activity: Activity) -> None:
    """Add the findings of the rules on activity, active and shadow, to `findings`."""
    for judge in ruleset.by_activity:
        finding = judge(activity)
        if finding is not None:
            if activity.window.saturated(activity.stream_time):
                finding = msgspec.structs.replace(finding, saturated=True)
            findings.append(finding)


def findings_now(
    state: UserState, ruleset: RuleSet, show: Callable[[str], str], model: Model | None = None
) -> list[Finding]:
    """The findings that a verdict on the user's last event would have now, sorted by rule id. For the view of a user.

    The last event is the one with the largest event time; of several, the one that came last. It is judged with the
    window and the privacy record of now, so older events and privacy requests that arrived after it count. Findings of
    shadow rules are left out, as in a verdict. A user without events has none.
    """
    stream_time, last = state.stream_time, state.last_event
    if stream_time is None or last is None or not state.window.entries:
        return []
    newest = state.window.entries[-1]
    profile = (newest.region, last.is_eu, last.has_consent, last.user_age, last.data_shared)
    findings = legal_findings(ruleset, profile, newest.time, last, state.privacy)
    activity = Activity(
        state.window, stream_time, newest.region, newest.time, last.plan, last.place_before, show=show
    )
    add_activity_findings(findings, ruleset, activity)
    score = state.score
    if model is not None and score is not None and score.causes and score.model == model.version:
        scored = ScoredHour(model, score)
        findings += [finding for judge in ruleset.by_score if (finding := judge(scored)) is not None]
    return sorted(
        (one for one in findings if one.rule_id not in ruleset.shadow), key=lambda finding: finding.rule_id
    )
