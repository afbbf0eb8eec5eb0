"""Failed events: reading them, and publishing them again with edits that make them valid.

A recovered event goes to the topic of its schema, to the partition of its user. In the same transaction an entry goes
to the audit trail, which names the failed event. Events with such an entry are not published again. A second run first
ends the open transaction of one that was killed, and then reads the trail, so each event is published once.
"""

from __future__ import annotations

from base64 import b64decode
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from aiokafka.errors import KafkaError

from pipeline.delivery.clients import new_producer, stop_producer
from pipeline.delivery.commit.packing import acknowledged, send_outputs
from pipeline.delivery.partitioner import partition_of
from pipeline.delivery.state.outputs import Output
from pipeline.evaluation.failed import FAILED_SCHEMA, FailedEvent
from pipeline.events.decode import EventDecoder
from pipeline.events.foreign import UnreadableError, json_reader, read_object
from pipeline.events.invalid import InvalidMessageError
from pipeline.events.model import EVENT_SCHEMA
from pipeline.history.edits import Edit, Edits, edited
from pipeline.history.reading import records_of
from pipeline.kafka.brokers import broker_trouble
from pipeline.kafka.topics import AUDIT_TRAIL, FAILED_EVENTS, PRIVACY_REQUESTS, RAW_EVENTS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from pipeline.settings.schema import Settings

RECOVERED: Final = "ott failed recover"
"""The action of the entries in the audit trail; their subject is the failure id."""
_TOGETHER: Final = 1_000
_REQUEST_S: Final = 15.0
_TRANSACTION_MS: Final = 60_000

_read_failed: Final = json_reader(FailedEvent)


class Failure(NamedTuple):
    """A failed event, and when it was published, in milliseconds since 1970."""

    event: FailedEvent
    at: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Chooses failed events. What is None admits all; times are in milliseconds since 1970, `end` is not included."""

    reason: str | None = None
    path: str | None = None
    app_version: str | None = None
    begin: int | None = None
    end: int | None = None

    def admits(self, failure: Failure) -> bool:
        """Whether it is chosen."""
        event = failure.event
        return (
            (self.begin is None or failure.at >= self.begin)
            and (self.end is None or failure.at < self.end)
            and Edit([], self.reason, self.path, self.app_version).matches(event)
        )


async def failures(settings: Settings, wanted: Wanted) -> AsyncGenerator[Failure, None]:
    """The failed events on the topic up to its end as it is now, by partition, oldest first. Others are passed over.

    Raises:
        MissingError: no broker answers, or the topic is not there.
    """
    async with aclosing(records_of(settings, settings.topic(FAILED_EVENTS.name))) as records:
        async for record in records:
            try:
                event = _read_failed(record.value)
            except UnreadableError:
                continue
            failure = Failure(event, record.timestamp)
            if event.schema == FAILED_SCHEMA and wanted.admits(failure):
                yield failure


class Recovery(NamedTuple):
    """What recovering a failed event gives: the message that is published instead, its user, and its schema."""

    failure: Failure
    before: bytes
    after: bytes
    user_id: str


@dataclass
class Recoveries:
    """What edits make of failed events.

    Attributes:
        ready: those that are valid now.
        unmatched: the number of events that no edit is for.
        recovered: the number of those that an earlier run has published.
        cut: the number of those of which only the beginning is kept.
        invalid: those that are not valid after the edit: the event, and what is wrong.
    """

    ready: list[Recovery] = field(default_factory=list)
    unmatched: int = 0
    recovered: int = 0
    cut: int = 0
    invalid: list[tuple[FailedEvent, str]] = field(default_factory=list)


async def plan(settings: Settings, edits: Edits, wanted: Wanted) -> Recoveries:
    """Apply edits to the failed events. Nothing is published.

    Raises:
        MissingError: no broker answers, or a topic is not there.
    """
    found, decoder = Recoveries(), EventDecoder()
    seen = await _recovered(settings)
    async with aclosing(failures(settings, wanted)) as chosen:
        async for failure in chosen:
            event = failure.event
            edit = next((one for one in edits.edit if one.matches(event)), None)
            if edit is None:
                found.unmatched += 1
            elif event.failure_id in seen:
                found.recovered += 1
            elif event.payload_sha256 is not msgspec.UNSET:
                found.cut += 1
            else:
                # One record may have failed twice, live and in a worker of another version.
                seen.add(event.failure_id)
                _recover(found, decoder, failure, edit)
    return found


def _recover(found: Recoveries, decoder: EventDecoder, failure: Failure, edit: Edit) -> None:
    event = failure.event
    try:
        before = _payload(event)
        after = before if not edit.steps else msgspec.json.encode(edited(read_object(before), edit))
        decode = decoder.event if event.event_schema == EVENT_SCHEMA else decoder.request
        found.ready.append(Recovery(failure, before, after, decode(after).user_id))
    except UnreadableError as error:
        found.invalid.append((event, str(error)))
    except InvalidMessageError as error:
        first = error.errors[0] if error.errors else None
        found.invalid.append((event, error.reason if first is None else f"{first.path}: {first.message}"))


def _payload(event: FailedEvent) -> bytes:
    if event.payload_encoding == "base64":
        try:
            return b64decode(event.payload, validate=True)
        except ValueError as error:
            raise UnreadableError(f"its payload cannot be opened: {error}") from None
    return event.payload.encode("utf-8", errors="surrogatepass")


async def publish_recoveries(
    settings: Settings, edits: Edits, wanted: Wanted, entry: Callable[[str], tuple[bytes, bytes]]
) -> Recoveries:
    """Publish the events that edits make valid, each once.

    Args:
        settings: where the brokers are.
        edits: what is done with them.
        wanted: which failed events.
        entry: gives key and value of the entry in the audit trail, of a failure id.

    Raises:
        MissingError: the brokers cannot be reached or refuse.
    """
    producer = new_producer(
        settings.kafka_client_options(),
        _REQUEST_S,
        transactional_id=f"{settings.app_id}-failed-recover",
        transaction_timeout_ms=_TRANSACTION_MS,
    )
    try:
        # This ends the open transaction of a run that was killed, and shuts out one that is still at work.
        await producer.start()
        found = await plan(settings, edits, wanted)
        events, requests = settings.topic(RAW_EVENTS.name), settings.topic(PRIVACY_REQUESTS.name)
        trail = settings.topic(AUDIT_TRAIL.name)
        counts = {topic: len(await producer.partitions_for(topic)) for topic in (events, requests, trail)}
        for start in range(0, len(found.ready), _TOGETHER):
            outputs: list[Output] = []
            for one in found.ready[start : start + _TOGETHER]:
                event = one.failure.event
                topic = events if event.event_schema == EVENT_SCHEMA else requests
                outputs += [
                    Output(topic, one.user_id.encode(), one.after),
                    Output(trail, *entry(event.failure_id)),
                ]
            await producer.begin_transaction()
            sent = await send_outputs(producer, outputs, lambda topic, key: partition_of(key, counts[topic]))
            await acknowledged(sent)
            await producer.commit_transaction()
    except KafkaError as error:
        raise broker_trouble(settings, error) from error
    finally:
        await stop_producer(producer)
    return found


class _Entry(msgspec.Struct):
    action: str
    subject: str | None


_read_entry: Final = json_reader(_Entry)


async def _recovered(settings: Settings) -> set[str]:
    """The ids of failed events that the audit trail names as recovered."""
    found: set[str] = set()
    needle = RECOVERED.encode()
    async with aclosing(records_of(settings, settings.topic(AUDIT_TRAIL.name))) as records:
        async for record in records:
            if record.value is None or needle not in record.value:
                continue
            try:
                entry = _read_entry(record.value)
            except UnreadableError:
                continue
            if entry.action == RECOVERED and entry.subject is not None:
                found.add(entry.subject)
    return found
