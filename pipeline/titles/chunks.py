"""A chunk: what one partition of the risk agent tells the title agent with one commit, as messages.

Every partition of `health-partials` gets its share of the rows, in one or more messages, the last of which brings the
partition times. A chunk is published in the commit's transaction, so it is seen once or never; its number tells one
that comes again all the same. Version 2 is the two bytes `H`, 2, and a MessagePack array.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from pipeline.events.foreign import UnreadableError, packed_reader
from pipeline.titles.notes import SubjectRows
from pipeline.titles.rows import ROW_BYTES

VERSION: Final = 2
_HEAD: Final = bytes((0x48, VERSION))

MAX_BYTES: Final = 900_000
"""Of the subjects in one message: they and what frames them stay below the brokers' default of 1 MiB."""
_ROWS_TOGETHER: Final = 10_000
_NAMES_TOGETHER: Final = 300
"""So many rows, failures and names of one subject fit into a message, however long the names are."""


class ChunkError(ValueError):
    """A message that is no chunk, or one of another version."""

    def __init__(self, value: bytes | None) -> None:
        super().__init__(
            f"a chunk begins with {(value or b'')[:2].hex() or 'nothing'}, which this version cannot read, or it is "
            "cut off in the middle"
        )


class SourceTime(msgspec.Struct, array_like=True, frozen=True):
    """A source partition: its name, its P (None: it never had an event), and whether records of it were handled."""

    name: str
    time: int | None
    heard: bool


class Chunk(msgspec.Struct, array_like=True, frozen=True):
    """One message of a chunk.

    Attributes:
        unit: the partition of the risk agent.
        sequence: the number of the chunk.
        part: the number of the message, from 0.
        first: no row's minute is before it.
        last: no row's minute is after it.
        subjects: this message's share.
        sources: the source partitions of the unit; None where more messages of the chunk follow.
    """

    unit: int
    sequence: int
    part: int
    first: int
    last: int
    subjects: list[SubjectRows]
    sources: list[SourceTime] | None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = packed_reader(Chunk)


def decode_chunk(value: bytes | None) -> Chunk:
    """The message of bytes that `chunk_messages` made.

    Raises:
        ChunkError: they are something else.
    """
    if value is None or not value.startswith(_HEAD):
        raise ChunkError(value)
    try:
        chunk = _decode(value[2:])
    except UnreadableError as error:
        raise ChunkError(value) from error
    if any(len(one.rows) % ROW_BYTES for one in chunk.subjects):
        raise ChunkError(value)
    return chunk


def source_name(topic: str, partition: int) -> str:
    """How chunks and verdicts name a source partition; `topic` is the full name."""
    return f"{topic}/{partition}"


def chunk_messages(chunk: Chunk, targets: Iterable[int], partitions: int) -> Iterator[tuple[int, bytes]]:
    """The messages of a whole chunk, each with the partition that it is for; every partition gets one.

    Args:
        chunk: all of it, as one.
        targets: for each subject the partition that its name belongs to.
        partitions: of `health-partials`.
    """
    shares: list[list[SubjectRows]] = [[] for _ in range(partitions)]
    for subject, target in zip(chunk.subjects, targets, strict=True):
        shares[target].append(subject)
    for target, share in enumerate(shares):
        portions = list(_portions(share))
        for part, subjects in enumerate(portions):
            sources = chunk.sources if part == len(portions) - 1 else None
            message = Chunk(chunk.unit, chunk.sequence, part, chunk.first, chunk.last, subjects, sources)
            yield target, _HEAD + _encode(message)


def _portions(share: Iterable[SubjectRows]) -> Iterator[list[SubjectRows]]:
    """As many subjects together as fit into a message; an empty portion where there are none."""
    portion: list[SubjectRows] = []
    size = 0
    for subject in share:
        for piece in _pieces(subject):
            length = _size(piece)
            if portion and size + length > MAX_BYTES:
                yield portion
                portion, size = [], 0
            portion.append(piece)
            size += length
    yield portion


def _pieces(subject: SubjectRows) -> Iterator[SubjectRows]:
    """A subject in pieces that fit into a message each; nearly always that is one."""
    rows, failures, names = subject.rows, subject.failures, subject.names
    step = _ROWS_TOGETHER * ROW_BYTES
    if len(rows) <= step and len(failures) <= _NAMES_TOGETHER and len(names) <= _NAMES_TOGETHER:
        yield subject
        return
    for begin in range(0, len(rows), step):
        yield SubjectRows(subject.subject, rows[begin : begin + step])
    for begin in range(0, max(len(failures), len(names)), _NAMES_TOGETHER):
        end = begin + _NAMES_TOGETHER
        yield SubjectRows(subject.subject, b"", failures[begin:end], names[begin:end])


def _size(subject: SubjectRows) -> int:
    """How many bytes it takes at most; a letter takes four at most."""
    texts = len(subject.subject)
    for _, code, region, _ in subject.failures:
        texts += len(code) + len(region) + 8
    for _, name, _ in subject.names:
        texts += len(name) + 10
    return len(subject.rows) + 4 * texts + 32
