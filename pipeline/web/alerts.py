"""The view of living alerts, from the verdict index, which each worker has whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from pipeline.verdicts.index import IndexUnavailableError
from pipeline.web.problems import unavailable

if TYPE_CHECKING:
    from pipeline.verdicts.index import VerdictIndex
    from pipeline.web.serving import Call, Handlers


def alert_views(index: VerdictIndex) -> Handlers:
    """The handler of `/alerts`."""

    async def alerts(call: Call) -> web.Response:
        try:
            found = await index.alerts(call.query.limit)
        except IndexUnavailableError as error:
            raise unavailable(str(error)) from error
        # The alerts' own bytes, as with verdicts.
        body = msgspec.json.encode(
            {
                "alerts": [msgspec.Raw(value) for value in found.values],
                "open": found.open,
                "closed": found.closed,
            }
        )
        return web.Response(body=body, content_type="application/json")

    return {"alerts": alerts}
