"""Health partials: what the risk agent tells the health agent with each commit, packed.

One *chunk* is what one partition of the risk agent counted between two commits. It goes to every partition of
`health-partials`, each with its share of the rows, in one or more parts, the last of which brings the partition times. The
identity is (unit, sequence): a chunk that comes again takes the place of the one that was there. Version 1 is the two bytes
`H`, 1, and a MessagePack array.
"""

from collections.abc import Callable, Iterator, Mapping
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

    ids: tuple[str, ...]
    minutes: tuple[int, ...]
    regions: tuple[str | None, ...]
    errors: tuple[str | None, ...]
    kinds: tuple[int, ...]
    extras: tuple[str | None, ...]
    counts: tuple[int, ...]


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
    rows: dict[str, Rows]
    sources: tuple[SourceTime, ...] | None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Partial).decode


def encode_partial(partial: Partial) -> bytes:
    """The bytes of a part."""
    return _HEAD + _encode(partial)


def decode_partial(value: bytes | None) -> Partial:
    """The part of bytes that `encode_partial` made.

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


def packed(
    unit: int,
    sequence: int,
    final: bool,
    sources: tuple[SourceTime, ...],
    rows: Mapping[str, Mapping[Row, int]],
    partition_of: Callable[[bytes], int],
    partitions: int,
) -> Iterator[tuple[int, bytes]]:
    """The messages of a chunk, each with the partition that it is for; every partition gets one."""
    shares: list[list[tuple[str, Row, int]]] = [[] for _ in range(partitions)]
    for dimension, counts in rows.items():
        prefix = f"{dimension}:"
        for row, count in counts.items():
            shares[partition_of((prefix + row[0]).encode())].append((dimension, row, count))
    for target, share in enumerate(shares):
        parts = list(_parts(share))
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            yield (
                target,
                encode_partial(Partial(unit, sequence, number, final, part, sources if last else None)),
            )


def _parts(share: list[tuple[str, Row, int]]) -> Iterator[dict[str, Rows]]:
    """The rows in portions that fit into messages; one that is empty where there are none."""
    pending = [share[first : first + MAX_ROWS] for first in range(0, len(share), MAX_ROWS)] or [[]]
    while pending:
        portion = pending.pop(0)
        rows = _columns(portion)
        if len(portion) > 1 and len(_encode(rows)) > MAX_BYTES:
            half = len(portion) // 2
            pending[:0] = [portion[:half], portion[half:]]
        else:
            yield rows


def _columns(portion: list[tuple[str, Row, int]]) -> dict[str, Rows]:
    by_dimension: dict[str, tuple[list[Row], list[int]]] = {}
    for dimension, row, count in portion:
        rows, counts = by_dimension.setdefault(dimension, ([], []))
        rows.append(row)
        counts.append(count)
    return {
        dimension: Rows(*zip(*rows, strict=True), tuple(counts))
        for dimension, (rows, counts) in by_dimension.items()
    }
