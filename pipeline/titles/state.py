"""The records of one partition of the titles table: keys, the partition's state, and functions that read them."""

from typing import Final, Protocol

import msgspec

from pipeline.evaluation.rule_book import InForce
from pipeline.titles.figures import Figures

PARTITION_KEY: Final = b"p"
RULES_KEY: Final = b"r"


class SeenSubjects(msgspec.Struct, array_like=True, frozen=True):
    """Names (dimension, colon, id) of subjects that had their first event of an hour."""

    subjects: list[str]


class SourcePartition(msgspec.Struct, array_like=True):
    """A source partition: its partition time P, and the flow time at which it last had records."""

    time: int | None
    heard: int


class TitlesPartition(msgspec.Struct, array_like=True):
    """The state of a partition beside its subjects. It is changed in place.

    Attributes:
        judged_through: the last minute that was judged.
        candidates: names of subjects that have a level or may get one. A dictionary, to keep an order.
        seen: by hour the number of `SeenSubjects` records.
        counts: `too_late` events, `verdicts`, `left_out` verdicts, `unreadable` messages.
        sources: source partitions by name. Only the live engine uses this and the fields below.
        taken: by unit the number of the last chunk that was folded, and of its last message.
        flow: the flow clock, in milliseconds (see `pipeline.titles.live`).
        newest: the newest timestamp of a chunk's record; negative before the first.
        watermark: the watermark, in milliseconds since 1970.
    """

    judged_through: int | None = None
    candidates: dict[str, None] = {}
    seen: dict[int, int] = {}
    counts: dict[str, int] = {}
    sources: dict[str, SourcePartition] = {}
    taken: dict[int, tuple[int, int]] = {}
    flow: int = 0
    newest: int = -1
    watermark: int | None = None

    def count(self, name: str, number: int) -> None:
        """Add to a count."""
        self.counts[name] = self.counts.get(name, 0) + number


TitlesValue = Figures | TitlesPartition | SeenSubjects | InForce


class Records(Protocol):
    """The records of a partition, as this package reads and writes them.

    Live it is `pipeline.delivery.state.unit.State`; in a file it is a dictionary. `cache` and `dirty` are open because
    a chunk touches thousands of records.
    """

    cache: dict[bytes, TitlesValue]
    dirty: set[bytes]

    def load(self, key: bytes, /) -> TitlesValue | None:
        """The value of a key that is not in the cache."""
        ...

    def get(self, key: bytes, /) -> TitlesValue | None:
        """The value of a key."""
        ...

    def __setitem__(self, key: bytes, value: TitlesValue, /) -> None:
        """Write a key."""
        ...

    def discard(self, key: bytes, /) -> None:
        """Delete a key."""
        ...


def subject_name(dimension: str, identifier: str) -> str:
    """The name of a subject. The murmur2 hash of its bytes gives the partition of its figures."""
    return f"{dimension}:{identifier}"


def figures_key(subject: str) -> bytes:
    """The table key of the figures of a subject (dimension, colon, id)."""
    return b"s" + subject.encode()


def seen_key(hour: int, number: int) -> bytes:
    """The table key of a `SeenSubjects` record."""
    return b"x%d.%d" % (hour, number)


def partition_of(records: Records) -> TitlesPartition:
    """The partition's state; a new one where there is none yet. The caller changes it in place and writes it."""
    value = records.get(PARTITION_KEY)
    return value if isinstance(value, TitlesPartition) else TitlesPartition()


def figures_of(records: Records, subject: str) -> Figures | None:
    """The figures of a subject; None where there are none."""
    value = records.get(figures_key(subject))
    return value if isinstance(value, Figures) else None
