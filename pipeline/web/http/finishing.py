"""What is done with every answer: errors become problem documents, headers are added, the time is observed."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from aiohttp import web

from pipeline.errors import OttError
from pipeline.web.cluster.proofs import ForwardedCall
from pipeline.web.http.problems import Problem, unavailable
from pipeline.web.http.routes import HTML

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp.typedefs import Handler as AiohttpHandler
    from aiohttp.typedefs import Middleware

    from pipeline.web.access.client_address import ClientAddresses
    from pipeline.web.http.routes import Route

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
FORWARDED: Final = web.RequestKey("forwarded", ForwardedCall)
"""Marks a request that another worker forwards, so that its answer is signed."""
_TARGET: Final = re.compile(r"/(?![/])[!-\"$-\[\]-~]*")
"""ASCII without control characters, blanks, `#` and backslashes."""
_LOG: Final = logging.getLogger(__name__)

Observe = Callable[[str, int, float], None]
"""Called after each answer with the route's name, the status and the seconds that it took."""


def check_target(target: str) -> None:
    """Accept only the usual form of a request's target: a path, and perhaps a query.

    The other forms of RFC 9112, 3.2 are for proxies (`http://host/path`, `host:port`) and for the server as a whole
    (`*`). A target that begins with two slashes, or has a backslash, is read as a host by some programs.

    Raises:
        Problem: it has another form.
    """
    if _TARGET.fullmatch(target) is None:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "the request's target must be a path that begins with one slash, and perhaps a query; "
            "what is not ASCII must be percent-encoded",
        )


def finishing(
    routes: Sequence[Route],
    sign: Callable[[ForwardedCall, web.Response], None],
    observe: Observe | None,
    addresses: ClientAddresses,
) -> Middleware:
    """The middleware around all routes.

    Args:
        routes: for the names that `observe` gets.
        sign: adds the proof to an answer to another worker.
        observe: is called after each answer.
        addresses: finds the client's address behind trusted proxies.
    """
    names: dict[tuple[str, str], str] = {(route.method, route.path): route.name for route in routes}

    @web.middleware
    async def finish(request: web.Request, handler: AiohttpHandler) -> web.StreamResponse:
        began = time.perf_counter()
        client = addresses.of(request)
        if client is not None and client != request.remote:
            # From here on `request.remote` is the client, not a trusted proxy.
            request = request.clone(remote=client)
        response = await _answered(request, handler)
        forwarded = request.get(FORWARDED)
        if forwarded is not None and isinstance(response, web.Response):
            sign(forwarded, response)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        default = "no-cache" if response.content_type == HTML else "no-store"
        response.headers.setdefault("Cache-Control", default)
        if observe is not None:
            resource = request.match_info.route.resource
            method = "GET" if request.method == "HEAD" else request.method
            name = names.get((method, "" if resource is None else resource.canonical), "none")
            observe(name, response.status, time.perf_counter() - began)
        return response

    return finish


async def _answered(request: web.Request, handler: AiohttpHandler) -> web.StreamResponse:
    try:
        check_target(request.raw_path)
        return await handler(request)
    except Problem as problem:
        return problem.response(request.path)
    except web.HTTPException as error:
        return _of_framework(request, error)
    except OttError as error:
        _LOG.warning("%s %r: %s", request.method, request.path, error)
        return unavailable("the worker's settings do not allow it; see its log", 60).response(request.path)
    except Exception:  # noqa: BLE001 - a caller must not see the details of a bug
        _LOG.exception("%s %r failed", request.method, request.path)
        bug = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "a bug; the worker's log tells more")
        return bug.response(request.path)


def _of_framework(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    """The answer to an error that aiohttp raises by itself, such as an unknown path or method."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted({*error.allowed_methods, "OPTIONS"}))
        if request.method == "OPTIONS":
            return web.Response(status=HTTPStatus.NO_CONTENT, headers={"Allow": allowed})
        return Problem(
            HTTPStatus.METHOD_NOT_ALLOWED,
            f"{request.path} has no {request.method}; it has {allowed}",
            headers={"Allow": allowed},
        ).response(request.path)
    if error.status == HTTPStatus.NOT_FOUND:
        return Problem(
            HTTPStatus.NOT_FOUND, f"there is nothing at {request.path}; see /openapi.json"
        ).response(request.path)
    if error.status < HTTPStatus.BAD_REQUEST:
        return web.Response(status=error.status, headers=error.headers)
    return Problem(error.status, error.text).response(request.path)
