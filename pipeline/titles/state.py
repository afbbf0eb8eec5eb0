"""What is kept of one partition of the titles table: keys, what stands beside the figures, and readers."""

from typing import Final, Protocol

import msgspec

from pipeline.evaluation.rule_book import InForce
from pipeline.titles.figures import Figures

PARTITION_KEY: Final = b"p"
RULES_KEY: Final = b"r"


class SeenSubjects(msgspec.Struct, array_like=True, frozen=True):
    """Subjects that had their first event of an hour, by name (dimension, colon, id)."""

    subjects: list[str]


class Source(msgspec.Struct, array_like=True):
    """A source partition: its P, and when it was last heard, by the flow clock."""

    time: int | None
    heard: int


class TitlesPartition(msgspec.Struct, array_like=True):
    """What is kept of a partition beside its subjects.

    Attributes:
        judged_through: the last minute that was judged.
        candidates: names of subjects that may have a level, or get one.
        seen: by hour how many records of `SeenSubjects` there are.
        counts: `too_late` events, `verdicts`, `left_out` verdicts, `unreadable` messages.
        sources: by name; live only, as all that follows.
        taken: by unit the number of the last chunk that was taken, and of its last message.
        flow: the flow clock, milliseconds (see `pipeline.titles.live`).
        newest: the newest timestamp of a record; negative before the first.
        watermark: W.
    """

    judged_through: int | None = None
    candidates: dict[str, None] = {}
    seen: dict[int, int] = {}
    counts: dict[str, int] = {}
    sources: dict[str, Source] = {}
    taken: dict[int, tuple[int, int]] = {}
    flow: int = 0
    newest: int = -1
    watermark: int | None = None

    def count(self, name: str, number: int) -> None:
        """Add to a count."""
        self.counts[name] = self.counts.get(name, 0) + number


TitlesValue = Figures | TitlesPartition | SeenSubjects | InForce


class Records(Protocol):
    """The table's partition, as this package reads and writes it (see `pipeline.delivery.state.unit.State`)."""

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
    """The name of a subject; the murmur2 of its bytes says in which partition its figures are kept."""
    return f"{dimension}:{identifier}"


def figures_key(subject: str) -> bytes:
    """The table key of the figures of a subject (dimension, colon, id)."""
    return b"s" + subject.encode()


def seen_key(hour: int, number: int) -> bytes:
    """The table key of a record of `SeenSubjects`."""
    return b"x%d.%d" % (hour, number)


def partition_of(records: Records) -> TitlesPartition:
    """What is kept beside the subjects; it is changed in place, and has to be written again."""
    value = records.get(PARTITION_KEY)
    return value if isinstance(value, TitlesPartition) else TitlesPartition()


def figures_of(records: Records, subject: str) -> Figures | None:
    """The figures of a subject."""
    value = records.get(figures_key(subject))
    return value if isinstance(value, Figures) else None
