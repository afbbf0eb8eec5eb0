"""The table of the alert agent: one record per alert, and lists of the alerts that may be quiet soon.

The table's name and the form of its keys are persisted identity. A key is

* `a` and the alert's key on `risk-alerts`: an `Alert`;
* `b`, a minute and a number: a `DueAlerts`, the alerts to look at in that minute;
* `c` alone: the `AlertsPartition`.
"""

from collections.abc import Iterator
from struct import pack
from typing import Final

import msgspec

from pipeline.alerting.alerts import QUIET_MS, Alert
from pipeline.delivery.state.unit import State
from tables.forms import Form, Forms, Kind

TABLE_NAME: Final = "alerts-v1"
PARTITION_KEY: Final = b"c"
_MINUTE_MS: Final = 60_000
_LIST_KEYS: Final = 100
"""The most alerts in one list. A list is written again whenever it grows, so it has to stay small."""


class AlertsPartition(msgspec.Struct, array_like=True):
    """The state of a partition beside its alerts. It is changed in place.

    Attributes:
        time: stream time: the newest event time of its verdicts, in milliseconds since 1970.
        minutes: how many alerts are to be looked at in which minute.
        refused: records of the topic that are no verdicts, or that the agent failed on.
    """

    time: int = 0
    minutes: dict[int, int] = msgspec.field(default_factory=dict)
    refused: int = 0


class DueAlerts(msgspec.Struct, array_like=True):
    """Alerts to look at in one minute, by key."""

    keys: list[bytes]


AlertValue = Alert | AlertsPartition | DueAlerts

_FORMS: Final = Forms(
    "alert",
    Form(Kind.ALERT, 2, Alert, "alert"),
    Form(Kind.DUE_ALERTS, 1, DueAlerts, "alert"),
    Form(Kind.ALERTS_PARTITION, 1, AlertsPartition, "alert"),
)


class AlertCodec:
    """The forms of the table's values."""

    def encode(self, value: AlertValue) -> bytes:
        """The bytes of a value; the same for the same state."""
        return _FORMS.encode(value)

    def decode(self, value: bytes) -> AlertValue:
        """The value of bytes.

        Raises:
            WireError: this version of the program does not read their form.
        """
        found: AlertValue = _FORMS.decode(value)
        return found


class UnitAlerts:
    """The alerts of one partition while the agent processes one batch.

    The agent changes `partition` in place and calls `write_partition` at the end.
    """

    def __init__(self, unit: State[AlertValue]) -> None:
        self._unit = unit
        partition = unit.get(PARTITION_KEY)
        self.partition = partition if isinstance(partition, AlertsPartition) else AlertsPartition()
        self._next_minute = min(self.partition.minutes, default=None)

    def get(self, key: bytes) -> Alert | None:
        """The alert with a key of `risk-alerts`."""
        value = self._unit.get(b"a" + key)
        return value if isinstance(value, Alert) else None

    def put(self, key: bytes, alert: Alert) -> None:
        """Write an alert that changed."""
        self._unit[b"a" + key] = alert

    def delete(self, key: bytes) -> None:
        """Delete an alert."""
        self._unit.discard(b"a" + key)

    def write_partition(self) -> None:
        """Write `partition`, which changed."""
        self._unit[PARTITION_KEY] = self.partition

    def schedule(self, key: bytes, alert: Alert) -> None:
        """Put an alert on the list of the first minute in which it may have been quiet for a whole window."""
        minute = (alert.seen + QUIET_MS) // _MINUTE_MS + 1
        minutes = self.partition.minutes
        count = minutes.get(minute, 0)
        list_key = _list_key(minute, count // _LIST_KEYS)
        due = self._unit.get(list_key) if count % _LIST_KEYS else None
        if not isinstance(due, DueAlerts):
            due = DueAlerts([])
        due.keys.append(key)
        self._unit[list_key] = due
        minutes[minute] = count + 1
        alert.scheduled = True
        if self._next_minute is None or minute < self._next_minute:
            self._next_minute = minute

    def due(self) -> Iterator[tuple[bytes, Alert]]:
        """The alerts to look at now, each with its key. They are taken off their lists.

        One call gives about two hundred at most: when hours pass at once, the rest waits for the next verdicts.
        """
        taken = 0
        while (
            taken < _LIST_KEYS
            and self._next_minute is not None
            and self._next_minute * _MINUTE_MS <= self.partition.time
        ):
            for key in self._take_list(self._next_minute):
                taken += 1
                alert = self.get(key)
                if alert is not None:
                    alert.scheduled = False
                    yield key, alert

    def _take_list(self, minute: int) -> list[bytes]:
        """Delete the last list of a minute and return its keys."""
        minutes = self.partition.minutes
        number = (minutes[minute] - 1) // _LIST_KEYS
        list_key = _list_key(minute, number)
        due = self._unit.get(list_key)
        self._unit.discard(list_key)
        if number:
            minutes[minute] = number * _LIST_KEYS
        else:
            del minutes[minute]
            self._next_minute = min(minutes, default=None)
        return due.keys if isinstance(due, DueAlerts) else []


def _list_key(minute: int, number: int) -> bytes:
    return b"b" + pack(">qI", minute, number)
