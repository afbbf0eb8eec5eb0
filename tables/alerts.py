"""The table of the alert agent: one record per alert, and when to look at which again.

Its name and the form of its keys are persisted identity. A key is `a` and the alert's key; or `b`, a minute and a
number, for a list of alerts that may have been quiet long enough then; or `c` alone for the stream time.
"""

from collections.abc import Iterator
from struct import pack
from typing import Final

import msgspec

from pipeline.alerting.alerts import QUIET_MS, Alert
from pipeline.delivery.state.unit import State
from tables.forms import Form, Forms, Kind

TABLE_NAME: Final = "alerts-v1"
CLOCK_KEY: Final = b"c"
_MINUTE_MS: Final = 60_000
_ROLL_KEYS: Final = 100
"""So many alerts stand in one list, so that a list that changes costs little to write."""


class Clock(msgspec.Struct, array_like=True):
    """What is kept of a partition.

    Attributes:
        time: stream time: the newest event time of its verdicts, in milliseconds since 1970.
        minutes: how many alerts are to be looked at in which minute.
        refused: records of the topic that are no verdicts.
    """

    time: int = 0
    minutes: dict[int, int] = msgspec.field(default_factory=dict)
    refused: int = 0


class Roll(msgspec.Struct, array_like=True):
    """Alerts to look at, by key."""

    keys: list[bytes]


AlertValue = Alert | Clock | Roll

_FORMS: Final = Forms(
    "alert",
    Form(Kind.ALERT, 2, Alert, "alert"),
    Form(Kind.ALERTS_TO_LOOK_AT, 1, Roll, "alert"),
    Form(Kind.ALERTS_CLOCK, 1, Clock, "alert"),
)


class AlertCodec:
    """The forms of the table's values."""

    def encode(self, value: AlertValue) -> bytes:
        """The bytes of a value; the same for the same state."""
        return _FORMS.encode(value)

    def decode(self, value: bytes) -> AlertValue:
        """The value of bytes.

        Raises:
            WireError: they are not of a form that this program reads.
        """
        found: AlertValue = _FORMS.decode(value)
        return found


class UnitAlerts:
    """The alerts of one partition while one batch is processed."""

    def __init__(self, unit: State[AlertValue]) -> None:
        self._unit = unit
        clock = unit.get(CLOCK_KEY)
        self.clock = clock if isinstance(clock, Clock) else Clock()
        self._next = min(self.clock.minutes, default=None)

    def get(self, key: bytes) -> Alert | None:
        """The alert of a key of `risk-alerts`."""
        value = self._unit.get(b"a" + key)
        return value if isinstance(value, Alert) else None

    def put(self, key: bytes, alert: Alert) -> None:
        """Keep an alert that changed."""
        self._unit[b"a" + key] = alert

    def forget(self, key: bytes) -> None:
        """Keep it no longer."""
        self._unit.discard(b"a" + key)

    def keep_clock(self) -> None:
        """The clock went on."""
        self._unit[CLOCK_KEY] = self.clock

    def schedule(self, key: bytes, alert: Alert) -> None:
        """Look at an alert again when it may have been quiet for a whole window."""
        minute = (alert.seen + QUIET_MS) // _MINUTE_MS + 1
        minutes = self.clock.minutes
        count = minutes.get(minute, 0)
        roll_key = _roll_key(minute, count // _ROLL_KEYS)
        roll = self._unit.get(roll_key) if count % _ROLL_KEYS else None
        if not isinstance(roll, Roll):
            roll = Roll([])
        roll.keys.append(key)
        self._unit[roll_key] = roll
        minutes[minute] = count + 1
        alert.scheduled = True
        if self._next is None or minute < self._next:
            self._next = minute

    def due(self) -> Iterator[tuple[bytes, Alert]]:
        """Alerts to look at now, each with its key, some two hundred at most; none of them is scheduled any more."""
        looked_at = 0
        while (
            looked_at < _ROLL_KEYS and self._next is not None and self._next * _MINUTE_MS <= self.clock.time
        ):
            for key in self._take_roll(self._next):
                looked_at += 1
                alert = self.get(key)
                if alert is not None:
                    alert.scheduled = False
                    yield key, alert

    def _take_roll(self, minute: int) -> list[bytes]:
        """The last list of a minute, which is gone then."""
        minutes = self.clock.minutes
        full = (minutes[minute] - 1) // _ROLL_KEYS
        roll_key = _roll_key(minute, full)
        roll = self._unit.get(roll_key)
        self._unit.discard(roll_key)
        if full:
            minutes[minute] = full * _ROLL_KEYS
        else:
            del minutes[minute]
            self._next = min(minutes, default=None)
        return roll.keys if isinstance(roll, Roll) else []


def _roll_key(minute: int, number: int) -> bytes:
    return b"b" + pack(">qI", minute, number)
