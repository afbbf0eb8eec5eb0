"""What the health agent keeps of a device: lifetime sums, and its playback events of the last hour.

There are about as many devices as users, and an event changes one: its rows are kept as they are encoded, one behind
the other, and are read only for the few devices that fail.
"""

from typing import Final

import msgspec

from pipeline.evaluation.minutes import WINDOW_MINUTES
from pipeline.rules.finding import Severity

USERS: Final = 32
"""So many users are kept of a device, the newest."""
_ROWS: Final = 96
"""From so many rows on they are summed, and those that nobody asks for are dropped."""

DeviceRow = tuple[int, str, str | None, int]
"""Minute, region, error code (None: not failed), count."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[DeviceRow]).decode
_ARRAY_32: Final = b"\xdd"  # MessagePack: an array whose length follows in four bytes


class DeviceHealth(msgspec.Struct, array_like=True, gc=False):
    """The figures of one device. They are changed in place.

    Attributes:
        level: of the subject rule, at the last judged minute.
        newest: the newest minute with an event.
        hour: the newest hour with an event (see `pipeline.evaluation.forgetting`).
        events: all that were counted.
        playback: those of playback.
        failed: those of them that failed.
        users: the newest minute of each.
        packed: `DeviceRow`s in MessagePack, without the head of an array.
        count: of them.
        room: of so many are they summed.
    """

    level: Severity | None = None
    newest: int = 0
    hour: int = 0
    events: int = 0
    playback: int = 0
    failed: int = 0
    users: dict[str, int] = {}
    packed: bytes = b""
    count: int = 0
    room: int = _ROWS

    def add(
        self, minute: int, region: str, error: str | None, number: int, judged_through: int | None
    ) -> None:
        """Add playback events; take them away where `number` is negative."""
        self.playback += number
        if error is not None:
            self.failed += number
        self.packed += _encode((minute, region, error, number))
        self.count += 1
        if self.count >= self.room:
            self._sum(0 if judged_through is None else judged_through - WINDOW_MINUTES + 1)

    def seen_with(self, user: str, minute: int) -> None:
        """A user used it in this minute."""
        users = self.users
        if users.get(user, -1) < minute:
            users[user] = minute
            if len(users) > USERS:
                del users[min(users, key=lambda name: (users[name], name))]

    def rows(self) -> list[DeviceRow]:
        """The rows that are kept; those of the same minute, region and error code may be several."""
        return _decode(_ARRAY_32 + self.count.to_bytes(4, "big") + self.packed)

    def minutes(self) -> set[int]:
        """The minutes with playback events that are still known."""
        return {minute for minute, _, _, _ in self.rows()}

    def sums(self, first: int, last: int) -> tuple[int, int]:
        """Failed and all playback events of the minutes from first to last."""
        failed = total = 0
        for minute, _, error, number in self.rows():
            if first <= minute <= last:
                total += number
                if error is not None:
                    failed += number
        return failed, total

    def failed_since(self, first: int) -> int:
        """Failed playback events of a minute and all later ones."""
        return sum(
            [number for minute, _, error, number in self.rows() if error is not None and minute >= first]
        )

    def _sum(self, first: int) -> None:
        sums: dict[tuple[int, str, str | None], int] = {}
        for minute, region, error, number in self.rows():
            if minute >= first:
                row = (minute, region, error)
                sums[row] = sums.get(row, 0) + number
        kept = [(*row, number) for row, number in sums.items() if number]
        self.packed = b"".join(map(_encode, kept))
        self.count = len(kept)
        self.room = max(_ROWS, 2 * len(kept))
