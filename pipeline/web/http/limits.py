"""The limits of the web server, per client and in total, and the accounting of what is in use.

Nothing here knows HTTP. `pipeline.web.http.door` enforces the limits of connections, and
`pipeline.web.http.request_parts` those of bodies.
"""

from __future__ import annotations

import logging
import resource
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

from pipeline.web.access.client_address import site_of
from pipeline.web.http.problems import Problem, unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEAD_S: Final = 10.0
"""Limit from the first byte of a request, or from the connection, to the end of its headers."""
BODY_S: Final = 20.0
"""Limit from the end of the headers to the end of the body."""
REQUEST_S: Final = 120.0
"""Limit from the end of the headers until the client has fetched the answer."""
IDLE_S: Final = 60.0
"""Limit from an answer to the next request over the same connection."""
LINGER_S: Final = 2.0
"""A refused body is still read for this long, because a client does not read the answer while it sends."""
HEAD_BYTES: Final = 64 << 10
"""Limit of all headers of a request together."""
SMALL_BODY: Final = 64 << 10
"""A body up to this size always has room. The number of connections bounds the sum of these bodies."""
BODIES_BYTES: Final = 32 << 20
"""Limit of all larger bodies in memory together, beyond the first `SMALL_BODY` bytes of each."""
MAX_CONNECTIONS: Final = 1_000
PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
PROBE_CONNECTIONS: Final = 32
"""Additional connections beyond the limit, which may ask for the probes only."""

_WANTED_FILES: Final = 65_536
_SHARE_OF_FILES: Final = 4
_LOG: Final = logging.getLogger(__name__)


def raise_file_limit() -> None:
    """Raise the soft limit of open files to the hard one, which needs no administrator."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, _WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of the number of connections.

    Attributes:
        total: of all clients together.
        per_client: of one address.
        probes: beyond `total`, for `PROBES` only.
        is_proxy: whether an address is that of a trusted proxy. A proxy serves many clients, so `per_client` does
            not apply to it.
    """

    total: int
    per_client: int
    probes: int = PROBE_CONNECTIONS
    is_proxy: Callable[[str], bool] = lambda _: False


def connection_limits(is_proxy: Callable[[str], bool] = lambda _: False) -> ConnectionLimits:
    """The limits of this process: a quarter of its open files, because Kafka and RocksDB need the rest."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _WANTED_FILES if soft == resource.RLIM_INFINITY else soft
    total = max(16, min(MAX_CONNECTIONS, files // _SHARE_OF_FILES))
    return ConnectionLimits(total, total // 2, is_proxy=is_proxy)


class Connection(Protocol):
    """What the accounting needs of a connection."""

    for_probes: bool

    def waits_for_client(self) -> bool:
        """Whether the server waits for the client: for a request, the rest of one, or for the client to read."""
        ...

    def cut(self) -> None:
        """Close it at once."""
        ...


class Connections:
    """All open connections.

    A new connection of a client at its limit closes the client's connection that has been idle longest. So idle
    connections are lost, and complete requests are answered. At the total limit, the client with the most connections
    loses one.

    Args:
        limits: of the number of connections.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        # The connection that was used least recently comes first in each.
        self._by_client: dict[str, dict[Connection, None]] = {}
        self._client: dict[Connection, str] = {}

    def __len__(self) -> int:
        return len(self._client)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._client))

    def admit(self, connection: Connection, address: str) -> bool:
        """Count a new connection, and close an idle one if that is needed to make room.

        Returns:
            whether there is room. If there is room for probes only, `for_probes` of the connection is set.
        """
        client = site_of(address)
        may_have = self.limits.total if self.limits.is_proxy(address) else self.limits.per_client
        full = self._full(client, may_have)
        if full is not None:
            _LOG.warning(
                "%d of %d connections to the web server are those of one address; its idlest are closed for new ones",
                len(full),
                len(self),
            )
            self._make_room(full)
            if self._full(client, may_have) is not None:
                if len(self) >= self.limits.total + self.limits.probes:
                    return False
                connection.for_probes = True
        self._by_client.setdefault(client, {})[connection] = None
        self._client[connection] = client
        return True

    def used(self, connection: Connection) -> None:
        """A connection got an answer, so it is now the most recently used one."""
        client = self._client.get(connection)
        if client is not None:
            mine = self._by_client[client]
            del mine[connection]
            mine[connection] = None

    def gone(self, connection: Connection) -> None:
        """A connection is closed or being closed."""
        client = self._client.pop(connection, None)
        if client is not None:
            mine = self._by_client[client]
            del mine[connection]
            if not mine:
                del self._by_client[client]

    def _full(self, client: str, may_have: int) -> dict[Connection, None] | None:
        """The connections of the client that must lose one before this client gets a new one; None: there is room."""
        mine = self._by_client.get(client)
        if mine is not None and len(mine) >= may_have:
            return mine
        if len(self) >= self.limits.total:
            return max(self._by_client.values(), key=len)
        return None

    def _make_room(self, full: dict[Connection, None]) -> None:
        idlest = next((one for one in full if one.waits_for_client()), None)
        if idlest is not None:
            self.gone(idlest)
            idlest.cut()


class Bodies:
    """The memory of all request bodies.

    Args:
        size: bytes for all larger bodies together, beyond the first `SMALL_BODY` bytes of each.
    """

    def __init__(self, size: int = BODIES_BYTES) -> None:
        self.free = size

    @contextmanager
    def room(self) -> Iterator[Room]:
        """Room for the body of one request, freed when the request is answered."""
        room = Room(self)
        try:
            yield room
        finally:
            self.free += room.taken


class Room:
    """The part of the memory that one body takes."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self.taken = 0

    def hold(self, size: int) -> None:
        """Reserve room, so that the body has room for `size` bytes in all.

        Raises:
            Problem: there is no room now.
        """
        more = size - SMALL_BODY - self.taken
        if more <= 0:
            return
        if more > self._bodies.free:
            problem = unavailable(
                f"the bodies of others take all room for those of more than {SMALL_BODY} bytes; send it again later"
            )
            problem.headers = {**(problem.headers or {}), "Connection": "close"}
            raise problem
        self._bodies.free -= more
        self.taken += more


def too_slow(seconds: float) -> Problem:
    """408: the body did not arrive in time."""
    return Problem(
        HTTPStatus.REQUEST_TIMEOUT,
        f"the body was not there {seconds:g} s after the headers; send less at a time",
        headers={"Connection": "close"},
    )
