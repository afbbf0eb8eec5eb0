"""What the health agent keeps of a partition of `health-partials`: its records, and their keys."""

from typing import Final, Protocol

import msgspec

from pipeline.evaluation.device_health import DeviceHealth
from pipeline.evaluation.partials import subject_key
from pipeline.evaluation.rule_book import InForce
from pipeline.evaluation.subject_health import SubjectHealth, TitleMinute

PARTITION_KEY: Final = b"p"
RULES_KEY: Final = b"r"


class Seen(msgspec.Struct, array_like=True, frozen=True):
    """Subjects that had their first event of an hour, by name (dimension, colon, id)."""

    subjects: list[str]


class Part(msgspec.Struct, array_like=True, frozen=True):
    """One part of a unit's last chunk, as it came."""

    value: bytes


class Segment(msgspec.Struct, array_like=True, frozen=True):
    """Rows of a title or a device that are in its sums, see `pipeline.evaluation.segments`."""

    count: int
    rows: bytes


class Source(msgspec.Struct, array_like=True):
    """A source partition: its P, and when it was last heard, by the flow clock."""

    time: int | None
    heard: int


class Unit(msgspec.Struct, array_like=True):
    """A partition of the risk agent: the number of its last chunk, and how many parts of it there are."""

    sequence: int
    parts: int


class HealthPartition(msgspec.Struct, array_like=True):
    """What is kept of a partition beside its subjects.

    Attributes:
        sources: by name.
        units: by number.
        flow: the flow clock, milliseconds (see `pipeline.evaluation.health`).
        newest: the newest timestamp of a record; negative before the first.
        watermark: W.
        judged_through: the last minute that was judged.
        candidates: names of subjects that may have a level, or get one.
        seen: by hour how many records of `Seen` there are.
        counts: `too_late` events, `verdicts`, `left_out` verdicts, `unreadable` messages.
    """

    sources: dict[str, Source] = {}
    units: dict[int, Unit] = {}
    flow: int = 0
    newest: int = -1
    watermark: int | None = None
    judged_through: int | None = None
    candidates: dict[str, None] = {}
    seen: dict[int, int] = {}
    counts: dict[str, int] = {}

    def count(self, name: str, number: int) -> None:
        """Add to a count."""
        self.counts[name] = self.counts.get(name, 0) + number


HealthValue = SubjectHealth | DeviceHealth | TitleMinute | Segment | HealthPartition | Seen | Part | InForce


class Records(Protocol):
    """The table's partition, as this package reads and writes it (see `pipeline.delivery.unit.State`)."""

    cache: dict[bytes, HealthValue]
    dirty: set[bytes]

    def load(self, key: bytes, /) -> HealthValue | None:
        """The value of a key that is not in the cache."""
        ...

    def get(self, key: bytes, /) -> HealthValue | None:
        """The value of a key."""
        ...

    def __setitem__(self, key: bytes, value: HealthValue, /) -> None:
        """Write a key."""
        ...

    def discard(self, key: bytes, /) -> None:
        """Delete a key."""
        ...


def record_key(dimension: str, identifier: str) -> bytes:
    """The table key of a subject's figures."""
    return b"s" + subject_key(dimension, identifier)


def title_minute_key(name: str, minute: int) -> bytes:
    """The table key of one minute of a title, which is named by its dimension, a colon and its id."""
    return b"m%d." % minute + name.encode()


def segment_key(name: str, number: int) -> bytes:
    """The table key of a segment of a title or a device, named by its dimension, a colon and its id."""
    return b"l%d." % number + name.encode()


def part_key(unit: int, part: int) -> bytes:
    """The table key of a part of a unit's last chunk."""
    return b"c%d.%d" % (unit, part)


def seen_key(hour: int, number: int) -> bytes:
    """The table key of a record of `Seen`."""
    return b"x%d.%d" % (hour, number)
