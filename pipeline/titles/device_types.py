"""Which kind of device an event comes from, as its metadata tells."""

from typing import Final

import msgspec

from pipeline.events.foreign import json_reader

UNKNOWN: Final = "unknown"
_METADATA_KNOWN: Final = 4_096
_NAME_LENGTH: Final = 50


class DeviceTypes:
    """Kinds of devices, from the metadata of events; what was read lately is remembered."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str | None, str] = {None: UNKNOWN}

    def of(self, metadata: str | None) -> str:
        """The kind of device that metadata (an object as JSON) names."""
        known = self._known.get(metadata)
        return self._read(metadata) if known is None else known

    def _read(self, metadata: str | None) -> str:
        found = _named(metadata)
        name = found[:_NAME_LENGTH] if found else UNKNOWN
        if len(self._known) >= _METADATA_KNOWN:
            self._known = {None: UNKNOWN}
        self._known[metadata] = name
        return name


class _Metadata(msgspec.Struct):
    # Anything may stand here, also an integer that msgspec does not read: only a text is looked at.
    device_type: msgspec.Raw = msgspec.Raw(b"null")


_metadata: Final = json_reader(_Metadata)
_text: Final = json_reader(str)


def _named(metadata: str | None) -> str | None:
    if metadata is None:
        return None
    found = bytes(_metadata(metadata.encode()).device_type)
    return _text(found) if found.startswith(b'"') else None
