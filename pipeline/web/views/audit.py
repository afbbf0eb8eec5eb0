"""`/audit`: the newest entries of the audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from pipeline.web.http.answers import (
    Answer,
    Instant,
)
from pipeline.web.http.questions import Limit
from pipeline.web.http.routes import Route

if TYPE_CHECKING:
    from pipeline.web.access.audit_trail import AuditLog
    from pipeline.web.http.calls import Call, Handlers


class AuditEntry(Answer):
    """Who read or did what, to whom, and when."""

    at: Instant
    who: str = Field(
        description="an account; (no such account) if a log-in failed with a name that no account has"
    )
    role: Literal["analyst", "admin"] | None
    action: str = Field(description="the operation: method and path of the route")
    subject: str | None
    allowed: bool
    address: str | None
    times: int = Field(
        1, description="the number of failed log-ins within ten seconds that this entry combines"
    )


class AuditTrail(Answer):
    """The newest entries, newest first."""

    entries: list[AuditEntry]


ROUTES: Final = (
    Route(
        name="audit",
        method="GET",
        path="/audit",
        role="admin",
        summary="Who read or changed what, newest first",
        answers=(AuditTrail,),
        query=Limit,
        tag="audit",
    ),
)


def audit_views(log: AuditLog) -> Handlers:
    """The handler of `/audit`."""

    async def audit(call: Call) -> AuditTrail:
        question: Limit = call.query
        return AuditTrail(
            entries=[
                AuditEntry(
                    at=record.at,
                    who=record.who,
                    role=record.role,
                    action=record.action,
                    subject=record.subject,
                    allowed=record.allowed,
                    address=record.address,
                    times=record.times,
                )
                for record in await log.newest(question.limit)
            ]
        )

    return {"audit": audit}
