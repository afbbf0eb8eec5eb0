"""Alerts: one per subject and rule, made of the verdicts that repeat a finding.

While a finding holds, the verdict on every event has it. An alert opens with the first finding and counts the others.
An alert on a user closes after a window without the finding; one on a title or device closes with the verdict that says
so. Time is the stream time of the verdicts, which never goes back, so a late verdict does not close or reopen an alert.
"""

from hashlib import blake2b
from typing import Annotated, Final, Literal

import msgspec

from pipeline.evaluation.verdict import Subject
from pipeline.rules.finding import POINTS, Severity
from pipeline.windows.window import WINDOW_MS

ALERT_SCHEMA: Final = "risk-alert/1"
QUIET_MS: Final = WINDOW_MS
"""An alert closes after this long without a finding. Then no event that caused it is in the window any more."""
REPEAT_MS: Final = 600_000
"""The shortest time, in event time, between two publications of an alert that only repeats."""

AlertChange = Literal["opened", "escalated", "updated", "closed"]


Name = Annotated[str, msgspec.Meta(max_length=100)]
"""A rule, a dimension, a law or a time. Our verdicts have no longer ones."""
Long = Annotated[str, msgspec.Meta(max_length=10_000)]
"""A subject's id or a summary. The bounds keep an alert, its key and its table record far below the brokers' limits,
also where a stranger wrote the verdict."""


class SeenSubject(msgspec.Struct, frozen=True):
    """The subject of a verdict."""

    type: Literal["user", "content", "device"]
    id: Long


class SeenFinding(msgspec.Struct, frozen=True, gc=False):
    """The fields of a finding that an alert needs."""

    rule_id: Name
    dimension: Name
    severity: Severity
    regulations: Annotated[tuple[Name, ...], msgspec.Meta(max_length=100)]
    summary: Long


class SeenVerdict(msgspec.Struct, frozen=True, gc=False):
    """The fields of a verdict that an alert needs. Only verdicts on titles and devices have `change`."""

    verdict_id: Name
    subject: SeenSubject
    event_time: Name
    findings: Annotated[tuple[SeenFinding, ...], msgspec.Meta(max_length=100)]
    change: Name | None = None


class Alert(msgspec.Struct, array_like=True):
    """An alert, as the alerts table has it. It is changed in place.

    Attributes:
        alert_id: the id of this opening. When the alert opens again later, it gets another.
        seen: the stream time of the newest finding, in milliseconds since 1970; in a closed alert that of the closing.
        published: the stream time of the newest publication.
        scheduled: whether the alert is on a list of alerts to look at (`tables.alerts.DueAlerts`).
    """

    alert_id: str
    subject: Subject
    rule_id: str
    dimension: str
    severity: Severity
    highest_severity: Severity
    regulations: tuple[str, ...]
    summary: str
    verdict_id: str
    opened_at: str
    last_at: str
    closed_at: str | None
    count: int
    seen: int
    published: int
    scheduled: bool

    @property
    def closes_by_itself(self) -> bool:
        """Whether a window without findings closes it. For titles and devices it means that the level stays."""
        return self.subject.type == "user"

    def is_quiet(self, now: int) -> bool:
        """Whether a whole window has passed without a finding, or since the closing."""
        return now - self.seen >= QUIET_MS


class PublishedAlert(msgspec.Struct, frozen=True):
    """The value on `risk-alerts`; the fields in the order of the JSON.

    Times are event times of verdicts. `closed_at` is the stream time at the closing.
    """

    schema: str
    alert_id: str
    subject: Subject
    rule_id: str
    dimension: str
    status: Literal["open", "closed"]
    change: AlertChange
    severity: Severity
    highest_severity: Severity
    count: int
    opened_at: str
    last_at: str
    closed_at: str | None
    regulations: tuple[str, ...]
    summary: str
    verdict_id: str


def opened(verdict: SeenVerdict, finding: SeenFinding, now: int) -> Alert:
    """The alert that a finding opens."""
    identity = msgspec.msgpack.encode((verdict.subject, finding.rule_id, verdict.verdict_id))
    return Alert(
        blake2b(identity, digest_size=16).hexdigest(),
        Subject(verdict.subject.type, verdict.subject.id),
        finding.rule_id,
        finding.dimension,
        finding.severity,
        finding.severity,
        finding.regulations,
        finding.summary,
        verdict.verdict_id,
        verdict.event_time,
        verdict.event_time,
        None,
        1,
        now,
        now,
        False,
    )


def repeat(alert: Alert, verdict: SeenVerdict, finding: SeenFinding, now: int) -> AlertChange | None:
    """Fold a finding into an open alert. Return the change to publish; None where nothing is to be published."""
    alert.count += 1
    alert.severity = finding.severity
    alert.regulations = finding.regulations
    alert.summary = finding.summary
    alert.verdict_id = verdict.verdict_id
    alert.last_at = max(alert.last_at, verdict.event_time)
    alert.seen = now
    change: AlertChange | None = None
    if POINTS[finding.severity] > POINTS[alert.highest_severity]:
        alert.highest_severity = finding.severity
        change = "escalated"
    elif now - alert.published >= REPEAT_MS or verdict.change is not None:
        change = "updated"
    if change is not None:
        alert.published = now
    return change


def close(alert: Alert, at: str, now: int) -> None:
    """Close an alert. `at` is the time that is shown, `now` the stream time."""
    alert.closed_at = at
    alert.seen = alert.published = now


def encode_alert(alert: Alert, change: AlertChange) -> bytes:
    """The published bytes."""
    return msgspec.json.encode(
        PublishedAlert(
            ALERT_SCHEMA,
            alert.alert_id,
            alert.subject,
            alert.rule_id,
            alert.dimension,
            "open" if alert.closed_at is None else "closed",
            change,
            alert.severity,
            alert.highest_severity,
            alert.count,
            alert.opened_at,
            alert.last_at,
            alert.closed_at,
            alert.regulations,
            alert.summary,
            alert.verdict_id,
        )
    )
