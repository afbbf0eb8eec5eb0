"""An event and a privacy request in their normal forms, as the rules see them."""

from typing import Final

import msgspec

from pipeline.events.kinds import PLAYBACK


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One valid event in normal form (see "Duplicates" in the event contract).

    Two events are equal exactly if all their known fields are. `time` is the event time in milliseconds since 1970.
    `metadata` is canonical JSON.
    """

    event_id: str
    user_id: str
    device_id: str
    content_id: str | None
    type: str
    time: int
    region: str
    is_eu: bool
    has_consent: bool
    address: str
    network: str
    plan: str | None
    error_code: str | None
    do_not_track: bool
    deletion_requested: bool
    gpc: bool
    user_age: int | None
    data_shared: str
    session_id: str | None
    metadata: str | None

    @property
    def is_playback(self) -> bool:
        """Whether the event is about playing a title."""
        return self.type in PLAYBACK

    @property
    def failed(self) -> bool:
        """Whether the event reports an error."""
        return bool(self.error_code) or self.type == "ERROR"

    @property
    def signals_opt_out(self) -> bool:
        """Whether the event carries an opt-out or deletion signal."""
        return self.do_not_track or self.gpc or self.deletion_requested


class Request(msgspec.Struct, frozen=True, gc=False):
    """One valid privacy request. `time` is in milliseconds since 1970; `region` is None where it names no valid one."""

    request_id: str
    user_id: str
    type: str
    time: int
    region: str | None = None

    @property
    def signals_opt_out(self) -> bool:
        """Whether losing the request would lose an opt-out or a deletion."""
        return self.type in LOSABLE_REQUESTS


LOSABLE_REQUESTS: Final = frozenset({"opt_out", "delete"})
