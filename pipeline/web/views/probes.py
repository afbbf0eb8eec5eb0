"""`/healthz` and `/readyz`: whether the process is up, and whether it is ready."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from pipeline.web.http.answers import (
    Answer,
    Instant,
)
from pipeline.web.http.calls import answer
from pipeline.web.http.routes import Route

if TYPE_CHECKING:
    from aiohttp import web

    from pipeline.coordination.pauses import Pauses
    from pipeline.web.http.calls import Call, Handlers
    from pipeline.web.views.status import WorkerStatus


class Up(Answer):
    """The process answers."""

    status: Literal["up"]


class Ready(Answer):
    """Whether this worker's partitions are assigned and recovered, and its topics are as they were at its start."""

    status: Literal["ready", "recovering", "trouble"] = Field(
        description="trouble: partitions were added, or topics deleted, while the worker runs"
    )
    reason: str | None = Field(description="why it is not ready, and what to do about it")
    paused_since: Instant | None = Field(
        description="since when consuming is paused; /stats/summary says by whom and why"
    )


ROUTES: Final = (
    Route(
        name="healthz",
        method="GET",
        path="/healthz",
        role="public",
        summary="Whether the process is up",
        answers=(Up,),
    ),
    Route(
        name="readyz",
        method="GET",
        path="/readyz",
        role="public",
        summary="Whether partitions are assigned and their tables recovered",
        answers=(Ready,),
        problems=(503,),
    ),
)


RECOVERING: Final = "partitions are being assigned or recovered"


def probe_views(status: WorkerStatus, pauses: Pauses) -> Handlers:
    """The handlers of `/healthz` and `/readyz`."""

    async def healthz(_: Call) -> Up:
        return Up(status="up")

    async def readyz(_: Call) -> web.Response:
        pause = pauses.current
        paused_since = None if pause is None else pause.at
        if status.ready:
            return answer(Ready(status="ready", reason=None, paused_since=paused_since))
        trouble = status.trouble
        state = (
            Ready(status="recovering", reason=RECOVERING, paused_since=paused_since)
            if trouble is None
            else Ready(status="trouble", reason=trouble, paused_since=paused_since)
        )
        return answer(state, HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "1"})

    return {"healthz": healthz, "readyz": readyz}
