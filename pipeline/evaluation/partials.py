"""Health partials: what the risk agent tells the health agent with each commit, packed.

One *chunk* is what one partition of the risk agent counted between two commits. It goes to every partition of
`health-partials`, each with its share of the rows, in one or more parts, the last of which brings the partition times.
The identity is (unit, sequence): a chunk that comes again takes the place of the one that was there. Version 1 is the
two bytes `H`, 1, and a MessagePack array.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from pipeline.evaluation.roll_ups import Dimension, Row

VERSION: Final = 1
_HEAD: Final = bytes((0x48, VERSION))

MAX_ROWS: Final = 4_000
MAX_BYTES: Final = 900_000
"""Of one message: it and what frames it stay below the brokers' default of 1 MiB."""


class PartialError(ValueError):
    """A message that is no health partial, or one of a newer version."""

    def __init__(self, value: bytes | None) -> None:
        super().__init__(
            f"a health partial begins with {(value or b'')[:2].hex() or 'nothing'}, which this version cannot read"
        )


class Rows(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Rows as columns; see `Row`."""

    ids: list[str]
    minutes: list[int]
    regions: list[str | None]
    errors: list[str | None]
    kinds: list[int]
    extras: list[str | None]
    counts: list[int]


class SourceTime(msgspec.Struct, array_like=True, frozen=True):
    """A source partition: its name, its P (None: it never had an event), and whether records of it were handled."""

    name: str
    time: int | None
    heard: bool


class Partial(msgspec.Struct, array_like=True, frozen=True):
    """One part of a chunk.

    Attributes:
        unit: the partition of the risk agent.
        sequence: of its chunk.
        part: from 0.
        final: whether the chunk never comes again with other rows (the broker has transactions).
        rows: by dimension.
        sources: the source partitions of the unit; None where more parts follow.
    """

    unit: int
    sequence: int
    part: int
    final: bool
    rows: dict[Dimension, Rows]
    sources: list[SourceTime] | None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Partial).decode


def decode_partial(value: bytes | None) -> Partial:
    """The part of bytes that `packed` made.

    Raises:
        PartialError: they are something else.
    """
    if value is None or not value.startswith(_HEAD):
        raise PartialError(value)
    try:
        return _decode(value[2:])
    except msgspec.DecodeError as error:
        raise PartialError(value) from error


def subject_key(dimension: str, identifier: str) -> bytes:
    """The key of a dimension's figures, whose murmur2 says where they are kept."""
    return f"{dimension}:{identifier}".encode()


def source_name(topic: str, partition: int) -> str:
    """How partials and verdicts name a source partition; `topic` is the full name."""
    return f"{topic}/{partition}"


def packed(
    unit: int,
    sequence: int,
    final: bool,
    sources: list[SourceTime],
    rows: Mapping[Dimension, Mapping[Row, int]],
    places: Mapping[Dimension, Mapping[str, int]],
    partitions: int,
) -> Iterator[tuple[int, bytes]]:
    """The messages of a chunk, each with the partition that it is for; every partition gets one.

    Args:
        unit: see `Partial`.
        sequence: see `Partial`.
        final: see `Partial`.
        sources: see `Partial`.
        rows: with their counts.
        places: by dimension and id the partition of `subject_key`.
        partitions: of `health-partials`.
    """
    shares: list[list[tuple[Dimension, list[tuple[Row, int]]]]] = [[] for _ in range(partitions)]
    for dimension, counts in rows.items():
        place = places[dimension]
        by_target: list[list[tuple[Row, int]]] = [[] for _ in range(partitions)]
        for item in counts.items():
            by_target[place[item[0][0]]].append(item)
        for share, items in zip(shares, by_target, strict=True):
            for first in range(0, len(items), MAX_ROWS):
                share.append((dimension, items[first : first + MAX_ROWS]))
    for target, share in enumerate(shares):
        parts = list(_parts(share))
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            yield target, _HEAD + _encode((unit, sequence, number, final, part, sources if last else None))


def _parts(share: list[tuple[Dimension, list[tuple[Row, int]]]]) -> Iterator[dict[Dimension, msgspec.Raw]]:
    """Encoded rows in portions that fit into messages; one that is empty where there are none."""
    part: dict[Dimension, msgspec.Raw] = {}
    size = 0
    pending = share[::-1]
    while pending:
        dimension, items = pending.pop()
        columns = msgspec.Raw(_encode([*zip(*[row for row, _ in items], strict=True), [n for _, n in items]]))
        length = len(memoryview(columns))
        if length > MAX_BYTES and len(items) > 1:
            half = len(items) // 2
            pending += [(dimension, items[half:]), (dimension, items[:half])]
            continue
        if dimension in part or (part and size + length > MAX_BYTES):
            yield part
            part, size = {}, 0
        part[dimension] = columns
        size += length
    yield part
