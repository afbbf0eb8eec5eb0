"""`GET /audit`: who read or changed what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.web.access.audit_trail import AuditEntry
from pipeline.web.http.answers import Answer
from pipeline.web.http.questions import Limit
from pipeline.web.http.routes import Route

if TYPE_CHECKING:
    from pipeline.web.access import audit_trail
    from pipeline.web.http.serving import Call, Handlers


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


def audit_views(trail: audit_trail.AuditTrail) -> Handlers:
    """The handler of `GET /audit`."""

    async def audit(call: Call) -> AuditTrail:
        question: Limit = call.query
        return AuditTrail(entries=await trail.newest(question.limit))

    return {"audit": audit}
