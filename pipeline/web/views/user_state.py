"""The answers about one user: their models, and how they are made from the user's state. Networks are masked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from pydantic import Field

from pipeline.anomaly.scoring import FEWEST_EVENTS, NotEvaluated
from pipeline.evaluation.findings import findings_now
from pipeline.evaluation.verdict import plan_score, risk_level
from pipeline.events.addresses import mask_network
from pipeline.events.instants import format_instant
from pipeline.web.http.answers import (
    Answer,
    Finding,
    Instant,
    RiskLevel,
    Verdict,
)
from pipeline.windows.entry import PLAYING
from pipeline.windows.score import FAILED
from pipeline.windows.window import WINDOW_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pipeline.anomaly.artefact import Model
    from pipeline.rules.ruleset import RuleSet
    from pipeline.windows import privacy
    from pipeline.windows.user import UserState


class Seen(Answer):
    """A region, network or device in the window. Networks are masked: IPv4 by /24, IPv6 by /48."""

    name: str
    events: int
    last: Instant


class WindowView(Answer):
    """The sliding hour as the rules see it; open at its start, closed at its end."""

    start: Instant
    end: Instant
    events: int
    regions: list[Seen]
    networks: list[Seen]
    distinct_networks: int = Field(description="before masking, as the rules count")
    devices: list[Seen]
    playing: list[str] = Field(description="devices that play at the window's end")
    login_failures: int
    saturated: bool = Field(description="whether events left because the window was full")


class Mark(Answer):
    """An opt-out or a deletion: since when it holds, its newest signal, its newest withdrawal."""

    in_force: bool
    since: Instant | None
    last: Instant | None
    until: Instant | None


class PrivacyView(Answer):
    """The privacy record."""

    opt_out: Mark
    deletion: Mark
    consent_given: Instant | None
    consent_withdrawn: Instant | None


class LastPlace(Answer):
    """Where the user was last, among places with coordinates."""

    region: str
    time: Instant


class AnomalyView(Answer):
    """What the anomaly model says of the user's hour; it is never called ordinary without a score."""

    model: str | None = Field(description="version of the model in force; null without one")
    not_evaluated: NotEvaluated | None = Field(description="why there is no score; null where there is one")
    time: Instant | None = Field(description="the end of the hour that was scored last")
    score: float | None = Field(description="between 0 and 1")
    threshold: float | None = Field(description="the hour is an anomaly where its score is above this")
    is_anomaly: bool | None


class UserView(Answer):
    """What is known of a user, and what the rules say of it now."""

    user_id: str
    stream_time: Instant | None = Field(description="the newest event time")
    window: WindowView | None
    last_place: LastPlace | None
    privacy: PrivacyView
    risk_level: RiskLevel
    score: int
    anomaly: AnomalyView
    findings: list[Finding] = Field(description="what a verdict on the user's last event would say now")
    last_verdict: Verdict | None = Field(description="the newest verdict on the user that is known here")


class Segment(Answer):
    """How the user behaves, in one word, and the figures that it was chosen by."""

    user_id: str
    segment: Literal[
        "unknown",
        "restricted",
        "idle",
        "shared_account",
        "login_trouble",
        "heavy_viewer",
        "viewer",
        "browser",
    ]
    why: str
    trend: Literal["rising", "steady", "falling", "unknown"] = Field(
        description="events in the newer half of the window against the older half"
    )
    events: int
    newer_half: int
    older_half: int
    playing: int
    devices: int
    regions: int


_SHARED: Final = frozenset({"account.concurrent_streams", "account.multi_ip", "account.multi_region"})
_LOGIN: Final = "account.login_failures"
_LISTED: Final = 50
_HEAVY_PLAYS: Final = 45
"""Signs of playing within the hour: one heartbeat a minute for three quarters of it."""
_TREND_EVENTS: Final = 10
_TREND_RATIO: Final = 1.5


def view_of(
    user_id: str,
    state: UserState,
    rules: RuleSet,
    model: Model | NotEvaluated,
    last_verdict: Verdict | None,
    show: Callable[[str], str],
) -> UserView:
    """The answer of `/users/{user_id}`.

    Args:
        user_id: of the user.
        state: of the user.
        rules: in force in the user's partition.
        model: in force there, or why there is none.
        last_verdict: the newest verdict on the user that is known here.
        show: the form of user and device ids in outputs.
    """
    found = findings_now(state, rules, show, None if isinstance(model, NotEvaluated) else model)
    plan = None if state.last_event is None else state.last_event.plan
    _, score = plan_score(found, plan)
    place = state.last_place
    return UserView(
        user_id=show(user_id),
        stream_time=_instant(state.stream_time),
        window=_window(state, show),
        last_place=None if place is None else LastPlace(region=place.region, time=format_instant(place.time)),
        privacy=privacy_of(state),
        risk_level=risk_level(score),
        score=score,
        anomaly=_anomaly(state, rules, model),
        findings=[Finding.model_validate(msgspec.to_builtins(finding)) for finding in found],
        last_verdict=last_verdict,
    )


def _anomaly(state: UserState, rules: RuleSet, model: Model | NotEvaluated) -> AnomalyView:
    if isinstance(model, NotEvaluated):
        return _without_score(None, model)
    score = state.score
    if not rules.by_score:
        return _without_score(model.version, NotEvaluated.RULE_OFF)
    if score is None and len(state.window) < FEWEST_EVENTS:
        return _without_score(model.version, NotEvaluated.TOO_LITTLE_HISTORY)
    if score is None or score.model != model.version:
        return _without_score(model.version, NotEvaluated.NOT_YET)
    if score.paths == FAILED:
        return _without_score(model.version, NotEvaluated.FAILED)
    return AnomalyView(
        model=model.version,
        not_evaluated=None,
        time=format_instant(score.time),
        score=round(model.forest.score(score.paths), 4),
        threshold=round(model.threshold, 4),
        is_anomaly=bool(score.causes),
    )


def _without_score(version: str | None, reason: NotEvaluated) -> AnomalyView:
    return AnomalyView(
        model=version, not_evaluated=reason, time=None, score=None, threshold=None, is_anomaly=None
    )


def _window(state: UserState, show: Callable[[str], str]) -> WindowView | None:
    window, end = state.window, state.stream_time
    if end is None:
        return None
    return WindowView(
        start=format_instant(end - WINDOW_MS),
        end=format_instant(end),
        events=len(window),
        regions=_seen((entry.region, entry.time) for entry in window.entries),
        networks=_seen(((entry.network, entry.time) for entry in window.entries), mask_network),
        distinct_networks=len(window.networks),
        devices=_seen(((entry.device, entry.time) for entry in window.entries), show),
        playing=sorted(show(device) for device in window.playing(end)),
        login_failures=window.login_failures,
        saturated=window.saturated(end),
    )


def _seen(entries: Iterable[tuple[str, int]], shown: Callable[[str], str] = str) -> list[Seen]:
    """The most common names, by count and then by name.

    Args:
        entries: names and times, in the order of time.
        shown: its form in outputs; two may have the same.
    """
    times: dict[str, list[int]] = {}
    for name, time in entries:
        times.setdefault(name, []).append(time)
    by_name: dict[str, list[int]] = {}
    for name, found in times.items():
        by_name.setdefault(shown(name), []).extend(found)
    ordered = sorted(by_name.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        Seen(name=name, events=len(found), last=format_instant(max(found)))
        for name, found in ordered[:_LISTED]
    ]


def privacy_of(state: UserState | None) -> PrivacyView:
    """The privacy record; marks are in force for events after the user's newest one."""
    if state is None:
        none = Mark(in_force=False, since=None, last=None, until=None)
        return PrivacyView(opt_out=none, deletion=none, consent_given=None, consent_withdrawn=None)
    record = state.privacy
    return PrivacyView(
        opt_out=_mark(record.opt_out),
        deletion=_mark(record.deletion),
        consent_given=_instant(record.consent_given),
        consent_withdrawn=_instant(record.consent_withdrawn),
    )


def _mark(mark: privacy.Mark) -> Mark:
    return Mark(
        in_force=mark.since is not None,
        since=_instant(mark.since),
        last=_instant(mark.last),
        until=_instant(mark.until),
    )


def _instant(time: int | None) -> str | None:
    return None if time is None else format_instant(time)


# -- the segment


def segment_of(
    user_id: str, state: UserState, partition_time: int | None, rules: RuleSet, show: Callable[[str], str]
) -> Segment:
    """The answer of `/users/{user_id}/segment`: the first segment that fits, from the gravest to the calmest."""
    window, end = state.window, state.stream_time
    entries = window.entries
    middle = (end or 0) - WINDOW_MS // 2
    newer = sum(entry.time > middle for entry in entries)
    older = len(entries) - newer
    plays = sum(entry.role in PLAYING for entry in entries)
    playing = 0 if end is None else len(window.playing(end))
    name, why = _segment(
        state, partition_time, plays, {one.rule_id for one in findings_now(state, rules, show)}
    )
    return Segment(
        user_id=show(user_id),
        segment=name,
        why=why,
        trend=_trend(newer, older),
        events=len(entries),
        newer_half=newer,
        older_half=older,
        playing=playing,
        devices=len({entry.device for entry in entries}),
        regions=len(window.regions),
    )


def _segment(state: UserState, partition_time: int | None, plays: int, fired: set[str]) -> tuple[Any, str]:
    end = state.stream_time
    restricted = state.privacy.opt_out.since is not None or state.privacy.deletion.since is not None
    behind = 0 if end is None or partition_time is None else partition_time - end
    shared = sorted(fired & _SHARED)
    descriptions: list[tuple[bool, str, str]] = [
        (end is None, "unknown", "No event of the user is known."),
        (restricted, "restricted", "An opt-out or a deletion is in force."),
        (behind >= WINDOW_MS, "idle", "The newest event is more than an hour behind those of other users."),
        (bool(shared), "shared_account", f"The window fires {', '.join(shared)}."),
        (_LOGIN in fired, "login_trouble", f"The window fires {_LOGIN}."),
        (
            plays >= _HEAVY_PLAYS,
            "heavy_viewer",
            f"{plays} signs of playing within the hour; {_HEAVY_PLAYS} are three quarters of it.",
        ),
        (plays > 0, "viewer", f"{plays} signs of playing within the hour."),
        (True, "browser", "Events, and no sign of playing, within the hour."),
    ]
    return next((name, why) for fits, name, why in descriptions if fits)


def _trend(newer: int, older: int) -> Any:  # noqa: ANN401 - one of Segment's
    if newer + older < _TREND_EVENTS:
        return "unknown"
    if newer > _TREND_RATIO * older:
        return "rising"
    return "falling" if older > _TREND_RATIO * newer else "steady"
