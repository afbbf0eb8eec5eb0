"""The open views of the process: is it up, is it ready, what is it, what was counted."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from pipeline import __version__
from pipeline.web.http.answers import Answer, Instant
from pipeline.web.http.problems import unavailable
from pipeline.web.http.routes import Route
from pipeline.web.http.serving import answer

if TYPE_CHECKING:
    from aiohttp import web

    from pipeline.coordination.pauses import Pauses
    from pipeline.web.http.serving import Call, Handlers
    from pipeline.web.views.standing import Standing

_RECOVERING: Final = "partitions are being assigned or recovered"


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
    Route(
        name="accounts",
        method="GET",
        path="/stats/accounts",
        role="analyst",
        summary="How the records of this worker's partitions ended (in the demo only)",
        answers=(Accounts,),
        problems=(503,),
        tag="stats",
        demo=True,
    ),
)


def probe_views(standing: Standing, pauses: Pauses, *, demo: bool) -> Handlers:
    """The handlers of `/healthz`, `/readyz`, `/api` and `/stats/accounts`."""
    process = _Process(standing, pauses, demo=demo)
    return {
        "healthz": process.healthz,
        "readyz": process.readyz,
        "about": process.about,
        "accounts": process.accounts,
    }


class _Process:
    def __init__(self, standing: Standing, pauses: Pauses, *, demo: bool) -> None:
        self._pauses = pauses
        self._standing = standing
        self._demo = demo

    async def healthz(self, call: Call) -> Up:  # noqa: ARG002 - the same for everybody
        return Up(status="up")

    async def readyz(self, call: Call) -> web.Response:  # noqa: ARG002 - as healthz
        pause = self._pauses.current
        paused_since = None if pause is None else pause.at
        if self._standing.ready():
            return answer(Ready(status="ready", reason=None, paused_since=paused_since))
        trouble = self._standing.trouble
        state = (
            Ready(status="recovering", reason=_RECOVERING, paused_since=paused_since)
            if trouble is None
            else Ready(status="trouble", reason=trouble, paused_since=paused_since)
        )
        return answer(state, HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "1"})

    async def about(self, call: Call) -> About:  # noqa: ARG002 - as healthz
        return About(name="ott-risk", version=__version__, ready=self._standing.ready(), demo=self._demo)

    async def accounts(self, call: Call) -> Accounts:  # noqa: ARG002 - as healthz
        if not self._standing.recovered():
            raise unavailable(_RECOVERING)
        counts = self._standing.counts()
        judged, duplicate, failed = (counts.get(name, 0) for name in ("judged", "duplicate", "failed"))
        return Accounts(
            read=judged + duplicate + failed,
            judged=judged,
            duplicate=duplicate,
            failed=failed,
            flagged=counts.get("flagged", 0),
            late=counts.get("late", 0),
            requests=counts.get("request", 0),
            rekeyed=counts.get("misplaced", 0),
            lag=self._standing.lag(),
            lag_open_transactions=self._standing.lag_open_transactions(),
        )
