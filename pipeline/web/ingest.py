"""`POST /events`: takes events, and says so only of those that the brokers have."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pipeline import __version__
from pipeline.evaluation.failed import failed_event
from pipeline.evaluation.source import Source
from pipeline.events.decode import EventDecoder
from pipeline.events.foreign import UnreadableError, json_reader, read_object
from pipeline.events.invalid import InvalidMessageError
from pipeline.events.model import EVENT_SCHEMA
from pipeline.web.answers import ItemResult, Queued, QueuedMany
from pipeline.web.problems import FieldError, Problem
from pipeline.web.routes import NDJSON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel

    from pipeline.web.outbox import Outbox
    from pipeline.web.serving import Call, Handlers

MAX_UNDER_WAY: Final = 5_000
"""Events that wait for the brokers; more are told to come again later."""
_KEY_LIMIT: Final = 255

_read_array: Final = json_reader(list[msgspec.Raw])


def ingest_views(outbox: Outbox, raw_topic: str, failed_topic: str) -> Handlers:
    """The handler of `POST /events`.

    Args:
        outbox: writes them.
        raw_topic: full name of the topic of events.
        failed_topic: full name of the topic of those that are not valid.
    """
    return {"ingest": _Ingest(outbox, raw_topic, failed_topic).ingest}


class _Ingest:
    def __init__(self, outbox: Outbox, raw_topic: str, failed_topic: str) -> None:
        self._outbox = outbox
        self._raw_topic = raw_topic
        self._failed_topic = failed_topic
        self._decoder = EventDecoder()
        self._under_way = 0
        self._number = time.time_ns()

    async def ingest(self, call: Call) -> BaseModel:
        """One event, an array, or one per line."""
        values, single = split_body(call.body, lines=call.request.content_type == NDJSON)
        if self._under_way + len(values) > MAX_UNDER_WAY:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{self._under_way} events wait for the brokers; send these {len(values)} again later",
                retry_after=1,
            )
        self._under_way += len(values)
        try:
            results = await asyncio.gather(*(self._take(value) for value in values))
        finally:
            self._under_way -= len(values)
        return _one(results[0]) if single else _many(results)

    async def _take(self, value: bytes) -> ItemResult:
        try:
            event = self._decoder.event(value)
        except InvalidMessageError as invalid:
            return await self._refuse(value, invalid)
        try:
            await self._outbox.write(self._raw_topic, event.user_id.encode(), value)
        except Problem:
            return ItemResult(status="unavailable", event_id=event.event_id)
        return ItemResult(status="queued", event_id=event.event_id)

    async def _refuse(self, value: bytes, invalid: InvalidMessageError) -> ItemResult:
        """What is not valid is told, and kept for repair as the worker keeps what it reads."""
        known = _members(value)
        user_id, event_id = known.get("user_id"), known.get("event_id")
        key = user_id if isinstance(user_id, str) and 0 < len(user_id) <= _KEY_LIMIT else None
        # It has no place on a topic; a number of its own keeps failures apart.
        self._number += 1
        source = Source(None, -1, self._number, time.time_ns() // 1_000_000, key)
        record = failed_event(invalid.reason, invalid.errors, source, value, EVENT_SCHEMA, __version__)
        shown_id = event_id if isinstance(event_id, str) else None
        try:
            await self._outbox.write(self._failed_topic, None if key is None else key.encode(), record)
        except Problem:
            return ItemResult(status="unavailable", event_id=shown_id)
        errors = [error._asdict() for error in invalid.errors]
        return ItemResult(status="invalid", event_id=shown_id, errors=errors)


def split_body(body: bytes, *, lines: bool) -> tuple[list[bytes], bool]:
    """The values of a body, and whether it is one event by itself.

    Raises:
        Problem: there is none, or the array is not one.
    """
    if lines:
        values = [line for line in body.split(b"\n") if line.strip()]
        single = False
    elif body.lstrip()[:1] == b"[":
        try:
            values = [bytes(item) for item in _read_array(body)]
        except UnreadableError as error:
            raise Problem(HTTPStatus.BAD_REQUEST, f"the array cannot be read: {error}") from None
        single = False
    else:
        return [body.strip()], True
    if not values:
        raise Problem(HTTPStatus.BAD_REQUEST, "there is no event in the body")
    return values, single


def _members(value: bytes) -> dict[str, Any]:
    try:
        return read_object(value)
    except UnreadableError:
        return {}


def _one(result: ItemResult) -> Queued:
    if result.status == "queued" and result.event_id is not None:
        return Queued(status="queued", event_id=result.event_id)
    if result.status == "invalid":
        errors = [FieldError.model_validate(error) for error in result.errors or ()]
        raise Problem(HTTPStatus.BAD_REQUEST, _in_words(errors), errors=errors)
    raise _not_acknowledged(1, 1)


def _many(results: Sequence[ItemResult]) -> QueuedMany:
    """Accepted is said only if nothing can be lost by believing it."""
    of = {status: sum(result.status == status for result in results) for status in ("queued", "unavailable")}
    shown = [result.model_dump(exclude_none=True) for result in results]
    if of["unavailable"]:
        raise _not_acknowledged(of["unavailable"], len(results), results=shown)
    if not of["queued"]:
        raise Problem(HTTPStatus.BAD_REQUEST, f"none of the {len(results)} events is valid", results=shown)
    refused = len(results) - of["queued"]
    return QueuedMany(
        status="partly" if refused else "queued", queued=of["queued"], refused=refused, results=list(results)
    )


def _not_acknowledged(missing: int, total: int, **extras: Any) -> Problem:  # noqa: ANN401 - as in Problem
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"the brokers have not acknowledged {missing} of {total} events; send all again, repeated ones are recognised",
        retry_after=1,
        **extras,
    )


def _in_words(errors: Sequence[FieldError]) -> str:
    return "the event is not valid: " + "; ".join(
        f"{error.path or 'it'}: {error.message}" for error in errors
    )
