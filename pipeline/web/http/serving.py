"""Serving routes on Faust's web server: guard, checks, audit entry, handler.

A view module gives its handlers by the names of their routes; `install` binds them.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol, cast

from aiohttp import web
from pydantic import BaseModel

from pipeline.events.instants import format_instant
from pipeline.web.access.tokens import Identity
from pipeline.web.cluster.proofs import PEER_HEADER
from pipeline.web.http.calls import Call, Instead, answer
from pipeline.web.http.door import Runner, Site
from pipeline.web.http.finishing import FORWARDED, HEADERS, finishing
from pipeline.web.http.limits import Bodies, connection_limits
from pipeline.web.http.problems import Problem
from pipeline.web.http.request_parts import read_body, read_path, read_query
from pipeline.web.http.routes import ROLES
from pipeline.web.http.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    import faust
    from aiohttp.typedefs import Handler as AiohttpHandler
    from faust.web.drivers.aiohttp import Web as FaustWeb

    from pipeline.web.access.client_address import ClientAddresses
    from pipeline.web.access.tokens import Tokens
    from pipeline.web.cluster.proofs import ForwardedCall
    from pipeline.web.http.calls import Handler, Handlers
    from pipeline.web.http.finishing import Observe
    from pipeline.web.http.limits import Room
    from pipeline.web.http.routes import Route

_SHUTDOWN_S: Final = 2.0


class PeerCalls(Protocol):
    """Checks the calls that other workers forward."""

    def check(self, request: web.Request, proof: str) -> ForwardedCall:
        """The call that a proof belongs to.

        Raises:
            Problem: the proof is not valid.
        """
        ...

    def take(self, call: ForwardedCall) -> None:
        """Accept a checked call once, and only while it is fresh.

        Raises:
            Problem: it is too old, or was accepted before.
        """
        ...

    def sign(self, call: ForwardedCall, response: web.Response) -> None:
        """Add the proof of the answer to its headers."""
        ...


class Trail(Protocol):
    """Takes the entries of protected reads and actions."""

    async def note(
        self, who: Identity, route: Route, subject: str | None, address: str | None, *, allowed: bool
    ) -> None:
        """Write an entry before the route's handler runs.

        Raises:
            Problem: it cannot be written, so the handler must not run.
        """
        ...


def install(
    app: faust.App,
    routes: Sequence[Route],
    handlers: Sequence[Handlers],
    tokens: Tokens,
    peer_calls: PeerCalls,
    trail: Trail,
    *,
    addresses: ClientAddresses,
    observe: Observe | None = None,
) -> None:
    """Serve routes.

    Args:
        app: whose web server serves them.
        routes: to serve.
        handlers: of the view modules; each route has exactly one.
        tokens: identify the callers.
        peer_calls: checks the calls that other workers forward.
        trail: takes the entries of protected reads and actions.
        addresses: finds the client's address behind trusted proxies.
        observe: is called after each answer.

    Raises:
        LookupError: a handler without a route, a route without a handler, or two handlers for one route.
    """
    bound: dict[str, Handler] = {}
    for group in handlers:
        twice = bound.keys() & group.keys()
        if twice:
            raise LookupError(f"two handlers for {', '.join(sorted(twice))}")
        bound.update(group)
    differing = bound.keys() ^ {route.name for route in routes}
    if differing:
        raise LookupError(f"routes and handlers differ in {', '.join(sorted(differing))}")
    driver = cast("FaustWeb", app.web)
    server = driver.web_app
    snapshot, bodies = Snapshot(), Bodies()
    for route in routes:
        served = _Serve(route, bound[route.name], tokens, peer_calls, trail, snapshot, bodies)
        _add(server, route, served.serve)
    server.middlewares.append(finishing(routes, peer_calls.sign, observe, addresses))
    _listen_with_limits(driver, addresses)


def _listen_with_limits(driver: FaustWeb, addresses: ClientAddresses) -> None:
    """Make Faust's driver use `pipeline.web.http.door`. The driver has no public way to do so."""
    # A view that waits must not delay the stop of a worker.
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
    """Serves one route: guard, checks, audit entry, handler."""

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
        """Identify the caller, check the request, write the audit entry, answer."""
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
            read_path(request, route),
            read_query(request, route),
            await read_body(request, route, forwarded, room),
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
        """The caller, and the forwarded call if another worker forwards the caller's request."""
        route = self._route
        if route.role == "public":
            return None, None
        proof, forwarded = request.headers.get(PEER_HEADER), None
        if proof is None:
            who = self._tokens.identify(request.headers.get("Authorization"))
        else:
            forwarded = self._peer_calls.check(request, proof)
            # From here on the answer is signed, even if it refuses the call.
            request[FORWARDED] = forwarded
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
