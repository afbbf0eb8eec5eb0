"""Alerts: what verdicts say again and again, folded into one living alert per subject and rule.

A verdict repeats a finding on every event while it holds. An alert opens with the first, counts the others, and
closes after a quiet window (or, of a title or device, with the verdict that closes). Time is the stream time of the
verdicts, which only goes forward, so that one late verdict neither closes nor reopens anything.
"""

from hashlib import blake2b
from typing import Annotated, Final, Literal

import msgspec

from pipeline.evaluation.verdict import Subject
from pipeline.rules.finding import POINTS, Severity
from pipeline.windows.window import WINDOW_MS

ALERT_SCHEMA: Final = "risk-alert/1"
QUIET_MS: Final = WINDOW_MS
"""Without a finding for so long an alert closes: none of those that opened it is in the window any more."""
REPEAT_MS: Final = 600_000
"""An alert that only repeats is published at most this often, in event time."""

AlertChange = Literal["opened", "escalated", "updated", "closed"]


Name = Annotated[str, msgspec.Meta(max_length=100)]
"""A rule, a dimension, a law, a time: no verdict of ours has a longer one."""
Long = Annotated[str, msgspec.Meta(max_length=10_000)]
"""A subject's id, a summary, a topic. The bounds keep an alert, its key and its table record far below what the
brokers take, whoever wrote the verdict."""


class SeenSubject(msgspec.Struct, frozen=True):
    """Whom a verdict is about."""

    type: Literal["user", "content", "device"]
    id: Long


class SeenFinding(msgspec.Struct, frozen=True, gc=False):
    """What an alert takes of a finding."""

    rule_id: Name
    dimension: Name
    severity: Severity
    regulations: Annotated[tuple[Name, ...], msgspec.Meta(max_length=100)]
    summary: Long


class SeenVerdict(msgspec.Struct, frozen=True, gc=False):
    """What an alert takes of a verdict; `change` stands in those on titles and devices only."""

    verdict_id: Name
    subject: SeenSubject
    event_time: Name
    findings: Annotated[tuple[SeenFinding, ...], msgspec.Meta(max_length=100)]
    change: Name | None = None


class Alert(msgspec.Struct, array_like=True):
    """What is kept of an alert.

    Attributes:
        alert_id: of this opening; the next one of the same subject and rule has another.
        seen: stream time of the newest finding, in milliseconds since 1970; of the closing in a closed one.
        published: stream time of the newest publication.
        scheduled: whether it will be looked at again when it may have been quiet for long enough.
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
        """Whether quiet closes it; verdicts on titles and devices tell changes only, and quiet means no change."""
        return self.subject.type == "user"

    def is_quiet(self, now: int) -> bool:
        """Whether nothing happened for a whole window."""
        return now - self.seen >= QUIET_MS


class PublishedAlert(msgspec.Struct, frozen=True):
    """The value on `risk-alerts`; the fields in the order of the JSON.

    Times are event times of verdicts; `closed_at` is the stream time at the closing.
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
    """Fold a finding into an open alert; what is to be published of it, if anything."""
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
    """It is over; `at` is the time to show."""
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
