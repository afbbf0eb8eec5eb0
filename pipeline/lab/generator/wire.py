"""Events as bytes. A session has templates, so that an event takes one string formatting."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b

_MANY_SECONDS = 20_000
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_ENCODE_ASCII = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def encode(value: object) -> str:
    """Compact JSON in which non-ASCII characters are not escaped."""
    return _ENCODE(value)


@dataclass(frozen=True, slots=True)
class Client:
    """A family of players, and how it writes types and times. All forms are valid.

    Attributes:
        name: its `device_type`.
        types: its words for event types; other types are not changed.
        clock: how it writes an instant: ms, micros, seconds, offset or lower.
        escapes: whether it writes non-ASCII as JSON escapes.
    """

    name: str
    types: dict[str, str]
    clock: str = "ms"
    escapes: bool = False

    def spell(self, event_type: str) -> str:
        """The type as this client writes it."""
        return self.types.get(event_type, event_type)


_PLAYBACK = ("PLAY", "PAUSE", "RESUME", "SEEK", "STOP", "HEARTBEAT", "BUFFERING", "ERROR")
_ACCOUNT = ("LOGIN", "LOGIN_FAILED", "LOGOUT", "DOWNLOAD", "PURCHASE", "PROFILE_UPDATE")
_TOKENS = ("TOKEN_REFRESH", "TOKEN_REFRESH_FAILED")
_ALL_TYPES = (*_PLAYBACK, *_ACCOUNT, *_TOKENS)
_ALIASES = {"PLAY": "stream_start", "PAUSE": "stream_pause", "STOP": "stream_end"}
_LOWER = {name: name.lower() for name in _ALL_TYPES}

CLIENTS = (
    Client("tv", {}),
    Client("web", _LOWER | _ALIASES, clock="micros"),
    Client("phone", {}, clock="offset"),
    Client("tablet", {name: name.title() for name in _ALL_TYPES}, clock="lower", escapes=True),
    Client("stick", _ALIASES, clock="seconds"),
    Client("console", _LOWER),
)
# Most events come from televisions, and those write the plainest ones.
CLIENT_WEIGHTS = (0.62, 0.76, 0.86, 0.90, 0.94, 1.0)


@dataclass(frozen=True, slots=True)
class Template:
    """The parts of an event that stay the same while a device plays a title from one address.

    Attributes:
        head: JSON members up to the type, with their commas.
        tail: JSON members behind the time.
        client: how types and times are spelt.
        utc_offset: of the device's clock, hours; used where the client writes local time.
    """

    head: str
    tail: str
    client: Client
    utc_offset: float


def template(
    ids: dict[str, str | None], rest: dict[str, object], client: Client, utc_offset: float
) -> Template:
    """Makes a template.

    Args:
        ids: members that stand before the type; None is written as null.
        rest: members that stand behind the time.
        client: who writes.
        utc_offset: hours.
    """
    dump = _ENCODE_ASCII if client.escapes else _ENCODE
    return Template(dump(ids)[1:-1], dump(rest)[1:-1], client, utc_offset)


class Pen:
    """Writes events, each with an id of its own. A run has one.

    Args:
        seed: the run's seed.
        start_ms: the run's first simulated instant. Two runs of one seed that start at different times have
            different ids: the second must not look like a repetition of the first.
    """

    __slots__ = ("_count", "_tag")

    def __init__(self, seed: int, start_ms: int) -> None:
        digest = blake2b(f"{seed}/{start_ms}".encode(), digest_size=10).hexdigest()
        self._tag = f"{digest[:8]}-{digest[8:12]}-4{digest[12:15]}-a{digest[15:18]}-"
        self._count = 0

    def new_id(self) -> str:
        """An id that no other event of the run has."""
        self._count += 1
        return f"{self._tag}{self._count:012x}"

    def event(self, template: Template, event_type: str, t_ms: int, extra: str = "") -> str:
        """One event as compact JSON.

        Args:
            template: what stays the same.
            event_type: in normal form; the client spells it.
            t_ms: event time. A client without fractions of a second cuts it.
            extra: further JSON members, each with a comma in front.
        """
        self._count = count = self._count + 1
        client = template.client
        seconds = t_ms // 1000
        day = _utc_text(seconds)
        clock = client.clock
        if clock == "ms":
            instant = f"{day}.{t_ms % 1000:03d}Z"
        elif clock == "seconds":
            instant = f"{day}Z"
        elif clock == "micros":
            instant = f"{day}.{t_ms % 1000:03d}{count % 1000:03d}Z"
        elif clock == "lower":
            instant = f"{day.lower()}.{t_ms % 1000:03d}z"
        else:
            instant = _with_offset(t_ms, template.utc_offset)
        return (
            f'{{"event_id":"{self._tag}{count:012x}",{template.head},"event_type":"{client.spell(event_type)}",'
            f'"timestamp":"{instant}",{template.tail}{extra}}}'
        )


@lru_cache(_MANY_SECONDS)
def _utc_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def _with_offset(t_ms: int, utc_offset: float) -> str:
    seconds, ms = divmod(t_ms, 1000)
    minutes = round(utc_offset * 60)
    local = datetime.fromtimestamp(seconds + minutes * 60, UTC).isoformat()[:19]
    # -00:00 says "UTC, and where I am is not known" (RFC 3339, 4.3).
    sign = "+" if minutes > 0 else "-"
    return f"{local}.{ms:03d}{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
