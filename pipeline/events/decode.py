"""Decoding: the bytes of a record to an event or a request in normal form.

There are two ways to the same decision. The fast way is a msgspec struct that accepts only what is plainly valid:
known fields, no escapes, little nesting. Everything else goes the exact way, through `strict_json` and the public
models. Only the exact way decides that a message is invalid, and why. A property test proves that both decide alike.
"""

from functools import lru_cache
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

from pipeline.bounded import BoundedDict
from pipeline.events import strict_json
from pipeline.events.addresses import parse_address
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
_REMEMBERED: Final = 100_000
"""The normal form of a text is remembered for this many texts of each kind."""
_LONGEST_REST: Final = len(".123+01:00")
"""What follows the second in a timestamp is remembered up to this length. Microseconds have too many values."""
_ANY_SECOND: Final = "2026-01-31T20:15:00"
_ANY_SECOND_MS: Final = parse_instant(f"{_ANY_SECOND}Z")
_DAY_MS: Final = 86_400_000

Model = TypeVar("Model", bound=BaseModel)


class _Wire(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The fields of `RawEvent`, with the same limits, for the fast way."""

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


_type_of: Final = lru_cache(_REMEMBERED)(canonical_type)
_region_of: Final = lru_cache(_REMEMBERED)(_normal_region)
_address_of: Final = lru_cache(_REMEMBERED)(parse_address)
_metadata_of: Final = lru_cache(_REMEMBERED)(_canonical_metadata)


class EventDecoder:
    """Decodes events and requests, and counts what is valid but worth knowing."""

    def __init__(self) -> None:
        self.unknown_fields = 0
        """Top-level fields that the contract does not name. A newer producer may send them."""
        self.other_types = 0
        """Events whose type the contract does not name."""
        self._seconds: BoundedDict[str, int] = BoundedDict(_REMEMBERED)
        self._rests: BoundedDict[str, int] = BoundedDict(_REMEMBERED)

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
        """The event of an accepted wire form; None, or a ValueError, where the exact way has to decide."""
        kind = _type_of(wire.event_type)
        if wire.content_id is None and kind in PLAYBACK:
            return None
        region, address = _region_of(wire.region), _address_of(wire.ip_address)
        metadata = None
        mentions = value.count(b'"extra_metadata"')
        if mentions:
            # msgspec keeps the last of two members of one name, so the first would escape the check. No other known
            # field can be nested.
            if mentions != 1 or value.count(b"{") + value.count(b"[") > MAX_DEPTH:
                return None
            metadata = _metadata_of(bytes(wire.extra_metadata))
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
        """`parse_instant`, with memories for the second and for what follows it, which are parsed apart."""
        rest, start = self._rests.get(text[19:]), self._seconds.get(text[:19])
        if rest is None or start is None:
            return self._parse_time(text)
        return start + rest

    def _parse_time(self, text: str) -> int:
        time = parse_instant(text)
        second, rest = text[:19], text[19:]
        # An offset is less than a day. Two days from the limits, a remembered second with any offset is a valid time.
        if second not in self._seconds and EARLIEST_MS + 2 * _DAY_MS < time < LATEST_MS - 2 * _DAY_MS:
            self._seconds[second] = parse_instant(second + "Z")
        if rest not in self._rests and len(rest) <= _LONGEST_REST:
            self._rests[rest] = parse_instant(_ANY_SECOND + rest) - _ANY_SECOND_MS
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


def _parse(value: bytes | None, *, on_request_topic: bool) -> Any:  # noqa: ANN401 - any JSON
    """The value as JSON.

    Raises:
        InvalidMessageError: with the first that holds of the reasons too_large, not_json and schema_violation.
    """
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
            # A request that cannot be read may have asked for a deletion.
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
            # An error without a location comes from the only rule across fields: playback names its content.
            ErrorDetail(".".join(map(str, entry["loc"])) or "content_id", entry["msg"], entry["type"])
            for entry in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise InvalidMessageError(
            "schema_violation", [*errors, *lost_opt_out(parsed, on_request_topic)]
        ) from None
