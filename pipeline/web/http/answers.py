"""The answers of the web views: what stands in the OpenAPI document is what is sent.

Times are ISO 8601 in UTC with milliseconds, as in events; `null` means that it is not known (yet).
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

RiskLevel = Literal["HIGH", "MEDIUM", "LOW", "NONE"]
Severity = Literal["HIGH", "MEDIUM", "LOW"]

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Share = Annotated[float, Field(ge=0, le=1)]


class Answer(BaseModel):
    """An answer; nothing is in it that its schema does not say."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Document(BaseModel):
    """A message of the contract (docs/contract): its main members, and whatever else it carries."""

    model_config = ConfigDict(extra="allow", frozen=True)


AsOf = Annotated[
    str,
    Field(
        description="when this answer was made; the same question gets the same answer for a second",
        json_schema_extra={"format": "date-time"},
    ),
]

# -- every gathered answer


class Coverage(Answer):
    """From how many partitions an answer is. What is missing was not counted, and comes back after the rebalance."""

    partitions: int
    answered: int
    missing: list[int]


class Count(Answer):
    """How often something was seen."""

    name: str
    count: int


# -- the worker


class Up(Answer):
    """The process answers."""

    status: Literal["up"]


class Ready(Answer):
    """Whether this worker's partitions are assigned and recovered, and its topics are as they were at its start."""

    status: Literal["ready", "recovering", "trouble"] = Field(
        description="trouble: partitions were added, or topics deleted, while the worker runs"
    )
    reason: str | None = Field(description="why it is not ready, with the way out")
    paused_since: Instant | None = Field(
        description="since when consuming is paused; /stats/summary says by whom and why"
    )


class About(Answer):
    """What this is."""

    name: Literal["ott-risk"]
    version: str
    ready: bool
    demo: bool


class Token(Answer):
    """A bearer token (RFC 6750)."""

    access_token: str
    token_type: Literal["bearer"]
    expires_in: int = Field(description="seconds")
    role: Literal["analyst", "admin"]


class Accounts(Answer):
    """How the records of this worker's partitions ended."""

    read: int
    judged: int
    duplicate: int
    failed: int
    flagged: int
    late: int
    requests: int
    rekeyed: int
    lag: dict[str, int] = Field(description="records not judged yet, by topic-partition")
    lag_open_transactions: dict[str, int] = Field(
        description="the part of the lag that waits behind a transaction open for 5 s or longer, where there is any"
    )


# -- figures


class PauseShown(Answer):
    """The pause of consuming; it holds for all workers, over restarts, until somebody resumes."""

    by: str = Field(description="account of the admin")
    at: Instant
    reason: str | None


class Summary(Answer):
    """The whole stream since the topics' beginning; each record counts once, whatever was restarted."""

    events: int = Field(description="records read: judged + duplicate + failed")
    judged: int
    duplicate: int
    failed: int
    late: int
    flagged: int
    requests: int = Field(description="privacy requests applied")
    rekeyed: int = Field(description="records forwarded to their user's partition")
    failed_by_reason: dict[str, int]
    risk_levels: dict[RiskLevel, int] = Field(
        description="verdicts on users by level; NONE: judged, not flagged"
    )
    rules: dict[str, int] = Field(description="verdicts on users by rule")
    lag: dict[str, int] = Field(description="records not judged yet, by topic-partition")
    lag_open_transactions: dict[str, int] = Field(
        description="the part of the lag that waits behind a transaction open for 5 s or longer, where there is any"
    )
    total_lag: int
    events_per_second: float = Field(description="over the last seconds, all workers together")
    play_time_seconds: float = Field(description="time that devices played")
    error_rate: Share | None = Field(description="failed among playback events; null without any")
    paused: bool = Field(description="whether consuming is paused on any worker")
    pause: PauseShown | None = Field(description="who paused it, when and why, until somebody resumes")
    workers: int
    pseudonymised: bool = Field(
        description=(
            "whether ids of users and devices in verdicts, alerts and answers are pseudonyms (keyed hashes); "
            "what asks about one takes the id that the clients send"
        )
    )
    as_of: AsOf
    coverage: Coverage


class ErrorRate(Answer):
    """A rate with its 95 % Wilson interval; without events 0, between 0 and 1."""

    events: int
    errors: int
    rate: Share
    low: Share
    high: Share


class Minute(Answer):
    """One minute of event time."""

    start: Instant
    events: int = Field(description="playback events")
    errors: int
    plays: int
    watch_seconds: float


class ContentStats(Answer):
    """One title: sums since it is known, and its last minutes."""

    content_id: str
    plays: int
    failed_starts: int
    watch_seconds: float
    error_rate: ErrorRate = Field(description="over the last 60 judged minutes")
    top_regions: list[Count] = Field(description="playback events by region")
    top_error_codes: list[Count]
    device_mix: list[Count] = Field(description="playback events by kind of device")
    risk_level: RiskLevel
    minutes: list[Minute] = Field(
        description="the 60 that were judged last, and up to 15 after them; oldest first"
    )


class ContentRank(Answer):
    """One title in a list."""

    content_id: str
    plays: int
    watch_seconds: float
    error_rate: ErrorRate
    risk_level: RiskLevel


class ContentRanking(Answer):
    """Titles, worst first."""

    contents: list[ContentRank]
    coverage: Coverage
    as_of: AsOf


class RegionStats(Answer):
    """One region: sums since it is known, and its last minutes."""

    region: str
    plays: int
    events: int
    watch_seconds: float
    error_rate: ErrorRate = Field(description="over the last 60 judged minutes")
    errors: list[Count] = Field(description="error codes by count")
    device_mix: list[Count] = Field(description="playback events by kind of device")
    flagged_by_rule: list[Count] = Field(description="verdicts on users by rule, as in /compliance/regions")
    minutes: list[Minute] = Field(
        description="the 60 that were judged last, and up to 15 after them; oldest first"
    )


class DeviceStats(Answer):
    """One device."""

    device_id: str
    events: int
    error_rate: ErrorRate = Field(description="over the last 60 judged minutes")
    users: int = Field(description="different users; 32 at most are kept")
    risk_level: RiskLevel


# -- a user


class Finding(Document):
    """A rule that fired, with its evidence (docs/contract, risk-verdict/1)."""

    rule_id: str
    dimension: str
    severity: Severity
    regulations: list[str]
    summary: str
    evidence: dict[str, Any]


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


class Place(Answer):
    """Where the user was last, among places with coordinates."""

    region: str
    time: Instant


class UserView(Answer):
    """What is known of a user, and what the rules say of it now."""

    user_id: str
    stream_time: Instant | None = Field(description="the newest event time")
    window: WindowView | None
    last_place: Place | None
    privacy: PrivacyView
    risk_level: RiskLevel
    score: int
    findings: list[Finding] = Field(description="what a verdict on the user's last event would say now")
    last_verdict: "Verdict | None" = Field(description="the newest verdict on the user that is known here")


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


# -- compliance


class Subject(Answer):
    """Whom a verdict is about."""

    type: Literal["user", "content", "device"]
    id: str


class Verdict(Document):
    """A verdict (docs/contract, risk-verdict/1)."""

    verdict_id: str
    subject: Subject
    event_id: str | None
    user_id: str | None
    device_id: str | None
    content_id: str | None
    region: str | None
    event_type: str | None
    event_time: Instant
    risk_level: RiskLevel
    score: int
    dimensions: dict[str, str]
    findings: list[Finding]
    regulations: list[str]
    late: bool


class IndexSpan(Answer):
    """What the verdict index covers: the newest verdicts, of all partitions."""

    verdicts: int
    since: Instant | None = Field(description="publication of the oldest; null: none yet")
    until: Instant | None = Field(description="publication of the newest")
    limit: int = Field(description="so many are kept")
    behind: int = Field(description="published, and not in it yet")


class ComplianceSummary(Answer):
    """The indexed verdicts by what they are about; one counts in each of its rules, dimensions, regulations."""

    flagged: int
    by_rule: dict[str, int]
    by_dimension: dict[str, int]
    dimension_levels: dict[str, dict[Severity, int]] = Field(description="per dimension by its own level")
    by_level: dict[RiskLevel, int]
    by_regulation: dict[str, int]
    index: IndexSpan
    as_of: AsOf


class VerdictPage(Answer):
    """Verdicts, newest first."""

    verdicts: list[Verdict]
    next_cursor: str | None = Field(description="for the page after this one; null: there is none")
    index: IndexSpan
    as_of: AsOf


class RegionRisk(Answer):
    """The verdicts of one region or group of regions."""

    region: str
    flagged: int
    by_level: dict[RiskLevel, int]
    by_rule: dict[str, int]


class RegionRisks(Answer):
    """Risk by region, and rolled up; verdicts on titles and devices have no region."""

    regions: list[RegionRisk] = Field(description="most verdicts first")
    groups: list[RegionRisk] = Field(
        description="EEA and non-EEA; US-CA and rest of US (without territories that have a country code)"
    )
    index: IndexSpan
    as_of: AsOf


class Judged(Answer):
    """One judged event, flagged or not."""

    event_id: str
    user_id: str
    event_type: str
    region: str
    content_id: str | None
    event_time: Instant
    judged_at: Instant | None = Field(description="its record's timestamp")
    late: bool
    risk_level: RiskLevel
    score: int
    rules: list[str]
    partition: int
    offset: int


class LatestResults(Answer):
    """The newest judged events, newest first."""

    results: list[Judged]
    coverage: Coverage
    as_of: AsOf


class Alert(Document):
    """A living alert (docs/contract, risk-alert/1)."""

    alert_id: str
    subject: Subject
    rule_id: str
    dimension: str
    status: Literal["open", "closed"]
    change: Literal["opened", "escalated", "updated", "closed"]
    severity: Severity
    highest_severity: Severity
    count: int = Field(description="verdicts with this finding since it opened")
    opened_at: Instant
    last_at: Instant
    closed_at: Instant | None
    regulations: list[str]
    summary: str
    verdict_id: str = Field(description="of the newest")


class Alerts(Answer):
    """The alerts that are open, and those that closed lately; open ones first, most severe first."""

    alerts: list[Alert]
    open: int = Field(description="in all, also beyond the limit")
    closed: int
    as_of: AsOf


class RefusedRules(Answer):
    """A rule set that was published and cannot be used."""

    reason: str
    published_at: Instant


class RuleGuidance(Answer):
    """What to do when a rule fires."""

    runbook: str = Field(description="what to check first, what to do, when to leave it")
    references: list[str] = Field(
        description="articles of laws; each begins with the law's id as in regulations and a colon. Legal rules only"
    )


class RuleSetView(Answer):
    """The newest good rule set: every rule with its mode and parameters, and where it judges already."""

    version: str
    rules: dict[str, dict[str, Any]]
    source: Literal["settings", "rule-config"] = Field(description="the worker's settings, or published")
    published_at: Instant | None
    in_force: dict[str, list[int]] = Field(
        description="partitions by the version that judges there; a partition takes the newest with its next record"
    )
    findings: dict[str, int] | None = Field(
        description="verdicts by rule, as in /compliance/summary; null while the index cannot be asked"
    )
    shadow: dict[str, int] = Field(description="what shadow rules would have said")
    refused: RefusedRules | None = Field(description="the newest published, if it is a bad one")
    guidance: dict[str, RuleGuidance] = Field(description="what to do when a rule fires, by rule")
    coverage: Coverage
    as_of: AsOf


class RuleSetChange(Answer):
    """What publishing a rule set does, or did."""

    version: str
    dry_run: bool
    changes: list[str]


# -- tables


class TableInfo(Answer):
    """A table of the worker."""

    name: str
    partitions: int
    changelog: str
    sources: list[str]


class Tables(Answer):
    """All tables."""

    tables: list[TableInfo]


class TableRecord(Answer):
    """The raw state of a key."""

    table: str
    key: str
    partition: int
    owner: str = Field(description="the worker that has it")
    changelog_offset: int | None = Field(description="what the local store has reached")
    uncommitted: bool = Field(description="whether it changed since the last commit")
    value: Any


# -- privacy requests


class RequestQueued(Answer):
    """A privacy request that the brokers have."""

    status: Literal["queued"]
    request_id: str
    partition: int
    offset: int


class Deadline(Answer):
    """Until when a law asks that a request is followed."""

    law: str
    days: int
    due: Instant


class RequestView(Answer):
    """One privacy request of a user."""

    request_id: str
    type: str
    timestamp: Instant
    region: str | None
    applied_at: Instant | None = Field(description="its record's timestamp")
    deadlines: list[Deadline]
    holds: bool = Field(description="whether what it asked for is in force")


class RequestList(Answer):
    """The privacy requests of a user that are known, oldest first, and the privacy record that they left."""

    user_id: str
    requests: list[RequestView]
    privacy: PrivacyView
    erased: list[Instant] = Field(
        description=(
            "when the window (regions, networks, devices, streams, events) and the last place were erased, 30 days or "
            "more after the user's last event, by the timestamp of the record at which it was; the newest 100, oldest "
            "first. The privacy record and the requests stay"
        )
    )


# -- the process


class ProcessState(Answer):
    """Whether the workers consume."""

    paused: bool
    pause: PauseShown | None
    workers: int
    coverage: Coverage


class OneJudged(Answer):
    """What the one step did; nothing where no record waited."""

    judged: Literal[0, 1]
    topic: str | None
    partition: int | None
    offset: int | None


class Drained(Answer):
    """What came of waiting for the lag that was seen at the call."""

    drained: bool
    count: int = Field(description="records that were worked off")
    remaining: int
    behind_open_transactions: int = Field(
        description="of the remaining, records that wait until a producer ends its transaction"
    )
    seconds: float
    coverage: Coverage


class Revoked(Answer):
    """All tokens of whoever asked have ended."""

    status: Literal["revoked"]
    at: Instant


class AuditEntry(Answer):
    """Who read or did what, to whom, and when."""

    at: Instant
    who: str = Field(description="an account; of a failed log-in by any other name: (no such account)")
    role: Literal["analyst", "admin"] | None
    action: str = Field(description="the operation: method and path of the route")
    subject: str | None
    allowed: bool
    address: str | None
    times: int = Field(1, description="how many failed log-ins in ten seconds this entry stands for")


class AuditTrail(Answer):
    """The newest entries, newest first."""

    entries: list[AuditEntry]


# -- ingest


class Queued(Answer):
    """An event that the brokers have."""

    status: Literal["queued"]
    event_id: str


class ItemResult(Answer):
    """What became of one event of many."""

    status: Literal["queued", "invalid", "unavailable"]
    event_id: str | None
    errors: list[dict[str, str]] | None = None


class QueuedMany(Answer):
    """What became of many events, in their order."""

    status: Literal["queued", "partly"]
    queued: int
    refused: int
    results: list[ItemResult]


class RulesDocument(BaseModel):
    """A rule set as JSON (docs/operations.md)."""

    model_config = ConfigDict(extra="forbid")

    version: str
    rules: dict[str, dict[str, Any]] = {}
