"""The audit trail: who read or changed what. Entries are appended to a topic of their own and never changed.

An action is done only after the brokers have acknowledged its entry. A read does not wait for the brokers; its entry is
written together with those of the same half second. While the brokers do not answer, entries of reads go to the log,
so that operators can still see. Log-ins are written like reads. Failed log-ins are written at most once in ten seconds
for each account, with their number, so that a flood of them is not a flood of entries.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from aiokafka.errors import KafkaError

from pipeline.events.addresses import mask_network, parse_address
from pipeline.events.foreign import json_reader
from pipeline.events.instants import format_instant
from pipeline.kafka.follower import Follower, from_newest
from pipeline.web.http.problems import Problem, unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pipeline.web.access.accounts import Role
    from pipeline.web.access.tokens import Identity
    from pipeline.web.http.outbox import Outbox
    from pipeline.web.http.routes import Route

AUDIT_SCHEMA: Final = "audit-entry/1"
_MAX_WAITING: Final = 10_000
_MOMENT_S: Final = 0.5
"""Entries of reads wait this long and are written together, because a write costs as much as answering two reads."""
_READ_S: Final = 10.0
_POLL_S: Final = 0.1
NOBODY: Final = "(no such account)"
"""Replaces a name without an account, because people type passwords into the wrong field."""
FAILURES_EVERY_S: Final = 10.0
_LOG: Final = logging.getLogger(__name__)


class AuditRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """An entry of the trail. The fields are in the order of the published JSON."""

    schema: Literal["audit-entry/1"]
    at: str
    who: str
    role: Literal["analyst", "admin"] | None
    action: str
    subject: str | None
    allowed: bool
    address: str | None
    times: int = 1


_decode: Final = json_reader(AuditRecord)


@dataclass(slots=True)
class _Failures:
    """The failed log-ins of an account since its last entry: the newest one, and their number."""

    record: AuditRecord
    times: int = 0


class AuditLog:
    """Writes and reads the topic of the trail.

    Args:
        outbox: writes the entries.
        client_options: for reading, as aiokafka names them.
        topic: its full name.
        show: the form of user and device ids in outputs.
    """

    def __init__(
        self,
        outbox: Outbox,
        client_options: Mapping[str, Any],
        topic: str,
        show: Callable[[str], str],
    ) -> None:
        self._outbox = outbox
        self._options = dict(client_options)
        self._topic = topic
        self._show = show
        self._reads: list[tuple[bytes, bytes]] = []
        self._writing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._failed: dict[str, _Failures] = {}
        self._reading = asyncio.Semaphore(2)

    async def note(
        self, who: Identity, route: Route, subject: str | None, address: str | None, *, allowed: bool
    ) -> None:
        """Write the entry of a read or an action; called before the route's handler runs.

        Raises:
            Problem: the entry of an action cannot be written, so the action must not be done.
        """
        record = _record(who.name, who.role, route, address, allowed=allowed)
        if subject is not None:
            record = msgspec.structs.replace(record, subject=self._shown(route, subject))
        if route.method != "GET" and route.role != "public" and allowed:
            await self._outbox.write(self._topic, who.name.encode(), msgspec.json.encode(record))
            return
        if len(self._reads) >= _MAX_WAITING:
            raise unavailable("the audit trail cannot be written fast enough")
        self._write_soon(record)

    def note_failed_login(self, route: Route, account: str, role: Role | None, address: str | None) -> None:
        """Write the entry of a refused log-in, or only count it if the account's last entry is under ten seconds old.

        Args:
            route: of log-ins.
            account: the name as it was typed. It is written only if the account exists.
            role: of the account; None: the account does not exist.
            address: of the client.
        """
        name = NOBODY if role is None else account
        record = _record(name, role, route, address, allowed=False)
        failures = self._failed.get(name)
        if failures is not None:
            failures.record, failures.times = record, failures.times + 1
            return
        self._write_soon(record)
        self._failed[name] = _Failures(record)
        asyncio.get_running_loop().call_later(FAILURES_EVERY_S, self._write_failures, name)

    def _write_failures(self, name: str) -> None:
        """Write the failures since the last entry; if there were none, forget the account."""
        failures = self._failed.pop(name, None)
        if failures is None or failures.times == 0:
            return
        self._write_soon(msgspec.structs.replace(failures.record, times=failures.times))
        if not self._closing.is_set():
            self._failed[name] = _Failures(failures.record)
            asyncio.get_running_loop().call_later(FAILURES_EVERY_S, self._write_failures, name)

    def _write_soon(self, record: AuditRecord) -> None:
        self._reads.append((record.who.encode(), msgspec.json.encode(record)))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_reads(), name="audit trail")

    async def _write_reads(self) -> None:
        """Write the waiting entries of reads, those of half a second at a time, until none are left."""
        try:
            while self._reads:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), _MOMENT_S)
                reads, self._reads = self._reads, []
                try:
                    await self._outbox.write_all(self._topic, reads)
                except Problem:
                    for _, value in reads:
                        _LOG.warning("not in the audit trail, as no broker takes it: %s", value.decode())
        finally:
            self._writing = None

    def _shown(self, route: Route, subject: str) -> str:
        return self._show(subject) if route.subject in {"user_id", "device_id", "key"} else subject

    async def close(self, *_: object) -> None:
        """Write the waiting entries, within seconds."""
        self._closing.set()
        for name in list(self._failed):
            self._write_failures(name)
        if self._writing is not None:
            await asyncio.wait((self._writing,), timeout=2.0)

    # -- reading

    async def newest(self, limit: int) -> list[AuditRecord]:
        """The newest entries, newest first.

        Raises:
            Problem: the brokers do not answer.
        """
        try:
            async with self._reading, asyncio.timeout(_READ_S):
                values = await self._tail(limit)
        except (KafkaError, TimeoutError, OSError) as error:
            raise unavailable(f"the audit trail cannot be read now ({type(error).__name__})") from None
        return newest_records(values, limit)

    async def _tail(self, limit: int) -> list[bytes]:
        values: list[bytes] = []
        # Entries are written without transactions. A reader of committed records would wait behind an open transaction
        # of a foreign producer.
        start = from_newest(limit)
        async with Follower(self._options, [self._topic], start, committed_only=False) as follower:
            while not follower.at_end:
                values += [record.value for record in await follower.next_records(_POLL_S) if record.value]
        return values


def newest_records(values: Iterable[bytes], limit: int) -> list[AuditRecord]:
    """The newest entries among the values of the topic, newest first. A value that is no entry is skipped."""
    records = []
    for value in values:
        with suppress(ValueError):
            records.append(_decode(value))
    records.sort(key=lambda record: record.at, reverse=True)
    return records[:limit]


def _record(name: str, role: Role | None, route: Route, address: str | None, *, allowed: bool) -> AuditRecord:
    at = format_instant(time.time_ns() // 1_000_000)
    return AuditRecord(
        AUDIT_SCHEMA, at, name, role, f"{route.method} {route.path}", None, allowed, _masked(address)
    )


def _masked(address: str | None) -> str | None:
    if address is None:
        return None
    try:
        return mask_network(parse_address(address).network)
    except ValueError:
        return None
