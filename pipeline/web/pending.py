"""Routes whose views are not written yet: they say so."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn

from pipeline.web.problems import Problem
from pipeline.web.routes import ROUTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.web.serving import Call, Handlers


def pending_views(handlers: Sequence[Handlers]) -> Handlers:
    """Handlers for the routes that have none among `handlers`."""
    bound = {name for group in handlers for name in group}
    return {route.name: _not_yet for route in ROUTES if route.name not in bound}


async def _not_yet(call: Call) -> NoReturn:
    raise Problem(HTTPStatus.NOT_IMPLEMENTED, f"{call.route.path} is not there yet")
