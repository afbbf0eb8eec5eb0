"""What the rules on users find: for an event that is judged, and for the last event of a user as of now."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from pipeline.rules.finding import Finding
from pipeline.rules.inputs import Activity, OptOuts, Profile
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
        """Whether there is any of the three."""
        ...


def legal_findings(
    ruleset: RuleSet,
    profile: tuple[str, bool, bool, int | None, str],
    time: int,
    signals: Signals,
    privacy: PrivacyRecord,
) -> list[Finding]:
    """What the legal rules find, active and shadow ones, as a list of its own.

    Args:
        ruleset: the rules.
        profile: the fields of a `Profile`.
        time: of the event, milliseconds since 1970.
        signals: of the event.
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
    """Add what the rules on a user's activity find, active and shadow ones."""
    for judge in ruleset.by_activity:
        finding = judge(activity)
        if finding is not None:
            if activity.window.saturated(activity.stream_time):
                finding = msgspec.structs.replace(finding, saturated=True)
            findings.append(finding)


def findings_now(state: UserState, ruleset: RuleSet, show: Callable[[str], str]) -> list[Finding]:
    """What a verdict on the user's last event would say now, sorted by rule id; empty for a user without events.

    The last event is the one with the largest event time; of several, the one that came last. It is judged with the
    window and the privacy record of now, so events out of order and privacy requests that came after it count. As in a
    verdict, findings of shadow rules are left out.
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
    return sorted(
        (one for one in findings if one.rule_id not in ruleset.shadow), key=lambda finding: finding.rule_id
    )
