"""What the handler of a route gets, and what it returns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web
from pydantic import BaseModel

if TYPE_CHECKING:
    from pipeline.web.access.tokens import Identity
    from pipeline.web.http.routes import Route


@dataclass(frozen=True, slots=True)
class Call:
    """A request after the guard and the checks.

    Attributes:
        request: the request of aiohttp.
        route: of the request.
        who: the caller; None on a public route.
        from_peer: whether another worker forwards the caller's request. Such an answer covers this worker only.
        path: the parameters of the path.
        query: the query as the route's model; None if the route has none.
        body: the body as the route's model; bytes if the route has none.
        as_of: the UTC time of the answer.
    """

    request: web.Request
    route: Route
    who: Identity | None
    from_peer: bool
    path: Mapping[str, str]
    query: Any
    body: Any
    as_of: str


Handler = Callable[[Call], Awaitable[BaseModel | web.StreamResponse]]
Handlers = Mapping[str, Handler]
"""The handlers of a view module by the names of their routes."""


class Instead(Exception):  # noqa: N818 - not an error: the answer is complete, another worker made it
    """Raised by a handler's helper if another worker's complete answer replaces the handler's own."""

    def __init__(self, response: web.StreamResponse) -> None:
        super().__init__()
        self.response = response


def answer(model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer. A handler needs it only for another status than the route's, or for headers."""
    return web.Response(
        body=model.model_dump_json(by_alias=True).encode(),
        status=status,
        headers=headers,
        content_type="application/json",
    )


def json_answer(document: object) -> web.Response:
    """An answer of JSON values that match the route's model and need no second check.

    The values come from our own tables or topics, where they were checked when they were written.
    """
    return web.Response(body=msgspec.json.encode(document), content_type="application/json")
