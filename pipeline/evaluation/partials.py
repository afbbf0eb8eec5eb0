"""Health partials: what the risk agent tells the health agent with each commit, packed.

One *chunk* is what one partition of the risk agent counted between two commits. It goes to every partition of
`health-partials`, each with its share of the rows, in one or more parts, the last of which brings the partition times.
The identity is (unit, sequence): a chunk that comes again takes the place of the one that was there. Version 1 is the
two bytes `H`, 1, and a MessagePack array.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from pipeline.evaluation.roll_ups import Dimension, RollUp
from pipeline.evaluation.row_log import decode_rows, encode_rows
from pipeline.events.foreign import UnreadableError, packed_reader

VERSION: Final = 1
_HEAD: Final = bytes((0x48, VERSION))

MAX_BYTES: Final = 900_000
"""Of the rows in one message: it and what frames it stay below the brokers' default of 1 MiB."""
_ROWS_TOGETHER: Final = 300
"""So many rows of one id fit into a message, however long their names are."""


class PartialError(ValueError):
    """A message that is no health partial, or one of a newer version."""

    def __init__(self, value: bytes | None) -> None:
        super().__init__(
            f"a health partial begins with {(value or b'')[:2].hex() or 'nothing'}, which this version cannot read"
        )


class Rows(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The rows of some ids of a dimension, as columns.

    Attributes:
        ids: of what.
        counts: how many rows each id has.
        logs: the rows, see `pipeline.evaluation.row_log`.
        failed: places of the ids with failures among their rows.
        first: no row's minute is before it.
        last: no row's minute is after it.
    """

    ids: list[str]
    counts: list[int]
    logs: list[bytes]
    failed: list[int]
    first: int
    last: int


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
_decode: Final = packed_reader(Partial)


def decode_partial(value: bytes | None) -> Partial:
    """The part of bytes that `packed` made.

    Raises:
        PartialError: they are something else.
    """
    if value is None or not value.startswith(_HEAD):
        raise PartialError(value)
    try:
        return _decode(value[2:])
    except UnreadableError as error:
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
    rows: Mapping[Dimension, RollUp],
    places: Mapping[Dimension, Mapping[str, int]],
    partitions: int,
) -> Iterator[tuple[int, bytes]]:
    """The messages of a chunk, each with the partition that it is for; every partition gets one.

    Args:
        unit: see `Partial`.
        sequence: see `Partial`.
        final: see `Partial`.
        sources: see `Partial`.
        rows: by dimension.
        places: by dimension and id the partition of `subject_key`.
        partitions: of `health-partials`.
    """
    shares: list[list[tuple[Dimension, Rows]]] = [[] for _ in range(partitions)]
    for dimension, rolled_up in rows.items():
        place = places[dimension]
        targets: list[list[str]] = [[] for _ in range(partitions)]
        for identifier in rolled_up.logs:
            targets[place[identifier]].append(identifier)
        for share, ids in zip(shares, targets, strict=True):
            share += [(dimension, portion) for portion in _portions(rolled_up, ids)]
    for target, share in enumerate(shares):
        parts = list(_parts(share))
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            yield target, _HEAD + _encode((unit, sequence, number, final, part, sources if last else None))


def _portions(rolled_up: RollUp, ids: list[str]) -> Iterator[Rows]:
    """The rows of some ids in portions that fit into messages."""
    counts, logs = rolled_up.counts, rolled_up.logs
    if _size(ids, [logs[identifier] for identifier in ids]) <= MAX_BYTES:
        if ids:
            yield _rows(rolled_up, [(identifier, counts[identifier], logs[identifier]) for identifier in ids])
        return
    portion: list[tuple[str, int, bytes]] = []
    size = 0
    for identifier in ids:
        for count, log in _pieces(counts[identifier], logs[identifier]):
            more = _size([identifier], [log])
            if portion and size + more > MAX_BYTES:
                yield _rows(rolled_up, portion)
                portion, size = [], 0
            portion.append((identifier, count, log))
            size += more
    yield _rows(rolled_up, portion)


def _pieces(count: int, log: bytes) -> Iterator[tuple[int, bytes]]:
    """The rows of one id, cut where they are too many for a message."""
    if len(log) <= MAX_BYTES // 2:
        yield count, log
        return
    rows = decode_rows(count, log)
    for first in range(0, count, _ROWS_TOGETHER):
        some = rows[first : first + _ROWS_TOGETHER]
        yield len(some), encode_rows(some)


def _size(ids: Sequence[str], logs: Sequence[bytes]) -> int:
    """What they take at most; a letter takes four bytes at most."""
    return sum(map(len, logs)) + 4 * sum(map(len, ids)) + 16 * len(ids)


def _rows(rolled_up: RollUp, portion: list[tuple[str, int, bytes]]) -> Rows:
    ids, counts, logs = map(list, zip(*portion, strict=True))
    failed = rolled_up.failed
    places = [number for number, identifier in enumerate(ids) if identifier in failed] if failed else []
    return Rows(ids, counts, logs, places, rolled_up.first, rolled_up.last)


def _parts(share: list[tuple[Dimension, Rows]]) -> Iterator[dict[Dimension, Rows]]:
    """The portions together, as far as they fit into one message; an empty one where there are none."""
    part: dict[Dimension, Rows] = {}
    size = 0
    for dimension, rows in share:
        length = _size(rows.ids, rows.logs)
        if dimension in part or (part and size + length > MAX_BYTES):
            yield part
            part, size = {}, 0
        part[dimension] = rows
        size += length
    yield part
