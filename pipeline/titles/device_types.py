"""The type of device that an event comes from, as its metadata names it."""

from functools import lru_cache
from typing import Final

import msgspec

from pipeline.events.foreign import json_reader

UNKNOWN: Final = "unknown"
_NAME_LENGTH: Final = 50


class _Metadata(msgspec.Struct):
    # The member may have any type, also an integer that msgspec cannot read. So it is read only where it is a string.
    device_type: msgspec.Raw = msgspec.Raw(b"null")


_metadata: Final = json_reader(_Metadata)
_text: Final = json_reader(str)


@lru_cache(maxsize=4_096)
def device_type(metadata: str | None) -> str:
    """The type of device that an event's metadata (a JSON object as text) names; `UNKNOWN` where it names none."""
    if metadata is None:
        return UNKNOWN
    found = bytes(_metadata(metadata.encode()).device_type)
    name = _text(found)[:_NAME_LENGTH] if found.startswith(b'"') else ""
    return name or UNKNOWN
