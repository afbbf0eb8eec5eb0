"""A server that stands in for the worker's web: it answers everything at once, and with nearly no work.

Requests to it take from the machine what sending them takes, and nothing from the worker: what they slow the worker by
is not its web's doing.
"""

from __future__ import annotations

import asyncio
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final, Self, cast

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from types import TracebackType

_BODY: Final = b" " * 6_998 + b"{}"
"""As long as the answers of the mix are on an average."""
_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_BODY) + _BODY
)
_END_OF_REQUEST: Final = b"\r\n\r\n"


class StandIn:
    """Runs in a process of its own while the `with` block lasts.

    Attributes:
        port: where it listens, on loopback.
    """

    def __init__(self) -> None:
        """Nothing runs yet."""
        self.port = 0

    def __enter__(self) -> Self:
        context = get_context("spawn")
        told, tells = context.Pipe(duplex=False)
        self._process = context.Process(target=_run, args=(tells,), name="stand-in", daemon=True)
        self._process.start()
        tells.close()
        self.port = told.recv()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join()


class _Answering(asyncio.Protocol):
    """Requests without a body, as the mix has them."""

    def __init__(self) -> None:
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        *requests, self._seen = (self._seen + data).split(_END_OF_REQUEST)
        self._transport.write(_ANSWER * len(requests))


def _run(tells: Connection) -> None:
    asyncio.run(_serve(tells))


async def _serve(tells: Connection) -> None:
    server = await asyncio.get_running_loop().create_server(_Answering, "127.0.0.1", 0)
    tells.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()
