"""The one table of routes. What is not here is not served.

From a route come its guard, the checks of what it is given, its line in the audit trail, and its part of
`/openapi.json`. Handlers are bound to it by its name, see `pipeline.web.http.serving`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import BaseModel

from pipeline.events.model import MAX_VALUE_BYTES, PrivacyRequest, RawEvent
from pipeline.web.http import answers, questions

Role = Literal["public", "analyst", "admin"]
Method = Literal["GET", "POST", "PUT"]

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
FORM: Final = "application/x-www-form-urlencoded"
HTML: Final = "text/html"
PROMETHEUS: Final = "text/plain"

ROLES: Final[tuple[Role, ...]] = ("public", "analyst", "admin")
"""Each may what the ones before it may."""

_KIB: Final = 1 << 10
_MANY_EVENTS: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What a request carries.

    Attributes:
        model: what a JSON object or a form is validated against; None: the handler reads the bytes.
        content: per media type the models of which it may be, for the document.
        limit: bytes.
    """

    model: type[BaseModel] | None = None
    content: Mapping[str, tuple[Any, ...]]
    limit: int


def _json(model: type[BaseModel], limit: int = 64 * _KIB) -> Body:
    return Body(model=model, content={JSON: (model,)}, limit=limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route.

    Attributes:
        name: of its handler, and the operation id.
        method: of HTTP; GET answers HEAD too.
        path: a template; a parameter is one part of the path.
        role: the least that may call it.
        summary: one line for the document.
        answers: the models of a good answer; empty for one that is not JSON.
        media_type: of a good answer.
        status: of a good answer.
        query: the parameters behind the question mark.
        body: what the request carries.
        problems: statuses of errors beside those that follow from the rest.
        subject: what the audit trail names: a parameter of the path, or a member of the body.
        tag: its group in the document.
        demo: whether it is there in the demo only.
        snapshot: whether it is about no single subject: its answers come from `pipeline.web.http.snapshot` and have
            `as_of`.
    """

    name: str
    method: Method
    path: str
    role: Role
    summary: str
    answers: tuple[type[BaseModel], ...] = ()
    media_type: str = JSON
    status: int = 200
    query: type[BaseModel] | None = None
    body: Body | None = None
    problems: tuple[int, ...] = ()
    subject: str | None = None
    tag: str = "worker"
    demo: bool = False
    snapshot: bool = False
    parameters: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Find the parameters of the path."""
        names = tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))
        object.__setattr__(self, "parameters", names)

    @property
    def statuses(self) -> tuple[int, ...]:
        """Every status of an error that it may answer with."""
        # The target of any request may have a form that is not served.
        found = {400, 500, *self.problems}
        if self.body is not None:
            found |= {408, 413, 415, 503}
        if self.role != "public":
            found |= {401, 403, 502, 503}
        return tuple(sorted(found))


ROUTES: Final[tuple[Route, ...]] = (
    # -- open to all
    Route(
        name="dashboard",
        method="GET",
        path="/",
        role="public",
        summary="The dashboard",
        media_type=HTML,
        tag="page",
    ),
    Route(
        name="static_file",
        method="GET",
        path="/static/{name}",
        role="public",
        summary="A file of the dashboard",
        media_type="*/*",
        problems=(404,),
        tag="page",
    ),
    Route(
        name="openapi",
        method="GET",
        path="/openapi.json",
        role="public",
        summary="This document",
        tag="page",
    ),
    Route(
        name="about",
        method="GET",
        path="/api",
        role="public",
        summary="Name, version, health",
        answers=(answers.About,),
    ),
    Route(
        name="healthz",
        method="GET",
        path="/healthz",
        role="public",
        summary="Whether the process is up",
        answers=(answers.Up,),
    ),
    Route(
        name="readyz",
        method="GET",
        path="/readyz",
        role="public",
        summary="Whether partitions are assigned and their tables recovered",
        answers=(answers.Ready,),
        problems=(503,),
    ),
    Route(
        name="metrics",
        method="GET",
        path="/metrics",
        role="public",
        summary="Figures of this worker for Prometheus",
        media_type=PROMETHEUS,
    ),
    Route(
        name="token",
        method="POST",
        path="/token",
        role="public",
        summary="A token for a name and a password (OAuth 2 password form)",
        answers=(answers.Token,),
        body=Body(model=questions.TokenForm, content={FORM: (questions.TokenForm,)}, limit=8 * _KIB),
        problems=(401, 429, 503),
    ),
    Route(
        name="revoke_tokens",
        method="POST",
        path="/token/revoke",
        role="analyst",
        summary="End all tokens of one's own account, on all workers",
        answers=(answers.Revoked,),
        tag="worker",
    ),
    Route(
        name="ingest",
        method="POST",
        path="/events",
        role="public",
        summary="Take events: one, an array, or one per line; answered when the brokers have them",
        answers=(answers.Queued, answers.QueuedMany),
        status=202,
        body=Body(
            content={JSON: (RawEvent, list[RawEvent]), NDJSON: (RawEvent,)},
            limit=_MANY_EVENTS,
        ),
        problems=(429, 503),
        tag="ingest",
    ),
    Route(
        name="accounts",
        method="GET",
        path="/stats/accounts",
        role="analyst",
        summary="How the records of this worker's partitions ended (in the demo only)",
        answers=(answers.Accounts,),
        problems=(503,),
        tag="stats",
        demo=True,
    ),
    # -- figures
    Route(
        name="summary",
        method="GET",
        path="/stats/summary",
        role="analyst",
        summary="The whole stream in figures",
        answers=(answers.Summary,),
        snapshot=True,
        tag="stats",
    ),
    Route(
        name="content_ranking",
        method="GET",
        path="/stats/content",
        role="analyst",
        summary="Titles by error rate, worst first",
        answers=(answers.ContentRanking,),
        query=questions.Limit,
        snapshot=True,
        tag="stats",
    ),
    Route(
        name="content",
        method="GET",
        path="/stats/content/{content_id}",
        role="analyst",
        summary="One title",
        answers=(answers.ContentStats,),
        problems=(404,),
        subject="content_id",
        tag="stats",
    ),
    Route(
        name="region",
        method="GET",
        path="/stats/region/{region}",
        role="analyst",
        summary="One region",
        answers=(answers.RegionStats,),
        problems=(404,),
        subject="region",
        tag="stats",
    ),
    Route(
        name="device",
        method="GET",
        path="/stats/device/{device_id}",
        role="analyst",
        summary="One device",
        answers=(answers.DeviceStats,),
        problems=(404,),
        subject="device_id",
        tag="stats",
    ),
    # -- a user
    Route(
        name="user",
        method="GET",
        path="/users/{user_id}",
        role="analyst",
        summary="A user's window as the rules see it, and the level now",
        answers=(answers.UserView,),
        problems=(404,),
        subject="user_id",
        tag="users",
    ),
    Route(
        name="segment",
        method="GET",
        path="/users/{user_id}/segment",
        role="analyst",
        summary="A user's behavioural segment and trend",
        answers=(answers.Segment,),
        problems=(404,),
        subject="user_id",
        tag="users",
    ),
    # -- compliance
    Route(
        name="compliance_summary",
        method="GET",
        path="/compliance/summary",
        role="analyst",
        summary="Verdicts by rule, dimension, level and regulation",
        answers=(answers.ComplianceSummary,),
        snapshot=True,
        tag="compliance",
    ),
    Route(
        name="compliance_events",
        method="GET",
        path="/compliance/events",
        role="analyst",
        summary="Flagged events, newest first",
        answers=(answers.VerdictPage,),
        query=questions.VerdictFilter,
        snapshot=True,
        tag="compliance",
    ),
    Route(
        name="compliance_regions",
        method="GET",
        path="/compliance/regions",
        role="analyst",
        summary="Risk by region, and rolled up",
        answers=(answers.RegionRisks,),
        snapshot=True,
        tag="compliance",
    ),
    Route(
        name="latest",
        method="GET",
        path="/results/latest",
        role="analyst",
        summary="The last judged events, flagged or not",
        answers=(answers.LatestResults,),
        query=questions.Limit,
        snapshot=True,
        tag="compliance",
    ),
    Route(
        name="alerts",
        method="GET",
        path="/alerts",
        role="analyst",
        summary="Living alerts",
        answers=(answers.Alerts,),
        query=questions.Limit,
        snapshot=True,
        tag="compliance",
    ),
    Route(
        name="rules",
        method="GET",
        path="/rules",
        role="analyst",
        summary="The rule set in force",
        answers=(answers.RuleSetView,),
        snapshot=True,
        tag="rules",
    ),
    Route(
        name="change_rules",
        method="PUT",
        path="/rules",
        role="admin",
        summary="Publish a rule set, or say what it would change",
        answers=(answers.RuleSetChange,),
        query=questions.DryRun,
        body=_json(answers.RulesDocument, 256 * _KIB),
        problems=(409,),
        tag="rules",
    ),
    # -- tables
    Route(
        name="tables",
        method="GET",
        path="/tables",
        role="analyst",
        summary="The tables",
        answers=(answers.Tables,),
        tag="tables",
    ),
    Route(
        name="table_record",
        method="GET",
        path="/tables/{table}/{key}",
        role="analyst",
        summary="The raw state of a key, its owner and changelog offset",
        answers=(answers.TableRecord,),
        problems=(404,),
        subject="key",
        tag="tables",
    ),
    # -- privacy requests
    Route(
        name="request",
        method="POST",
        path="/privacy/requests",
        role="admin",
        summary="Publish a privacy request",
        answers=(answers.RequestQueued,),
        status=202,
        body=_json(PrivacyRequest, MAX_VALUE_BYTES),
        subject="user_id",
        tag="privacy",
    ),
    Route(
        name="requests",
        method="GET",
        path="/privacy/requests/{user_id}",
        role="analyst",
        summary="A user's privacy requests, their deadlines, and what was erased when",
        answers=(answers.RequestList,),
        problems=(404,),
        subject="user_id",
        tag="privacy",
    ),
    # -- the process
    Route(
        name="pause",
        method="POST",
        path="/process/pause",
        role="admin",
        summary="Stop consuming on all workers, until somebody resumes",
        answers=(answers.ProcessState,),
        query=questions.PauseReason,
        tag="process",
    ),
    Route(
        name="resume",
        method="POST",
        path="/process/resume",
        role="admin",
        summary="Go on with consuming on all workers",
        answers=(answers.ProcessState,),
        tag="process",
    ),
    Route(
        name="one",
        method="POST",
        path="/process/one",
        role="admin",
        summary="Judge exactly one event while paused",
        answers=(answers.OneJudged,),
        problems=(409,),
        tag="process",
    ),
    Route(
        name="drain",
        method="POST",
        path="/process/drain",
        role="admin",
        summary="Wait until the lag seen at the call is worked off",
        answers=(answers.Drained,),
        query=questions.Timeout,
        problems=(409,),
        tag="process",
    ),
    Route(
        name="audit",
        method="GET",
        path="/audit",
        role="admin",
        summary="Who read or changed what, newest first",
        answers=(answers.AuditTrail,),
        query=questions.Limit,
        tag="audit",
    ),
)
