"""Chunks: the rows of one partition of the risk agent between two commits, as messages for the title agent.

Every partition of `health-partials` gets its share of the rows, in one or more messages. The last of these has the
partition times. A chunk is published in the commit's transaction, so readers see it once or never; a number makes sure
that one that is read again changes nothing. Version 2 is the two bytes `H`, 2, and the MessagePack array `Chunk`.
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
"""The most bytes of subjects in one message. It leaves room for the rest below 1 MiB, the brokers' default limit."""
_ROWS_TOGETHER: Final = 10_000
_NAMES_TOGETHER: Final = 300
"""This many rows, failures and names of one subject fit into a message, however long the names are."""


class ChunkError(ValueError):
    """A message that is no chunk, or one of another version."""

    def __init__(self, value: bytes | None) -> None:
        super().__init__(
            f"a chunk begins with {(value or b'')[:2].hex() or 'nothing'}, which this version cannot read, or its end "
            "is missing"
        )


class SourceTime(msgspec.Struct, array_like=True, frozen=True):
    """A source partition in a chunk.

    Attributes:
        name: see `source_name`.
        time: its partition time P; None where it never had an event.
        heard: whether the commit has records of it.
    """

    name: str
    time: int | None
    heard: bool


class Chunk(msgspec.Struct, array_like=True, frozen=True):
    """One message of a chunk.

    Attributes:
        unit: the partition of the risk agent.
        sequence: the number of the chunk.
        part: the number of the message, from 0.
        first: no row is of an earlier minute.
        last: no row is of a later minute.
        subjects: the rows in this message.
        sources: the source partitions of the unit, in the last message only; None in the others.
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
        ChunkError: the bytes are no message of a chunk, or one of another version.
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
    """The name of a source partition in chunks and verdicts. `topic` is the full name."""
    return f"{topic}/{partition}"


def chunk_messages(chunk: Chunk, targets: Iterable[int], partitions: int) -> Iterator[tuple[int, bytes]]:
    """The messages of a chunk, each with the partition that it goes to. Every partition gets at least one.

    Args:
        chunk: the whole chunk, as if it were one message.
        targets: for each subject the partition that its name belongs to.
        partitions: the number of partitions of `health-partials`.
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
    """The subjects, divided so that each portion fits into a message. Without subjects there is one empty portion."""
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
    """The rows of a subject, divided so that each piece fits into a message. Nearly always it is one piece."""
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
    """An upper bound of the bytes that it takes in a message. A character takes four at most."""
    texts = len(subject.subject)
    for _, code, region, _ in subject.failures:
        texts += len(code) + len(region) + 8
    for _, name, _ in subject.names:
        texts += len(name) + 10
    return len(subject.rows) + 4 * texts + 32
