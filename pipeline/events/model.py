"""The public contract: one model per message that producers send.

These models decide what is valid, and their errors are what producers see. `decode` has a faster way to the same
decision.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from pipeline.events import addresses, instants, strict_json
from pipeline.events.kinds import PLAYBACK, canonical_type
from pipeline.jurisdictions import regions

EVENT_SCHEMA: Final = "raw-event/1"
REQUEST_SCHEMA: Final = "privacy-request/1"
MAX_VALUE_BYTES: Final = 65_536
MAX_METADATA_KEYS: Final = 32
MAX_METADATA_BYTES: Final = 8_192
MAX_AGE: Final = 130


def _instant(text: str) -> str:
    instants.parse_instant(text)
    return text


def _address(text: str) -> str:
    addresses.parse_address(text)
    return text


def _region(text: str) -> str:
    if regions.normalise(text) is None:
        raise ValueError("must have the form of ISO 3166-1 alpha-2 or ISO 3166-2, like NL or US-CA")
    return text


def _metadata(value: dict[str, Any]) -> dict[str, Any]:
    if len(value) > MAX_METADATA_KEYS:
        raise ValueError(f"has {len(value)} keys; at most {MAX_METADATA_KEYS} are allowed")
    size = len(strict_json.canonical_json(value).encode())
    if size > MAX_METADATA_BYTES:
        raise ValueError(f"has {size} bytes as compact JSON; at most {MAX_METADATA_BYTES} are allowed")
    return value


Id = Annotated[str, Field(min_length=1, max_length=255)]
Instant = Annotated[str, AfterValidator(_instant), Field(json_schema_extra={"format": "date-time"})]


class RawEvent(BaseModel):
    """One playback or account event (topic `raw-events`, schema `raw-event/1`).

    Null in an optional field means absent; unknown fields are ignored and counted.
    """

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, title=EVENT_SCHEMA)

    event_id: Annotated[Id, Field(description="unique per event")]
    user_id: Annotated[Id, Field(description="also the message key")]
    device_id: Id
    content_id: Annotated[Id | None, Field(description="required for playback types")] = None
    event_type: Annotated[
        str,
        Field(
            min_length=1, max_length=50, description="ASCII case-insensitive; unknown types count as OTHER"
        ),
    ]
    timestamp: Annotated[Instant, Field(description="event time; cut off to milliseconds")]
    region: Annotated[
        str, AfterValidator(_region), Field(description="ISO 3166-1 alpha-2 or ISO 3166-2 by form, or EU")
    ]
    is_eu: Annotated[bool, Field(description="the producer holds the person to be under the GDPR (EEA)")]
    has_consent: bool
    ip_address: Annotated[str, AfterValidator(_address), Field(description="IPv4 or IPv6, without a zone")]
    subscription_plan: Annotated[str | None, Field(max_length=50)] = None
    error_code: Annotated[str | None, Field(max_length=100)] = None
    do_not_track: bool | None = None
    deletion_requested: bool | None = None
    gpc: Annotated[bool | None, Field(description="Global Privacy Control")] = None
    user_age: Annotated[int | None, Field(ge=0, le=MAX_AGE)] = None
    data_shared: Annotated[
        Literal["none", "partial", "full"] | None, Field(description="what third parties received")
    ] = None
    session_id: Annotated[str | None, Field(max_length=255)] = None
    extra_metadata: Annotated[
        Annotated[dict[str, Any], AfterValidator(_metadata)] | None,
        Field(description="at most 32 top-level keys and 8 KiB as compact UTF-8 JSON"),
    ] = None

    @model_validator(mode="after")
    def _playback_names_its_content(self) -> "RawEvent":
        if self.content_id is None and canonical_type(self.event_type) in PLAYBACK:
            raise ValueError("content_id is required for playback events")
        return self


RequestType = Literal["opt_out", "opt_in", "delete", "reinstate", "consent_given", "consent_withdrawn"]


class PrivacyRequest(BaseModel):
    """A privacy request (topic `privacy-requests`, schema `privacy-request/1`)."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, title=REQUEST_SCHEMA)

    schema_: Annotated[Literal["privacy-request/1"], Field(alias="schema")]
    request_id: Id
    user_id: Annotated[Id, Field(description="also the message key")]
    type: RequestType
    timestamp: Instant
    region: Annotated[Any, Field(description="recorded by the privacy office; not checked")] = None
