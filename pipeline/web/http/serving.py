"""Serving the table of routes on Faust's web server: guards, checks, problem documents, headers.

A view module gives handlers by the names of their routes (`Handlers`); `install` binds them. A handler gets a `Call`
that was let in and checked, and returns its answer, or raises a `Problem`.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol, cast
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web
from pydantic import BaseModel, ValidationError

from pipeline.errors import OttError
from pipeline.events.instants import format_instant
from pipeline.web.access.tokens import Identity
from pipeline.web.cluster.proofs import ForwardedCall, body_digest
from pipeline.web.http.door import Runner, Site
from pipeline.web.http.limits import BODY_S, Bodies, connection_limits, too_slow
from pipeline.web.http.problems import FieldError, Problem, invalid, unauthorized, unavailable
from pipeline.web.http.routes import FORM, HTML, ROLES, Route
from pipeline.web.http.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    import faust
    from aiohttp.typedefs import Handler as AiohttpHandler
    from aiohttp.typedefs import Middleware
    from faust.web.drivers.aiohttp import Web as FaustWeb

    from pipeline.web.access.client_address import ClientAddresses
    from pipeline.web.access.tokens import Tokens
    from pipeline.web.http.limits import Room

PEER_HEADER: Final = "X-Ott-Peer"
"""Carries the proof of a call that another worker forwards, and of the answer to it."""

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
_MAX_PARAMETER: Final = 255
_TARGET: Final = re.compile(r"/(?![/])[!-\"$-\[\]-~]*")
"""ASCII without control characters, blanks, `#` and backslashes."""
_FORWARDED: Final = web.RequestKey("forwarded", ForwardedCall)
_SHUTDOWN_S: Final = 2.0
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was let in.

    Attributes:
        request: as aiohttp has it.
        route: that it goes to.
        who: asks; None on a public route.
        from_peer: whether another worker forwards what this person asks: it wants what this worker alone knows.
        path: the parameters of the path.
        query: those behind the question mark, as the route's model; None without one.
        body: as the route's model; bytes where it has none.
        as_of: UTC time at which it is answered.
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
Observe = Callable[[str, int, float], None]
"""Told of each answer: the route's name, the status, the seconds that it took."""


class Instead(Exception):  # noqa: N818 - not an error: the answer is ready, it comes from elsewhere
    """A whole answer that stands instead of the handler's own."""

    def __init__(self, response: web.StreamResponse) -> None:
        super().__init__()
        self.response = response


class PeerCalls(Protocol):
    """Checks the calls that other workers forward."""

    def check(self, request: web.Request, proof: str) -> ForwardedCall:
        """The call that a proof is about.

        Raises:
            Problem: the proof does not hold.
        """
        ...

    def take(self, call: ForwardedCall) -> None:
        """Take a call that was checked, once, and while it is young.

        Raises:
            Problem: it is too old, or was taken before.
        """
        ...

    def sign(self, call: ForwardedCall, response: web.Response) -> None:
        """Put the proof of the answer into its headers."""
        ...


class Trail(Protocol):
    """Where protected reads and actions are written down."""

    async def note(
        self, who: Identity, route: Route, subject: str | None, address: str | None, *, allowed: bool
    ) -> None:
        """Write down who did what, before it is done.

        Raises:
            Problem: it cannot be written down, so it must not be done.
        """
        ...


def answer(model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer with another status than the route's, or with headers."""
    return web.Response(
        body=model.model_dump_json(by_alias=True).encode(),
        status=status,
        headers=headers,
        content_type="application/json",
    )


def json_answer(document: object) -> web.Response:
    """An answer of JSON values that keep to the route's model: what comes from our own tables or topics was checked."""
    return web.Response(body=msgspec.json.encode(document), content_type="application/json")


def install(
    app: faust.App,
    routes: Sequence[Route],
    handlers: Sequence[Handlers],
    tokens: Tokens,
    peer_calls: PeerCalls,
    trail: Trail,
    *,
    demo: bool,
    addresses: ClientAddresses,
    observe: Observe | None = None,
) -> None:
    """Serve every route.

    Args:
        app: whose web server serves them.
        routes: of the view modules.
        handlers: of the view modules.
        tokens: tell who calls.
        peer_calls: checks what other workers forward.
        trail: takes note of what is protected.
        demo: whether the demo's routes are served.
        addresses: tells the clients' addresses from those of trusted proxies.
        observe: is told of each answer.

    Raises:
        LookupError: a handler without a route, a route without a handler, or two for one.
    """
    bound: dict[str, Handler] = {}
    for group in handlers:
        twice = bound.keys() & group.keys()
        if twice:
            raise LookupError(f"two handlers for {', '.join(sorted(twice))}")
        bound.update(group)
    different = bound.keys() ^ {route.name for route in routes}
    if different:
        raise LookupError(f"routes and handlers differ in {', '.join(sorted(different))}")
    driver = cast("FaustWeb", app.web)
    server = driver.web_app
    snapshot, bodies = Snapshot(), Bodies()
    for route in routes:
        if route.demo and not demo:
            continue
        served = _Serve(route, bound[route.name], tokens, peer_calls, trail, snapshot, bodies)
        _add(server, route, served.serve)
    server.middlewares.append(_finishing(routes, peer_calls, observe, addresses))
    _serve_behind_the_door(driver, addresses)


def _serve_behind_the_door(driver: FaustWeb, addresses: ClientAddresses) -> None:
    """Have Faust's driver serve through `pipeline.web.http.door`; the driver has no public way for it."""
    # A view that waits must not keep a worker from stopping.
    runner = Runner(
        driver.web_app, connection_limits(addresses.is_proxy), HEADERS, shutdown_timeout=_SHUTDOWN_S
    )
    driver._runner = runner  # noqa: SLF001

    def site() -> Site:
        conf = driver.app.conf
        return Site(runner, conf.web_bind, conf.web_port, conf.web_ssl_context)

    driver._transport_handlers = {"tcp": site}  # noqa: SLF001


def _add(server: web.Application, route: Route, serve: AiohttpHandler) -> None:
    if route.method == "GET":
        server.router.add_get(route.path, serve)
    else:
        server.router.add_route(route.method, route.path, serve)


class _Serve:
    """One route: guard, checks, handler."""

    def __init__(
        self,
        route: Route,
        handler: Handler,
        tokens: Tokens,
        peer_calls: PeerCalls,
        trail: Trail,
        snapshot: Snapshot,
        bodies: Bodies,
    ) -> None:
        self._route = route
        self._bodies = bodies
        self._handler = handler
        self._tokens = tokens
        self._peer_calls = peer_calls
        self._trail = trail
        self._snapshot = snapshot
        self._changes = route.role != "public" and route.method != "GET"

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Let in, check, take note, answer."""
        with self._bodies.room() as room:
            return await self._serve(request, room)

    async def _serve(self, request: web.Request, room: Room) -> web.StreamResponse:
        route = self._route
        who, forwarded = await self._let_in(request)
        call = Call(
            request,
            route,
            who,
            forwarded is not None,
            _path(request, route),
            _query(request, route),
            await _body(request, route, forwarded, room),
            format_instant(time.time_ns() // 1_000_000),
        )
        if who is not None:
            await self._trail.note(who, route, _subject(call), request.remote, allowed=True)
        if route.snapshot and not call.from_peer:
            return await self._snapshot.answer(request.path_qs, lambda: self._whole_answer(call))
        try:
            return await self._answer(call)
        finally:
            if self._changes:
                self._snapshot.forget()

    async def _whole_answer(self, call: Call) -> web.Response:
        found = await self._answer(call)
        if not isinstance(found, web.Response):
            raise TypeError(
                f"the answer of {self._route.name} is a stream, and cannot be part of the snapshot"
            )
        return found

    async def _answer(self, call: Call) -> web.StreamResponse:
        try:
            found = await self._handler(call)
        except Instead as other:
            return other.response
        return answer(found, self._route.status) if isinstance(found, BaseModel) else found

    async def _let_in(self, request: web.Request) -> tuple[Identity | None, ForwardedCall | None]:
        """Who asks, and the call that another worker forwards for this person, if one does."""
        route = self._route
        if route.role == "public":
            return None, None
        proof, forwarded = request.headers.get(PEER_HEADER), None
        if proof is None:
            who = self._tokens.identify(request.headers.get("Authorization"))
        else:
            forwarded = self._peer_calls.check(request, proof)
            # From here on the answer is signed, also one that refuses the call.
            request[_FORWARDED] = forwarded
            self._peer_calls.take(forwarded)
            who = Identity(forwarded.name, forwarded.role)
        if ROLES.index(who.role) < ROLES.index(route.role):
            await self._trail.note(who, route, None, request.remote, allowed=False)
            raise Problem(
                HTTPStatus.FORBIDDEN,
                f"{route.method} {route.path} is for the role {route.role}; {who.name} is {who.role}",
            )
        return who, forwarded


def _subject(call: Call) -> str | None:
    name = call.route.subject
    if name is None:
        return None
    return call.path[name] if name in call.path else getattr(call.body, name)


def _path(request: web.Request, route: Route) -> dict[str, str]:
    path = {name: request.match_info[name] for name in route.parameters}
    wrong = [
        FieldError(path=name, message=f"must have 1 to {_MAX_PARAMETER} characters", type="length")
        for name, value in path.items()
        if not 1 <= len(value) <= _MAX_PARAMETER
    ]
    if wrong:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the path is not valid: {wrong[0].path}", errors=wrong)
    return path


def _query(request: web.Request, route: Route) -> BaseModel | None:
    model = route.query
    if model is None:
        return None
    given = request.query
    twice = sorted({name for name in given if len(given.getall(name)) > 1})
    if twice:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the query is not valid: {twice[0]} is given more than once")
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        raise invalid(error, "query") from None


async def _body(
    request: web.Request, route: Route, forwarded: ForwardedCall | None, room: Room
) -> BaseModel | bytes | None:
    body = route.body
    if body is None:
        if forwarded is not None:
            _check_body(forwarded, await read_at_most(request, 0, room))
        return None
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.strip().lower() != "identity":
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the body has the Content-Encoding {coding[:_MAX_PARAMETER]}; send it as it is",
            headers={"Accept-Encoding": "identity", "Connection": "close"},
        )
    if request.content_type not in body.content or "Content-Type" not in request.headers:
        # A page of another site can send text/plain without asking first, and nothing that is allowed here.
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the body is {request.headers.get('Content-Type') or 'of no type'}; "
            f"it must be {' or '.join(body.content)}",
        )
    data = await read_at_most(request, body.limit, room)
    if forwarded is not None:
        _check_body(forwarded, data)
    if body.model is None:
        return data
    try:
        if request.content_type == FORM:
            return body.model.model_validate(dict(_form(data)))
        return body.model.model_validate_json(data)
    except ValidationError as error:
        raise invalid(error, "form" if request.content_type == FORM else "body") from None


def _check_body(forwarded: ForwardedCall, data: bytes) -> None:
    if body_digest(data) != forwarded.body:
        raise unauthorized("the signature is that of another body")


async def read_at_most(request: web.Request, limit: int, room: Room) -> bytes:
    """The body.

    Raises:
        Problem: it has more than `limit` bytes, it takes too long, or there is no room for it.
    """
    parts: list[bytes] = []
    size = 0
    if (request.content_length or 0) <= limit:
        try:
            async with asyncio.timeout(BODY_S):
                async for part in request.content.iter_any():
                    size += len(part)
                    if size > limit:
                        break
                    room.hold(size)
                    parts.append(part)
                else:
                    return b"".join(parts)
        except TimeoutError:
            raise too_slow(BODY_S) from None
        except (ConnectionError, web.RequestPayloadError):
            # The client has gone, or what it sends is no body (chunks of no length, an end too early).
            raise Problem(
                HTTPStatus.BAD_REQUEST, "the body cannot be read to its end", headers={"Connection": "close"}
            ) from None
    raise Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body has more than {limit} bytes; send less at a time",
        headers={"Connection": "close"},
    )


def check_target(target: str) -> None:
    """Let only the usual form of a request's target pass: a path, and perhaps a query.

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


def _form(data: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=20, errors="strict")
    except ValueError:
        raise Problem(HTTPStatus.BAD_REQUEST, "the form cannot be read") from None


def _finishing(
    routes: Sequence[Route], peer_calls: PeerCalls, observe: Observe | None, addresses: ClientAddresses
) -> Middleware:
    """What is done with every answer: observed, errors made problem documents, the security headers added."""
    names: dict[tuple[str, str], str] = {(route.method, route.path): route.name for route in routes}

    @web.middleware
    async def finish(request: web.Request, handler: AiohttpHandler) -> web.StreamResponse:
        began = time.perf_counter()
        client = addresses.of(request)
        if client is not None and client != request.remote:
            # From here on `request.remote` is the client, and not a trusted proxy, for whoever asks.
            request = request.clone(remote=client)
        response = await _answered(request, handler)
        forwarded = request.get(_FORWARDED)
        if forwarded is not None and isinstance(response, web.Response):
            peer_calls.sign(forwarded, response)
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
    except Exception:  # noqa: BLE001 - a bug in one view must not be told to the caller
        _LOG.exception("%s %r failed", request.method, request.path)
        bug = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "a bug; the worker's log tells more")
        return bug.response(request.path)


def _of_framework(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    """What aiohttp raises by itself: no such path, no such method, and the like."""
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
