"""The view of living alerts, from the verdict index, which each worker has whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pipeline.verdict_index.index import IndexUnavailableError
from pipeline.web.http.problems import unavailable
from pipeline.web.http.serving import json_answer

if TYPE_CHECKING:
    from aiohttp.web import Response

    from pipeline.verdict_index.index import VerdictIndex
    from pipeline.web.http.serving import Call, Handlers


def alert_views(index: VerdictIndex) -> Handlers:
    """The handler of `/alerts`."""

    async def alerts(call: Call) -> Response:
        try:
            found = await index.alerts(call.query.limit)
        except IndexUnavailableError as error:
            raise unavailable(str(error)) from error
        # The alerts' own bytes, as with verdicts.
        return json_answer(
            {
                "alerts": [msgspec.Raw(value) for value in found.values],
                "open": found.open,
                "closed": found.closed,
                "as_of": call.as_of,
            }
        )

    return {"alerts": alerts}
