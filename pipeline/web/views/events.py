"""`POST /events`: takes events, and confirms those that the brokers have acknowledged."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, cast

import msgspec

from pipeline import __version__
from pipeline.evaluation.failed import failed_event
from pipeline.evaluation.source import Source
from pipeline.events.decode import EventDecoder
from pipeline.events.foreign import UnreadableError, json_reader, read_object
from pipeline.events.invalid import InvalidMessageError
from pipeline.events.model import EVENT_SCHEMA, RawEvent
from pipeline.web.http.answers import (
    Answer,
)
from pipeline.web.http.problems import FieldError, Problem
from pipeline.web.http.routes import JSON, NDJSON, Body, Route

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel

    from pipeline.web.http.calls import Call, Handlers
    from pipeline.web.http.outbox import Outbox


class Queued(Answer):
    """An event that the brokers have."""

    status: Literal["queued"]
    event_id: str


class ItemResult(Answer):
    """What became of one event of many."""

    status: Literal["queued", "invalid", "unavailable"]
    event_id: str | None
    errors: list[dict[str, str]] | None = None


class QueuedMany(Answer):
    """What became of many events, in their order."""

    status: Literal["queued", "partly"]
    queued: int
    refused: int
    results: list[ItemResult]


ROUTES: Final = (
    Route(
        name="ingest",
        method="POST",
        path="/events",
        role="public",
        summary="Take events: one, an array, or one per line; answered when the brokers have them",
        answers=(Queued, QueuedMany),
        status=202,
        body=Body(
            content={JSON: (RawEvent, list[RawEvent]), NDJSON: (RawEvent,)},
            limit=1 << 20,
        ),
        problems=(429, 503),
        tag="ingest",
    ),
)


MAX_UNDER_WAY: Final = 5_000
"""Limit of events that wait for the brokers. Beyond it a request gets 429."""
MAX_AT_ONCE: Final = 4_000
"""Limit of events in one request, and of waiting events for requests with many. The rest is for requests with few."""
FEW: Final = 50
"""A request with at most this many events is not queued behind other requests."""
MAX_KEPT: Final = 100
"""This many invalid events of a request are kept on `failed-events`. The answer names all of them."""
_LITTLE: Final = 16 << 10
"""A body of at most this many bytes is split at once; larger bodies are split one after the other."""
_AT_A_TIME: Final = 20
"""Events checked before the event loop runs anything else: some milliseconds at most."""
_KEY_LIMIT: Final = 255

_Record = tuple[bytes | None, bytes]

_read_array: Final = json_reader(
    cast("type[list[msgspec.Raw]]", Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MAX_AT_ONCE)])
)


def event_views(outbox: Outbox, raw_topic: str, failed_topic: str) -> Handlers:
    """The handler of `POST /events`.

    Args:
        outbox: writes the events.
        raw_topic: the full name of `raw-events`.
        failed_topic: the full name of `failed-events`.
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
        # Requests with many events are checked one by one, so that those with few need not wait for all of them.
        self._many = asyncio.Lock()

    async def ingest(self, call: Call) -> BaseModel:
        """One event, an array, or one per line."""
        values, single = await self._split(call.body, lines=call.request.content_type == NDJSON)
        most = MAX_UNDER_WAY if len(values) <= FEW else MAX_AT_ONCE
        if self._under_way + len(values) > most:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{self._under_way} events wait for the brokers; send these {len(values)} again later",
                retry_after=1,
            )
        self._under_way += len(values)
        try:
            results = await self._take(values)
        finally:
            self._under_way -= len(values)
        return _one(results[0]) if single else _many(results)

    async def _split(self, body: bytes, *, lines: bool) -> tuple[list[bytes], bool]:
        if len(body) <= _LITTLE:
            return split_body(body, lines=lines)
        async with self._many:
            began = time.perf_counter()
            try:
                return split_body(body, lines=lines)
            finally:
                # Splitting cannot be done in parts, so the event loop gets as much time before the next body.
                await asyncio.sleep(time.perf_counter() - began)

    async def _take(self, values: Sequence[bytes]) -> list[ItemResult]:
        async with self._many if len(values) > FEW else nullcontext():
            results, valid, invalid = await self._look_at(values)
        missing: set[str] = set()
        for status, topic, records in (
            ("queued", self._raw_topic, valid),
            ("invalid", self._failed_topic, invalid),
        ):
            try:
                if records:
                    await self._outbox.write_all(topic, records)
            except Problem:
                missing.add(status)
        return [
            ItemResult(status="unavailable", event_id=result.event_id) if result.status in missing else result
            for result in results
        ]

    async def _look_at(
        self, values: Sequence[bytes]
    ) -> tuple[list[ItemResult], list[_Record], list[_Record]]:
        """The results if the brokers acknowledge all, the records of valid events, and those of invalid ones."""
        results: list[ItemResult] = []
        valid: list[_Record] = []
        invalid: list[_Record] = []
        for number, value in enumerate(values, 1):
            try:
                event = self._decoder.event(value)
            except InvalidMessageError as error:
                result, record = self._refuse(value, error)
                if len(invalid) < MAX_KEPT:
                    invalid.append(record)
            else:
                result = ItemResult(status="queued", event_id=event.event_id)
                valid.append((event.user_id.encode(), value))
            results.append(result)
            if number % _AT_A_TIME == 0:
                await asyncio.sleep(0)
        return results, valid, invalid

    def _refuse(self, value: bytes, invalid: InvalidMessageError) -> tuple[ItemResult, _Record]:
        """The result of an invalid event, and its record on `failed-events`, as the risk agent would write it."""
        known = _members(value)
        user_id, event_id = known.get("user_id"), known.get("event_id")
        key = user_id if isinstance(user_id, str) and 0 < len(user_id) <= _KEY_LIMIT else None
        # It has no offset on a topic. A number of its own keeps failures apart.
        self._number += 1
        source = Source(None, -1, self._number, time.time_ns() // 1_000_000, key)
        record = failed_event(invalid.reason, invalid.errors, source, value, EVENT_SCHEMA, __version__)
        shown_id = event_id if isinstance(event_id, str) else None
        errors = [error._asdict() for error in invalid.errors]
        result = ItemResult(status="invalid", event_id=shown_id, errors=errors)
        return result, (None if key is None else key.encode(), record)


def split_body(body: bytes, *, lines: bool) -> tuple[list[bytes], bool]:
    """The values of a body, and whether it is one event by itself.

    Raises:
        Problem: there is none, there are too many, or the array is not one.
    """
    if lines:
        if body.count(b"\n") > MAX_AT_ONCE:
            raise _too_many()
        values = [line for line in body.split(b"\n") if line.strip()]
        single = False
    elif body.lstrip()[:1] == b"[":
        try:
            values = [bytes(item) for item in _read_array(body)]
        except UnreadableError as error:
            if isinstance(error.__context__, msgspec.ValidationError):
                # The one thing that this says of what begins as an array.
                raise _too_many() from None
            raise Problem(HTTPStatus.BAD_REQUEST, f"the array cannot be read: {error}") from None
        single = False
    else:
        return [body.strip()], True
    if not values:
        raise Problem(HTTPStatus.BAD_REQUEST, "there is no event in the body")
    return values, single


def _too_many() -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body has more than {MAX_AT_ONCE} events; send less at a time",
    )


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
