"""The events of the benchmark: an audience of a given size, each user one event a minute, in sessions.

The generator of `ott generate` tells stories, and how many events those flag depends on the size of the
audience. A load has to be the same for a thousand users and for a million, so it is made by arithmetic:
everything about an event follows from its number, and no user costs memory here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from math import gcd
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS_PER_USER_HOUR: Final = 60
_MINUTE_MS: Final = 60_000
_SESSION: Final = 60
"""Events from a log-in to the stop."""

# Every so many records one is not as the others; the offsets keep them apart.
_REPEATED: Final = (200, 78)
_BROKEN: Final = (500, 11)
_EXPIRED: Final = (1000, 501)
_DELAYED: Final = (70, 3)
_EXPIRED_MS: Final = 2 * 3_600_000
_DELAY_MS: Final = 75_000

_TYPES: Final = {
    0: "LOGIN",
    1: "PLAY",
    20: "PAUSE",
    21: "RESUME",
    35: "BUFFERING",
    40: "SEEK",
    50: "ERROR",
    _SESSION - 1: "STOP",
}
_REGIONS: Final = (
    *(("DE", "true"), ("FR", "true"), ("NL", "true"), ("ES", "true"), ("PL", "true"), ("SE", "true")),
    *(("US-CA", "false"), ("US-NY", "false"), ("US-TX", "false"), ("BR", "false"), ("GB", "false")),
    *(("IN", "false"), ("JP", "false"), ("AU", "false"), ("CA", "false"), ("MX", "false")),
)
_PLANS: Final = ("standard", "premium", "family", "standard", "premium", "basic", "trial", "vip")
_DEVICES: Final = ("tv", "tv", "tv", "phone", "web", "tablet")
_FAR_APART: Final = (("NL", "true"), ("US-CA", "false"))

# Personas, in thousandths of the audience: up to which number each goes.
_NO_CONSENT: Final = 35
_OPTED_OUT: Final = 45
_SHARES_DATA: Final = 50
_SHARES_ACCOUNT: Final = 60
_MANY_ADDRESSES: Final = 70
_LOGIN_ATTACK: Final = 75
_CONSPICUOUS: Final = 78
"""The last of them move between two places that are far apart. Everybody from here on is as most people."""

_BROKEN_FORMS: Final = ('{"event_id":"cut off', '"is_eu":"yes"', '"region":"Nowhere"')
_ID_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Load:
    """A number of records, in the order in which they are sent.

    Attributes:
        events: how many records.
        users: size of the audience; as long as `events` allows, each sends 60 an hour of event time.
        end_ms: the event time at which it ends.
        tag: stands at the beginning of every event id.
    """

    events: int
    users: int
    end_ms: int
    tag: str = "bench"

    @property
    def start_ms(self) -> int:
        """The event time at which it begins."""
        return self.end_ms - self.events * _MINUTE_MS // self.users - 1

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of the records."""
        users, start = self.users, self.start_ms
        # A step that shares no factor with the number of users visits each once a round, in a mixed order.
        step = next(step for step in range(int(users * 0.618) | 1, 4 * users + 3, 2) if gcd(step, users) == 1)
        seconds = _Seconds()
        previous = (b"", b"")
        for number in range(self.events):
            if number % _REPEATED[0] == _REPEATED[1]:
                yield previous
                continue
            round_, place = divmod(number, users)
            user = (place * step + round_) % users
            time = start + number * _MINUTE_MS // users
            if number % _EXPIRED[0] == _EXPIRED[1]:
                time -= _EXPIRED_MS
            elif number % _DELAYED[0] == _DELAYED[1]:
                time -= _DELAY_MS
            value = self._event(number, user, round_, seconds.text(user, time))
            if number % _BROKEN[0] == _BROKEN[1]:
                value = _break(value, number // _BROKEN[0])
            previous = (f"user-{user:07d}".encode(), value.encode())
            yield previous

    def _event(self, number: int, user: int, round_: int, instant: str) -> str:
        mixed = (user * 2_654_435_761 & 0xFFFFFFFF) >> 7
        luck = mixed // 1000
        session, beat = divmod(round_ + luck % _SESSION, _SESSION)
        event_type = _TYPES.get(beat, "HEARTBEAT")
        region, is_eu = _REGIONS[user % len(_REGIONS)]
        plan, device, address, consent, more = _PLANS[luck % 8], 0, 0, "true", ""
        if mixed % 1000 < _CONSPICUOUS:
            way = _way_of(mixed % 1000, round_)
            region, is_eu = way.place or (region, is_eu)
            plan, event_type = way.plan or plan, way.event_type or event_type
            device, address, consent, more = way.device, way.address, way.consent, way.more
        if event_type == "ERROR":
            more += ',"error_code":"DRM-4032"'
        kind = _DEVICES[luck % len(_DEVICES)]
        if luck % 3:
            more += (
                f',"extra_metadata":{{"app_version":"6.{luck % 5}.1","network_type":"wifi",'
                f'"device_type":"{kind}"}}'
            )
        network = f"{81 + address}.{user >> 16 & 255}.{user >> 8 & 255}.{user & 255}"
        return (
            f'{{"event_id":"{self.tag}-{number:0{_ID_DIGITS}d}","user_id":"user-{user:07d}",'
            f'"device_id":"{kind}-{user:07d}-{device}",'
            f'"content_id":"film-{(user * 31 + session) % 5000:04d}",'
            f'"event_type":"{event_type}","timestamp":"{instant}","region":"{region}","is_eu":{is_eu},'
            f'"has_consent":{consent},"ip_address":"{network}","subscription_plan":"{plan}",'
            f'"user_age":{21 + luck % 50},"session_id":"s-{user:x}-{session:x}"{more}}}'
        )


class _Way(NamedTuple):
    """In what an event of a conspicuous user differs; None where it does not."""

    consent: str = "true"
    more: str = ""
    place: tuple[str, str] | None = None
    plan: str | None = None
    event_type: str | None = None
    device: int = 0
    address: int = 0


def _way_of(persona: int, round_: int) -> _Way:
    way = _Way()
    if persona < _NO_CONSENT:
        way = _Way(consent="false", place=("DE", "true"))
    elif persona < _OPTED_OUT:
        way = _Way(more=',"do_not_track":true')
    elif persona < _SHARES_DATA:
        way = _Way(consent="false", more=',"data_shared":"partial"')
    elif persona < _SHARES_ACCOUNT:
        way = _Way(plan="basic", event_type="HEARTBEAT", device=round_ % 3, address=round_ % 3)
    elif persona < _MANY_ADDRESSES:
        way = _Way(address=round_ % 9)
    elif persona < _LOGIN_ATTACK:
        way = _Way(event_type="LOGIN_FAILED" if round_ % 4 == 0 else None)
    elif persona < _CONSPICUOUS:
        way = _Way(place=_FAR_APART[round_ % 2], address=round_ % 2)
    return way


def number_of(event_id: str) -> int:
    """The number of the record with this event id, from 0."""
    return int(event_id[-_ID_DIGITS:])


def _break(value: str, turn: int) -> str:
    """A record that is no event: not JSON, a text where a boolean must be, or no region."""
    form = _BROKEN_FORMS[turn % len(_BROKEN_FORMS)]
    return form if form.startswith("{") else f"{value[:-1]},{form}}}"


class _Seconds:
    """Instants as text; one user in ten has a device that writes local time with its offset."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""
        self._local = ""

    def text(self, user: int, time_ms: int) -> str:
        second = time_ms // 1000
        if second != self._second:
            self._second = second
            self._text = datetime.fromtimestamp(second, UTC).isoformat()[:19]
            self._local = datetime.fromtimestamp(second + 3600, UTC).isoformat()[:19]
        if user % 10:
            return f"{self._text}.{time_ms % 1000:03d}Z"
        return f"{self._local}.{time_ms % 1000:03d}+01:00"
