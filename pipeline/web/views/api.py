"""`/api` and `/openapi.json`: what this server is, and what it answers."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, Literal

from aiohttp import web

from pipeline import __version__
from pipeline.web.http.answers import (
    Answer,
)
from pipeline.web.http.openapi import document
from pipeline.web.http.routes import JSON, Route

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.web.http.calls import Call, Handlers
    from pipeline.web.views.status import WorkerStatus


class About(Answer):
    """What this is."""

    name: Literal["ott-risk"]
    version: str
    ready: bool
    demo: bool


ROUTES: Final = (
    Route(
        name="about",
        method="GET",
        path="/api",
        role="public",
        summary="Name, version, health",
        answers=(About,),
    ),
    Route(
        name="openapi",
        method="GET",
        path="/openapi.json",
        role="public",
        summary="This document",
        tag="page",
    ),
)


def api_views(status: WorkerStatus, served: Sequence[Route], *, demo: bool) -> Handlers:
    """The handlers of `/api` and `/openapi.json`.

    Args:
        status: of this worker.
        served: all routes that this worker serves.
        demo: whether this worker runs the demo.
    """

    @cache
    def openapi_document() -> bytes:
        """Made at the first request, because it takes some 100 ms."""
        return document(served).encode()

    async def about(_: Call) -> About:
        return About(name="ott-risk", version=__version__, ready=status.ready, demo=demo)

    async def openapi(_: Call) -> web.Response:
        return web.Response(body=openapi_document(), content_type=JSON)

    return {"about": about, "openapi": openapi}
