"""Decoding: the bytes of a record to an event or a request in normal form.

There are two ways to the same decision. The fast one is a msgspec struct that accepts only what is plainly
valid: known fields, no escapes, little nesting. Whatever it does not accept goes the exact way, through
`strict_json` and the public models, which alone decides what is invalid and why.
"""

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

from pipeline.events import strict_json
from pipeline.events.addresses import Address, parse_address
from pipeline.events.event import Event, Request
from pipeline.events.foreign import UNREADABLE
from pipeline.events.instants import EARLIEST_MS, LATEST_MS, parse_instant
from pipeline.events.invalid import ErrorDetail, InvalidMessageError, lost_opt_out, opt_out_not_recorded
from pipeline.events.kinds import OTHER, PLAYBACK, canonical_type
from pipeline.events.model import (
    EVENT_SCHEMA,
    MAX_METADATA_BYTES,
    MAX_METADATA_KEYS,
    MAX_VALUE_BYTES,
    REQUEST_SCHEMA,
    PrivacyRequest,
    RawEvent,
)
from pipeline.events.strict_json import MAX_DEPTH
from pipeline.jurisdictions import regions

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
_KNOWN_FIELDS: Final = frozenset(RawEvent.model_fields)
_CACHE_LIMIT: Final = 100_000
_LONGEST_REST: Final = len(".123+01:00")
"""What follows the second is remembered up to this length: of microseconds there are too many."""
_ANY_SECOND: Final = "2026-01-31T20:15:00"
_ANY_SECOND_MS: Final = parse_instant(f"{_ANY_SECOND}Z")
_DAY_MS: Final = 86_400_000

Model = TypeVar("Model", bound=BaseModel)


class _Wire(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The fields of `RawEvent`, for the fast way."""

    event_id: _Id
    user_id: _Id
    device_id: _Id
    event_type: Annotated[str, msgspec.Meta(min_length=1, max_length=50)]
    timestamp: str
    region: str
    is_eu: bool
    has_consent: bool
    ip_address: str
    content_id: _Id | None = None
    subscription_plan: Annotated[str, msgspec.Meta(max_length=50)] | None = None
    error_code: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    do_not_track: bool | None = None
    deletion_requested: bool | None = None
    gpc: bool | None = None
    user_age: Annotated[int, msgspec.Meta(ge=0, le=130)] | None = None
    data_shared: Literal["none", "partial", "full"] | None = None
    session_id: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    extra_metadata: msgspec.Raw = msgspec.Raw(b"null")  # msgspec reads `Raw | None` as null only


_read_wire: Final = msgspec.json.Decoder(_Wire).decode


class EventDecoder:
    """Decodes events and requests, and counts what is accepted but worth knowing.

    The caches hold normal forms by their text. They are bounded and change no answer.
    """

    def __init__(self) -> None:
        self.unknown_fields = 0
        """Top-level fields seen that the contract does not name (a newer producer)."""
        self.other_types = 0
        """Events whose type the contract does not name."""
        self._types: dict[str, str] = {}
        self._regions: dict[str, str] = {}
        self._addresses: dict[str, Address] = {}
        self._seconds: dict[str, int] = {}
        self._rests: dict[str, int] = {}
        self._metadata: dict[bytes, str | None] = {}

    def event(self, value: bytes | None) -> Event:
        """Decode the value of a record of `raw-events`.

        Raises:
            InvalidMessageError: with reason too_large, not_json or schema_violation.
        """
        if value is not None and len(value) <= MAX_VALUE_BYTES and b"\\" not in value:
            try:
                event = self._from_wire(_read_wire(value), value)
            except UNREADABLE:
                event = None
            if event is not None:
                if event.type is OTHER:
                    self.other_types += 1
                return event
        event = self._event_exactly(value)
        if event.type is OTHER:
            self.other_types += 1
        return event

    def request(self, value: bytes | None) -> Request:
        """Decode the value of a record of `privacy-requests`.

        Raises:
            InvalidMessageError: with reason too_large, not_json or schema_violation.
        """
        parsed = _parse(value, on_request_topic=True)
        model = _validate(PrivacyRequest, REQUEST_SCHEMA, parsed, on_request_topic=True)
        region = regions.normalise(model.region) if isinstance(model.region, str) else None
        return Request(model.request_id, model.user_id, model.type, parse_instant(model.timestamp), region)

    def _from_wire(self, wire: _Wire, value: bytes) -> Event | None:
        """The event of an accepted wire form; None (or a ValueError) where only the exact way can tell."""
        kind = self._types.get(wire.event_type)
        if kind is None:
            kind = _remember(self._types, wire.event_type, canonical_type)
        if wire.content_id is None and kind in PLAYBACK:
            return None
        region = self._regions.get(wire.region)
        if region is None:
            region = _remember(self._regions, wire.region, _normal_region)
        address = self._addresses.get(wire.ip_address)
        if address is None:
            address = _remember(self._addresses, wire.ip_address, parse_address)
        metadata = None
        mentions = value.count(b'"extra_metadata"')
        if mentions:
            # An earlier extra_metadata that this one replaces would have escaped the check; and of the known
            # fields only this one can be nested.
            if mentions != 1 or value.count(b"{") + value.count(b"[") > MAX_DEPTH:
                return None
            raw = bytes(wire.extra_metadata)
            if raw in self._metadata:
                metadata = self._metadata[raw]
            elif raw != b"null":
                metadata = _remember(self._metadata, raw, _canonical_metadata)
        return Event(
            wire.event_id,
            wire.user_id,
            wire.device_id,
            wire.content_id,
            kind,
            self._time(wire.timestamp),
            region,
            wire.is_eu,
            wire.has_consent,
            address.normal,
            address.network,
            wire.subscription_plan,
            wire.error_code,
            wire.do_not_track is True,
            wire.deletion_requested is True,
            wire.gpc is True,
            wire.user_age,
            wire.data_shared or "none",
            wire.session_id,
            metadata,
        )

    def _time(self, text: str) -> int:
        """`parse_instant`, with the whole second and what follows it remembered, each for itself."""
        rest, start = self._rests.get(text[19:]), self._seconds.get(text[:19])
        if rest is None or start is None:
            return self._time_anew(text)
        return start + rest

    def _time_anew(self, text: str) -> int:
        time = parse_instant(text)
        second, rest = text[:19], text[19:]
        # The second lies less than a day from the time, and with another offset it is less than a day from that: with
        # none of them one that is remembered is outside the years of a date.
        if second not in self._seconds and EARLIEST_MS + 2 * _DAY_MS < time < LATEST_MS - 2 * _DAY_MS:
            _remember(self._seconds, second, lambda whole: parse_instant(whole + "Z"))
        if rest not in self._rests and len(rest) <= _LONGEST_REST:
            _remember(self._rests, rest, lambda rest: parse_instant(_ANY_SECOND + rest) - _ANY_SECOND_MS)
        return time

    def _event_exactly(self, value: bytes | None) -> Event:
        parsed = _parse(value, on_request_topic=False)
        if isinstance(parsed, dict) and parsed.get("schema") == REQUEST_SCHEMA:
            raise InvalidMessageError(
                "schema_violation",
                [
                    ErrorDetail(
                        "schema", "a privacy request belongs on the topic privacy-requests", "privacy_request"
                    ),
                    *lost_opt_out(parsed, on_request_topic=False),
                ],
            )
        model = _validate(RawEvent, EVENT_SCHEMA, parsed, on_request_topic=False)
        self.unknown_fields += len(parsed.keys() - _KNOWN_FIELDS)
        address = parse_address(model.ip_address)
        return Event(
            event_id=model.event_id,
            user_id=model.user_id,
            device_id=model.device_id,
            content_id=model.content_id,
            type=canonical_type(model.event_type),
            time=parse_instant(model.timestamp),
            region=_normal_region(model.region),
            is_eu=model.is_eu,
            has_consent=model.has_consent,
            address=address.normal,
            network=address.network,
            plan=model.subscription_plan,
            error_code=model.error_code,
            do_not_track=model.do_not_track is True,
            deletion_requested=model.deletion_requested is True,
            gpc=model.gpc is True,
            user_age=model.user_age,
            data_shared=model.data_shared or "none",
            session_id=model.session_id,
            metadata=None
            if model.extra_metadata is None
            else strict_json.canonical_json(model.extra_metadata),
        )


Key = TypeVar("Key")
Normal = TypeVar("Normal")


def _remember(cache: dict[Key, Normal], key: Key, normalise: Callable[[Key], Normal]) -> Normal:
    """Normalise and keep the result; a full cache starts anew, which costs less than keeping an order."""
    if len(cache) >= _CACHE_LIMIT:
        cache.clear()
    normal = cache[key] = normalise(key)
    return normal


def _normal_region(text: str) -> str:
    region = regions.normalise(text)
    if region is None:
        raise ValueError("is not a region by form")
    return region


def _canonical_metadata(raw: bytes) -> str | None:
    reading = strict_json.read_json(raw)
    if reading.value is None and reading.violation is None:
        return None
    if reading.violation is not None or not isinstance(reading.value, dict):
        raise ValueError("only the exact way can say what is wrong")
    canonical = strict_json.canonical_json(reading.value)
    if len(reading.value) > MAX_METADATA_KEYS or len(canonical.encode()) > MAX_METADATA_BYTES:
        raise ValueError("only the exact way can say what is wrong")
    return canonical


def _parse(value: bytes | None, *, on_request_topic: bool) -> Any:  # noqa: ANN401 - any JSON
    """The value as JSON, or the first of the reasons too_large, not_json, schema_violation."""
    if not value:
        errors = [ErrorDetail("", "the value is empty", "empty")]
        if on_request_topic:
            errors.append(opt_out_not_recorded(""))
        raise InvalidMessageError("not_json", errors)
    too_large = None
    if len(value) > MAX_VALUE_BYTES:
        message = f"the value has {len(value)} bytes; at most {MAX_VALUE_BYTES} are allowed"
        too_large = ErrorDetail("", message, "too_large")
    try:
        reading = strict_json.read_json(value)
    except strict_json.NotJsonError as error:
        errors = [too_large or ErrorDetail("", f"the value {error}", "not_json")]
        if on_request_topic:
            # What cannot be read may have been a deletion.
            errors.append(opt_out_not_recorded(""))
        raise InvalidMessageError("too_large" if too_large else "not_json", errors) from None
    lost = lost_opt_out(reading.value, on_request_topic)
    if too_large is not None:
        raise InvalidMessageError("too_large", [too_large, *lost])
    if reading.violation is not None:
        detail = ErrorDetail("", f"the value {reading.violation.message}", reading.violation.type)
        raise InvalidMessageError("schema_violation", [detail, *lost])
    return reading.value


def _validate(model: type[Model], schema: str, parsed: object, *, on_request_topic: bool) -> Model:
    if not isinstance(parsed, dict):
        detail = ErrorDetail("", f"a {schema} must be a JSON object", "not_an_object")
        raise InvalidMessageError("schema_violation", [detail])
    try:
        return model.model_validate(parsed)
    except ValidationError as error:
        errors = [
            # The only rule across fields is that playback names its content.
            ErrorDetail(".".join(map(str, entry["loc"])) or "content_id", entry["msg"], entry["type"])
            for entry in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise InvalidMessageError(
            "schema_violation", [*errors, *lost_opt_out(parsed, on_request_topic)]
        ) from None
