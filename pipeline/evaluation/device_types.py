"""Which kind of device an event comes from, as its metadata tells."""

from typing import Any, Final

import msgspec

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
        found = None if metadata is None else _metadata(metadata).device_type
        name = found[:_NAME_LENGTH] if isinstance(found, str) and found else UNKNOWN
        if len(self._known) >= _METADATA_KNOWN:
            self._known = {None: UNKNOWN}
        self._known[metadata] = name
        return name


class _Metadata(msgspec.Struct):
    device_type: Any = None


_metadata: Final = msgspec.json.Decoder(_Metadata).decode
