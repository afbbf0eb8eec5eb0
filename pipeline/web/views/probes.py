"""The open views of the process: is it up, is it ready, what is it, what was counted."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from pipeline import __version__
from pipeline.web.http.answers import About, Accounts, Ready, Up
from pipeline.web.http.problems import unavailable
from pipeline.web.http.serving import answer

if TYPE_CHECKING:
    from aiohttp import web

    from pipeline.coordination.pauses import Pauses
    from pipeline.web.http.serving import Call, Handlers
    from pipeline.web.views.standing import Standing

_RECOVERING: Final = "partitions are being assigned or recovered"


def process_views(standing: Standing, pauses: Pauses, *, demo: bool) -> Handlers:
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
