"""The other workers: the owner of a partition answers for its keys, and all workers together for a summary.

Faust's assignor tells every worker which worker owns which partition, and where that worker's web server listens. The
members of the consumer group wrote these addresses, so an address is used only with the proof that a worker of ours
wrote it.

A worker calls another one on behalf of a person. The request is built from the route and from what was checked of the
person's own request, never from the text of that request. Both the call and the answer are signed (see `proofs`). A
forwarded call is never forwarded again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from hashlib import blake2b
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from aiohttp import web
from yarl import URL

from pipeline.events.foreign import UNREADABLE
from pipeline.web.cluster.proofs import PEER_HEADER, ForwardedCall, ProofError, body_digest, new_nonce
from pipeline.web.http.answers import Coverage
from pipeline.web.http.calls import Instead
from pipeline.web.http.problems import Problem, unauthorized, unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from faust.assignor.partition_assignor import PartitionAssignor

    from pipeline.delivery.app import DeliveryApp
    from pipeline.delivery.commit.owned_unit import OwnedUnit
    from pipeline.delivery.table import WriteBehindTable
    from pipeline.web.cluster.proofs import Proofs
    from pipeline.web.http.calls import Call
    from pipeline.web.http.tls import Tls

_TIMEOUT_S: Final = 5.0
_PASSED_ON: Final = ("Content-Type", "Retry-After")
_MAX_UNPROVEN: Final = 100
_MAX_ANSWER_BYTES: Final = 64 << 20
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Gathered:
    """The parts of all workers.

    Attributes:
        partitions: the parts by partition, as JSON values.
        workers: what each worker says of itself.
        coverage: of the partitions.
    """

    partitions: Mapping[int, Any]
    workers: list[Mapping[str, Any]]
    coverage: Coverage


class _Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Peers:
    """Calls the other workers, and checks their calls.

    Args:
        app: the application.
        proofs: signs and checks; None: this worker has no secret, so it neither calls nor answers the others.
        tls: None: the workers speak plain HTTP with each other.
    """

    def __init__(self, app: DeliveryApp, proofs: Proofs | None, tls: Tls | None) -> None:
        self._app = app
        self._proofs = proofs
        self._tls = tls
        self._unproven: set[str] = set()

    async def owned(self, call: Call, table: WriteBehindTable[Any], partition: int) -> OwnedUnit[Any]:
        """A partition's unit if this worker owns it. Otherwise the owner's answer replaces ours.

        Raises:
            Instead: with the owner's answer.
            Problem: no worker owns the partition now, or its owner does not answer.
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
        timeout: float = _TIMEOUT_S,  # noqa: ASYNC109 - a slow worker is not an error
    ) -> Gathered:
        """The parts of all workers. If another worker forwards the call, only our own part.

        Args:
            call: to forward.
            table: whose partitions count.
            own: the part of this worker by partition, as JSON. An awaitable runs while the other workers are called.
            own_worker: what this worker says of itself, as JSON.
            timeout: after which the partitions of a worker count as missing, in seconds.

        Raises:
            Instead: the answer to another worker.
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
        """The origin of this worker's web server."""
        return URL(self._app.conf.canonical_url).origin()

    @property
    def own_mark(self) -> str:
        """Stands for this worker in the ids of things that only it knows."""
        return _mark(self.own_url)

    async def forward_to(self, call: Call, table: WriteBehindTable[Any], mark: str) -> None:
        """Have the worker answer that a mark stands for; nothing happens if no other worker of the table has it.

        Raises:
            Instead: with its answer.
            Problem: it does not answer.
        """
        if call.from_peer:
            return
        for url in self.others(table):
            if _mark(url) == mark:
                raise Instead(await self._forward(call, url))

    def owner(self, table: WriteBehindTable[Any], partition: int) -> URL | None:
        """The address of the owner of a partition; None while no worker owns it.

        Raises:
            Problem: a member of the group owns it that does not prove to be a worker of ours.
        """
        for address, topics in self._distribution.items():
            if partition in topics.get(table.changelog_name, ()):
                url = self._origin_of(address)
                if url is None:
                    raise Problem(
                        HTTPStatus.BAD_GATEWAY,
                        f"the owner of partition {partition} of {table.name} does not prove that it is a worker of "
                        "ours; give all workers the same OTT_JWT_SECRET, and the settings for TLS to all or to none",
                    )
                return url
        return None

    def others(self, table: WriteBehindTable[Any]) -> list[URL]:
        """The addresses of the other workers that own partitions."""
        found = [
            self._origin_of(address)
            for address, topics in self._distribution.items()
            if topics.get(table.changelog_name)
        ]
        return [url for url in found if url is not None and url != self.own_url]

    def _origin_of(self, address: str) -> URL | None:
        """The origin of a worker of ours; None for any other address, which is logged once.

        A worker with TLS never sends a request in plain text.
        """
        origin = None if self._proofs is None else self._proofs.origin_of(address)
        if origin is not None and origin.scheme != self.own_url.scheme:
            origin = None
        if origin is None and address not in self._unproven and len(self._unproven) < _MAX_UNPROVEN:
            self._unproven.add(address)
            _LOG.warning(
                "a member of the consumer group names the address %.200r without the proof of our workers, so it is "
                "not asked: it has another OTT_JWT_SECRET, TLS is set on one side only, or it is none of ours",
                address,
            )
        return origin

    @property
    def _distribution(self) -> Mapping[str, Mapping[str, Sequence[int]]]:
        return cast("PartitionAssignor", self._app.assignor).changelog_distribution

    # -- being asked

    def check(self, request: web.Request, proof: str) -> ForwardedCall:
        """The call that another worker forwards.

        Raises:
            Problem: the proof is not valid.
        """
        if self._proofs is None:
            raise unauthorized("a call of another worker is refused: this worker has no OTT_JWT_SECRET")
        try:
            return self._proofs.read_call(proof, request.method, request.raw_path, str(self.own_url))
        except ProofError as error:
            raise unauthorized(f"a call of another worker is refused: {error}") from None

    def take(self, call: ForwardedCall) -> None:
        """Take a call that was checked, once, and while it is young.

        Raises:
            Problem: it is too old, or was taken before. 502, as the person's own token is not what is wrong.
        """
        assert self._proofs is not None
        try:
            self._proofs.take(call, time.time())
        except ProofError as error:
            raise Problem(
                HTTPStatus.BAD_GATEWAY, f"the worker at {self.own_url} refuses a call of another one: {error}"
            ) from None

    def sign(self, call: ForwardedCall, response: web.Response) -> None:
        """Put the proof of the answer into its headers."""
        if self._proofs is not None:
            response.headers[PEER_HEADER] = self._proofs.sign_answer(
                call.nonce, response.status, response.headers.get("Content-Type", ""), _bytes_of(response)
            )

    # -- asking

    async def _forward(self, call: Call, url: URL) -> web.Response:
        try:
            answer = await self._call(call, url, _TIMEOUT_S)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unavailable(f"the worker at {url} does not answer ({type(error).__name__})") from None
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    async def ask(self, call: Call, url: URL, timeout_s: float) -> Any:  # noqa: ANN401 - JSON
        """The answer of another worker to the same request, as JSON; None if it gives no successful answer.

        Raises:
            Problem: its answer has no valid proof.
        """
        try:
            answer = await self._call(call, url, timeout_s)
            if answer.status == HTTPStatus.OK:
                return msgspec.json.decode(answer.body)
        except (aiohttp.ClientError, TimeoutError, *UNREADABLE) as error:
            _LOG.warning("the worker at %s does not answer: %s", url, str(error) or type(error).__name__)
            return None
        _LOG.warning("the worker at %s answers %d", url, answer.status)
        return None

    async def _call(self, call: Call, url: URL, timeout_s: float) -> _Answer:
        """Send the request to another worker.

        Raises:
            ClientError: its answer is not valid HTTP.
            TimeoutError: it takes too long.
            Problem: its answer has no valid proof.
        """
        if self._proofs is None or call.who is None:
            raise unavailable(
                "no secret for tokens is set on this worker; set OTT_JWT_SECRET or OTT_JWT_SECRET_FILE"
            )
        method, target, nonce, who = call.route.method, _target(call), new_nonce(), call.who
        proof = self._proofs.sign_call(
            ForwardedCall(method, target, body_digest(b""), str(url), who.name, who.role, nonce, time.time())
        )
        async with self._app.http_client.request(
            method,
            url.join(URL(target, encoded=True)),
            headers={PEER_HEADER: proof},
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            allow_redirects=False,
            ssl=True if self._tls is None else self._tls.client,
        ) as response:
            body = await _read(response)
            given, content_type = response.headers.get(PEER_HEADER), response.headers.get("Content-Type", "")
            if not self._proofs.is_answer(given, nonce, response.status, content_type, body):
                _LOG.warning("the worker at %s answers %d without a proof", url, response.status)
                raise Problem(
                    HTTPStatus.BAD_GATEWAY,
                    f"the worker at {url} does not prove its answer; give all workers the same OTT_JWT_SECRET, and "
                    "find out whether something else answers at this address",
                )
            headers = {name: response.headers[name] for name in _PASSED_ON if name in response.headers}
            return _Answer(response.status, headers, body)


def _mark(url: URL) -> str:
    return blake2b(str(url).encode(), digest_size=4).hexdigest()


def _target(call: Call) -> str:
    """Path and query of a call, built from the route and the checked parameters."""
    path = call.route.path
    for name, value in call.path.items():
        path = path.replace(f"{{{name}}}", _quoted(value))
    if call.query is None:
        return path
    given = call.query.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    query = urlencode({name: _text(value) for name, value in given.items()})
    return f"{path}?{query}" if query else path


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body, bounded because the sender has not proven itself yet.

    Raises:
        ClientError: it is too large.
    """
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > _MAX_ANSWER_BYTES:
            raise aiohttp.ClientPayloadError(f"the answer has more than {_MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _quoted(part: str) -> str:
    # A part of dots only would be read as a step up in the path.
    return "%2E" * len(part) if not part.strip(".") else quote(part, safe="")


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _bytes_of(response: web.Response) -> bytes:
    body = response.body
    return bytes(body) if isinstance(body, bytes | bytearray) else b""


async def _value_of(own: Mapping[int, Any] | Awaitable[Mapping[int, Any]]) -> Mapping[int, Any]:
    return await own if isinstance(own, Awaitable) else own


def coverage_of(total: int, answered: Mapping[int, Any]) -> Coverage:
    """The coverage of an answer that has the parts of these partitions."""
    missing = [partition for partition in range(total) if partition not in answered]
    return Coverage(partitions=total, answered=total - len(missing), missing=missing)
