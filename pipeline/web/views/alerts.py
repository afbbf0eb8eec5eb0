"""`/alerts`: living alerts, from the verdict index. Each worker has the whole index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec
from pydantic import Field

from pipeline.verdict_index.index import IndexUnavailableError
from pipeline.web.http.answers import (
    Answer,
    AsOf,
    Document,
    Instant,
    Severity,
    Subject,
)
from pipeline.web.http.calls import json_answer
from pipeline.web.http.problems import unavailable
from pipeline.web.http.questions import Limit
from pipeline.web.http.routes import Route

if TYPE_CHECKING:
    from aiohttp.web import Response

    from pipeline.verdict_index.index import VerdictIndex
    from pipeline.web.http.calls import Call, Handlers


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
    verdict_id: str = Field(description="the newest verdict with this finding")


class Alerts(Answer):
    """The alerts that are open, and those that closed lately; open ones first, most severe first."""

    alerts: list[Alert]
    open: int = Field(description="the number of open alerts, including those beyond the limit")
    closed: int
    as_of: AsOf


ROUTES: Final = (
    Route(
        name="alerts",
        method="GET",
        path="/alerts",
        role="analyst",
        summary="Living alerts",
        answers=(Alerts,),
        query=Limit,
        snapshot=True,
        tag="compliance",
    ),
)


def alert_views(index: VerdictIndex) -> Handlers:
    """The handler of `/alerts`."""

    async def alerts(call: Call) -> Response:
        try:
            found = await index.alerts(call.query.limit)
        except IndexUnavailableError as error:
            raise unavailable(str(error)) from error
        # The alerts are sent as their own bytes, as verdicts are.
        return json_answer(
            {
                "alerts": [msgspec.Raw(value) for value in found.values],
                "open": found.open,
                "closed": found.closed,
                "as_of": call.as_of,
            }
        )

    return {"alerts": alerts}
