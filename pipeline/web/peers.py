"""The other workers: a key's view comes from its owner, a summary from all.

Faust's assignor tells every worker who has which partition, and where that one's web server listens. A worker asks
another with the caller's own path and a token of the workers (`PEER_HEADER`), and gets what that one has itself; a
request with that token is never passed on, so none goes round in circles.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast

import aiohttp
from aiohttp import web
from yarl import URL

from pipeline.web.answers import Coverage
from pipeline.web.problems import Problem, unavailable
from pipeline.web.serving import PEER_HEADER, Instead

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from faust.assignor.partition_assignor import PartitionAssignor

    from pipeline.delivery.app import DeliveryApp
    from pipeline.delivery.commit import OwnedUnit
    from pipeline.delivery.table import WriteBehindTable
    from pipeline.web.serving import Call
    from pipeline.web.tokens import Tokens

_TIMEOUT_S: Final = 5.0
_PASSED_ON: Final = ("Content-Type", "Retry-After")
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What all workers have.

    Attributes:
        partitions: what each gave by partition; JSON values, also this worker's own.
        workers: what each gave of itself.
        coverage: of the partitions.
    """

    partitions: Mapping[int, Any]
    workers: list[Mapping[str, Any]]
    coverage: Coverage


class Peers:
    """Asks the other workers.

    Args:
        app: the application.
        tokens: that the workers know each other by.
    """

    def __init__(self, app: DeliveryApp, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def owned(self, call: Call, table: WriteBehindTable[Any], partition: int) -> OwnedUnit[Any]:
        """A partition's unit, if it is here; else the answer of the worker that has it stands instead of ours.

        Raises:
            Instead: with the owner's answer.
            Problem: nobody has it now, or its owner does not answer.
        """
        owned = self._app.ownership.find(table.name, partition)
        if owned is not None:
            return owned
        url = self.owner(table, partition)
        if url is None or url == self.own_url or call.from_peer:
            raise unavailable(f"partition {partition} of {table.name} is being moved or recovered")
        raise Instead(await self._forward(call, url))

    async def gather(
        self,
        call: Call,
        table: WriteBehindTable[Any],
        own: Mapping[int, Any] | Awaitable[Mapping[int, Any]],
        own_worker: Mapping[str, Any] | None = None,
        timeout: float = _TIMEOUT_S,  # noqa: ASYNC109 - a worker that is too slow is not an error
    ) -> Gathered:
        """What all workers have; to another worker only our own.

        Args:
            call: to pass on.
            table: whose partitions count.
            own: what this worker has, by partition; JSON. What takes time is awaited while the others are asked.
            own_worker: what it says of itself; JSON.
            timeout: after which the partitions of a worker count as missing, in seconds.

        Raises:
            Instead: to another worker.
        """
        urls = [] if call.from_peer else self.others(table)
        mine, *parts = await asyncio.gather(_value_of(own), *(self.ask(call, url, timeout) for url in urls))
        part: Mapping[str, Any] = {"partitions": mine, "worker": own_worker or {}}
        if call.from_peer:
            raise Instead(web.json_response(part))
        partitions: dict[int, Any] = {}
        workers: list[Mapping[str, Any]] = []
        for answered in (*parts, part):
            if answered is not None:
                partitions.update({int(number): value for number, value in answered["partitions"].items()})
                workers.append(answered["worker"])
        return Gathered(partitions, workers, coverage_of(table.partitions or 0, partitions))

    @property
    def own_url(self) -> URL:
        """Where this worker's web server listens."""
        return URL(self._app.conf.canonical_url)

    def owner(self, table: WriteBehindTable[Any], partition: int) -> URL | None:
        """Where the owner of a partition listens; None while nobody has it."""
        for url, topics in self._distribution.items():
            if partition in topics.get(table.changelog_name, ()):
                return URL(url)
        return None

    def others(self, table: WriteBehindTable[Any]) -> list[URL]:
        """Where the other owners of partitions listen."""
        urls = [URL(url) for url, topics in self._distribution.items() if topics.get(table.changelog_name)]
        return [url for url in urls if url != self.own_url]

    @property
    def _distribution(self) -> Mapping[str, Mapping[str, Sequence[int]]]:
        return cast("PartitionAssignor", self._app.assignor).changelog_distribution

    # -- asking

    async def _forward(self, call: Call, url: URL) -> web.Response:
        try:
            async with self._request(call, url, _TIMEOUT_S) as response:
                headers = {name: response.headers[name] for name in _PASSED_ON if name in response.headers}
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unavailable(f"the worker at {url} does not answer ({type(error).__name__})") from None
        if response.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise _other_secret(url)
        return web.Response(status=response.status, body=body, headers=headers)

    async def ask(self, call: Call, url: URL, timeout_s: float) -> Any:  # noqa: ANN401 - JSON
        """What another worker answers to the same request; None if it gives no good answer.

        Raises:
            Problem: it does not know our token.
        """
        try:
            async with self._request(call, url, timeout_s) as response:
                if response.status == HTTPStatus.OK:
                    return await response.json()
                if response.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                    raise _other_secret(url)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            _LOG.warning("the worker at %s does not answer: %s", url, str(error) or type(error).__name__)
            return None
        _LOG.warning("the worker at %s answers %d", url, response.status)
        return None

    def _request(self, call: Call, url: URL, timeout_s: float) -> aiohttp.client._RequestContextManager:
        target = url.join(URL(call.request.raw_path, encoded=True))
        return self._app.http_client.request(
            call.request.method,
            target,
            headers={PEER_HEADER: self._tokens.for_peers()},
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            allow_redirects=False,
        )


async def _value_of(own: Mapping[int, Any] | Awaitable[Mapping[int, Any]]) -> Mapping[int, Any]:
    return await own if isinstance(own, Awaitable) else own


def coverage_of(total: int, answered: Mapping[int, Any]) -> Coverage:
    """The coverage of an answer from these partitions."""
    missing = [partition for partition in range(total) if partition not in answered]
    return Coverage(partitions=total, answered=total - len(missing), missing=missing)


def _other_secret(url: URL) -> Problem:
    return Problem(
        HTTPStatus.BAD_GATEWAY,
        f"the worker at {url} has another OTT_JWT_SECRET; give all workers the same one",
    )
