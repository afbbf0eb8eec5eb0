"""What one client, and all clients together, may take of the web server: numbers, and who holds how much.

Nothing here knows HTTP. `pipeline.web.http.door` keeps the connections to it, `pipeline.web.http.serving` the bodies.
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
"""From the first byte of a request, or from the connection, to the end of its headers."""
BODY_S: Final = 20.0
"""From the end of the headers to the end of the body."""
REQUEST_S: Final = 120.0
"""From the end of the headers until the client has fetched the answer."""
IDLE_S: Final = 60.0
"""From an answer to the next request over the same connection."""
LINGER_S: Final = 2.0
"""A body that nobody wants is read for so long, as a client that sends does not read why it is refused."""
HEAD_BYTES: Final = 64 << 10
"""Of all headers of a request."""
SMALL_BODY: Final = 64 << 10
"""A body of so many bytes always finds room: their sum is bounded by the number of connections."""
BODIES_BYTES: Final = 32 << 20
"""What all larger bodies that are in memory at one time may have beyond `SMALL_BODY`."""
MAX_CONNECTIONS: Final = 1_000
PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
PROBE_CONNECTIONS: Final = 32
"""Beyond the most that there may be; they are for the probes."""

_WANTED_FILES: Final = 65_536
_SHARE_OF_FILES: Final = 4
_LOG: Final = logging.getLogger(__name__)


def raise_file_limit() -> None:
    """Let this process open as many files as the system allows it without asking an administrator."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, _WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections there may be.

    Attributes:
        total: of all clients.
        per_client: of one address.
        probes: beyond `total`, for `PROBES` only.
        is_proxy: whether an address is that of a proxy, which speaks for many clients: it may have more than
            `per_client`.
    """

    total: int
    per_client: int
    probes: int = PROBE_CONNECTIONS
    is_proxy: Callable[[str], bool] = lambda _: False


def connection_limits(is_proxy: Callable[[str], bool] = lambda _: False) -> ConnectionLimits:
    """Those for this process: a quarter of the files that it may open, the rest is for Kafka and RocksDB."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _WANTED_FILES if soft == resource.RLIM_INFINITY else soft
    total = max(16, min(MAX_CONNECTIONS, files // _SHARE_OF_FILES))
    return ConnectionLimits(total, total // 2, is_proxy=is_proxy)


class Connection(Protocol):
    """A connection, as far as it is counted."""

    for_probes: bool

    def waits_for_client(self) -> bool:
        """Whether it is the client's turn: the rest of a request, the next one, or fetching the answer."""
        ...

    def cut(self) -> None:
        """Close it at once."""
        ...


class Connections:
    """All connections, and room for the next one.

    A client at its limit is not locked out: its connection that has waited longest for it is closed. So a client that
    does nothing with its connections loses them, and one with a whole request gets its answer. If there are too many in
    all, the client with the most loses one.

    Args:
        limits: how many there may be.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        # In each the one that has not been used for longest comes first.
        self._by_client: dict[str, dict[Connection, None]] = {}
        self._client: dict[Connection, str] = {}

    def __len__(self) -> int:
        return len(self._client)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._client))

    def admit(self, connection: Connection, address: str) -> bool:
        """Count a new connection.

        Returns:
            whether there is room for it; it is `for_probes` if there is room for these only.
        """
        client = site_of(address)
        may_have = self.limits.total if self.limits.is_proxy(address) else self.limits.per_client
        crowded = self._crowded(client, may_have)
        if crowded is not None:
            _LOG.warning(
                "%d of %d connections to the web server are those of one address; its idlest are closed for new ones",
                len(crowded),
                len(self),
            )
            self._make_room(crowded)
            if self._crowded(client, may_have) is not None:
                if len(self) >= self.limits.total + self.limits.probes:
                    return False
                connection.for_probes = True
        self._by_client.setdefault(client, {})[connection] = None
        self._client[connection] = client
        return True

    def used(self, connection: Connection) -> None:
        """A connection got its answer: it is the last now that is closed for another one."""
        client = self._client.get(connection)
        if client is not None:
            mine = self._by_client[client]
            del mine[connection]
            mine[connection] = None

    def gone(self, connection: Connection) -> None:
        """A connection is closed, or is being closed."""
        client = self._client.pop(connection, None)
        if client is not None:
            mine = self._by_client[client]
            del mine[connection]
            if not mine:
                del self._by_client[client]

    def _crowded(self, client: str, may_have: int) -> dict[Connection, None] | None:
        """Of whom a connection has to be closed before this client gets another one."""
        mine = self._by_client.get(client)
        if mine is not None and len(mine) >= may_have:
            return mine
        if len(self) >= self.limits.total:
            return max(self._by_client.values(), key=len)
        return None

    def _make_room(self, crowded: dict[Connection, None]) -> None:
        idlest = next((one for one in crowded if one.waits_for_client()), None)
        if idlest is not None:
            self.gone(idlest)
            idlest.cut()


class Bodies:
    """The bodies that are in memory at one time.

    Args:
        size: bytes that the larger ones may have together, beyond `SMALL_BODY` of each.
    """

    def __init__(self, size: int = BODIES_BYTES) -> None:
        self.free = size

    @contextmanager
    def room(self) -> Iterator[Room]:
        """Room for the body of one request, until it is answered."""
        room = Room(self)
        try:
            yield room
        finally:
            self.free += room.taken


class Room:
    """What one body takes of all."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self.taken = 0

    def hold(self, size: int) -> None:
        """Make sure that there is room for `size` bytes in all.

        Raises:
            Problem: there is none now.
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
    """The body did not come in time."""
    return Problem(
        HTTPStatus.REQUEST_TIMEOUT,
        f"the body was not there {seconds:g} s after the headers; send less at a time",
        headers={"Connection": "close"},
    )
