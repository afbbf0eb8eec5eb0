"""The connections of the web server: accepting them, closing slow ones, and errors before a request has a route.

aiohttp speaks HTTP. This module accepts the connections itself, because asyncio's own loop accepts all of them, and
logs a traceback every second once the process may open no more files. It also closes connections that take too long,
and turns the errors that aiohttp answers by itself into problem documents.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal

from aiohttp import web

from pipeline.web.http.limits import HEAD_BYTES, HEAD_S, IDLE_S, LINGER_S, PROBES, REQUEST_S, Connections
from pipeline.web.http.problems import Problem, unavailable

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from pipeline.web.http.limits import ConnectionLimits

_QUEUE: Final = 1_024
"""The kernel keeps this many connections until they are accepted."""
_AT_ONCE: Final = 32
"""This many connections are accepted before the event loop runs anything else."""
_HANDSHAKE_S: Final = 5.0
_LOOK_EVERY_S: Final = 1.0
_NO_FILES_S: Final = 0.1
_LOG: Final = logging.getLogger(__name__)


class _Handler(web.RequestHandler):
    """One connection.

    Attributes:
        for_probes: whether it may ask for the probes only, because there was room for these only.
        connecting: the task that sets up the connection, which includes the TLS handshake.
    """

    def __init__(self, server: _Server, **options: Any) -> None:  # noqa: ANN401 - those of aiohttp
        super().__init__(server, loop=server.loop, **options)
        self.for_probes = False
        self.connecting: asyncio.Task[None] | None = None
        self._owner = server
        self._since = server.loop.time()
        self._stage: Literal["head", "request", "idle"] = "head"
        self._head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Called by asyncio with the bytes that arrived."""
        if data and self._stage == "idle":
            self._enter("head")
        super().data_received(data)
        if self._messages and self._stage == "head":
            self._enter("request")
        # A waiter means that aiohttp waits for headers. Without one it reads the rest of a refused body.
        if self._stage == "head" and self._waiter is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self.cut()

        self._fail_cut_bodies()

    def _fail_cut_bodies(self) -> None:
        """End the wait for a body that is malformed.

        aiohttp queues a parser's error like a next request, and leaves whoever reads the body waiting until a time
        limit. No request can begin before the body of the one before it has ended, so an unfinished body with anything
        queued behind it is malformed.
        """
        if not self._messages:
            return
        request = self._current_request
        bodies = [] if request is None else [request.content]
        bodies += [body for _, body in list(self._messages)[:-1]]
        for body in bodies:
            if not body.is_eof() and body.exception() is None:
                body.set_exception(web.RequestPayloadError("the body is malformed"))

    def _enter(self, stage: Literal["head", "request", "idle"]) -> None:
        self._stage = stage
        self._since = self._loop.time()
        self._head_bytes = 0

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called by asyncio when the connection is closed."""
        self._owner.counted.gone(self)
        super().connection_lost(exc)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Called by aiohttp to send an answer."""
        if request.content.exception() is not None:
            # aiohttp would read the rest of the body, and log the exception.
            self._lingering_time = 0
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._enter("request" if self._messages else "idle")
            self._owner.counted.used(self)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to bytes that are no request, and to a request that failed outside of its route."""
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the answer is sent already")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _LOG.error("a request broke the web server", exc_info=exc)
            problem = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "a bug; the worker's log tells more")
        else:
            what = " ".join((message or "").split()[:40])
            problem = Problem(status, f"the request cannot be read: {what}")
        response = self._owner.with_headers(problem)
        response.force_close()
        return response

    def waits_for_client(self) -> bool:
        """Whether the server waits for the client."""
        if self._stage != "request" or self._paused:
            return True
        request = self._current_request
        return request is not None and not request.content.is_eof()

    def cut(self) -> None:
        """Close it at once."""
        if self.transport is not None:
            self.transport.abort()
        elif self.connecting is not None:
            self.connecting.cancel()

    def late(self, now: float) -> bool:
        """Whether the client took too long. aiohttp itself closes idle connections."""
        limit = {"head": HEAD_S, "request": REQUEST_S, "idle": math.inf}[self._stage]
        return now - self._since > limit


class _Server(web.Server):
    """Makes a `_Handler` for each accepted socket."""

    def __init__(
        self,
        inner: web.Server,
        limits: ConnectionLimits,
        headers: Mapping[str, str],
        **options: Any,  # noqa: ANN401 - those of aiohttp
    ) -> None:
        self.loop = asyncio.get_running_loop()
        super().__init__(self._answer, request_factory=inner.request_factory, loop=self.loop)
        self.counted = Connections(limits)
        self._inner = inner
        self._headers = headers
        self._options = options
        self._look: asyncio.TimerHandle | None = None

    def with_headers(self, problem: Problem) -> web.Response:
        """A problem as an answer outside of any route, with the headers of every answer."""
        response = problem.response("")
        response.headers.update(self._headers)
        response.headers["Cache-Control"] = "no-store"
        return response

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, _Handler)
        if connection.for_probes and request.path not in PROBES:
            response = self.with_headers(unavailable("there are too many connections; come again later"))
            response.force_close()
            return response
        try:
            return await self._inner.request_handler(request)
        except web.HTTPException as error:
            # Raised before the route, for example for an Expect header that cannot be met.
            return self.with_headers(Problem(error.status, error.text))

    def accept(self, accepted: socket.socket, address: str, tls: ssl.SSLContext | None) -> None:
        """Take a new connection if there is room; otherwise close it."""
        connection = _Handler(self, **self._options)
        if not self.counted.admit(connection, address):
            accepted.close()
            return
        connection.connecting = self.loop.create_task(self._connect(connection, accepted, tls))
        if self._look is None:
            self._look = self.loop.call_later(_LOOK_EVERY_S, self._close_late)

    async def _connect(
        self, connection: _Handler, accepted: socket.socket, tls: ssl.SSLContext | None
    ) -> None:
        try:
            await self.loop.connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=tls,
                ssl_handshake_timeout=None if tls is None else _HANDSHAKE_S,
            )
        except (OSError, asyncio.CancelledError):
            self.counted.gone(connection)
            accepted.close()

    def _close_late(self) -> None:
        now = self.loop.time()
        for connection in self.counted:
            assert isinstance(connection, _Handler)
            if connection.late(now):
                connection.cut()
        more = len(self.counted) > 0
        self._look = self.loop.call_later(_LOOK_EVERY_S, self._close_late) if more else None


class Runner(web.AppRunner):
    """Runs an application with limits of its connections.

    Args:
        app: that is served.
        limits: of connections.
        headers: of every answer outside of any route.
        shutdown_timeout: seconds that running requests get when the server stops.
    """

    def __init__(
        self,
        app: web.Application,
        limits: ConnectionLimits,
        headers: Mapping[str, str],
        *,
        shutdown_timeout: float,
    ) -> None:
        super().__init__(app, access_log=None, shutdown_timeout=shutdown_timeout)
        self._limits = limits
        self._headers = headers

    async def _make_server(self) -> web.Server:
        return _Server(
            await super()._make_server(),
            self._limits,
            self._headers,
            access_log=None,
            # A compressed body is refused, and must not be expanded before that.
            auto_decompress=False,
            keepalive_timeout=IDLE_S,
            lingering_time=LINGER_S,
        )


class Site(web.BaseSite):
    """Listens, and accepts connections.

    Args:
        runner: serves them.
        host: where it listens.
        port: where it listens.
        tls: for HTTPS.
    """

    def __init__(self, runner: Runner, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(runner, ssl_context=tls)
        self._host = host
        self._port = port
        self._listeners: list[socket.socket] = []

    @property
    def name(self) -> str:
        """Its address."""
        return f"{'http' if self._ssl_context is None else 'https'}://{self._host}:{self._port}"

    async def start(self) -> None:
        """Listen."""
        await super().start()
        loop, server = asyncio.get_running_loop(), self._runner.server
        assert isinstance(server, _Server)
        # asyncio only resolves the name and binds the addresses here. It does not accept connections.
        self._server = await loop.create_server(server, self._host, self._port, start_serving=False)
        for bound in self._server.sockets:
            listener = socket.fromfd(bound.fileno(), bound.family, bound.type)
            listener.setblocking(False)
            listener.listen(_QUEUE)
            self._listeners.append(listener)
            loop.add_reader(listener, self._accept, listener, server)

    def _accept(self, listener: socket.socket, server: _Server) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # No files or no memory are left. New connections wait in the kernel meanwhile.
                _LOG.error("no connection can be accepted: %s", error)
                loop = asyncio.get_running_loop()
                loop.remove_reader(listener)
                loop.call_later(_NO_FILES_S, self._listen_again, listener, server)
                return
            accepted.setblocking(False)
            server.accept(accepted, address[0], self._ssl_context)

    def _listen_again(self, listener: socket.socket, server: _Server) -> None:
        if listener in self._listeners:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener, server)

    async def stop(self) -> None:
        """Stop listening."""
        loop = asyncio.get_running_loop()
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            loop.remove_reader(listener)
            listener.close()
        with contextlib.suppress(OSError):
            await super().stop()
