"""Verdicts as bytes: what they are on, and the lines of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from pipeline.errors import MissingError
from pipeline.events.foreign import UnreadableError, json_reader
from pipeline.history.compressed import expanded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


MAX_LINE_BYTES: Final = 16 << 20
"""The longest line that is read as a verdict. Brokers accept 1 MiB."""


class _Subject(msgspec.Struct):
    type: str
    id: str


class _Source(msgspec.Struct):
    topic: str | None
    partition: int
    offset: int


class _Finding(msgspec.Struct):
    rule_id: str


class _Document(msgspec.Struct):
    """The members of a verdict that are looked at. Others are not read."""

    verdict_id: str
    subject: _Subject
    risk_level: str
    findings: list[_Finding]
    source: _Source | None
    minute_end: str | None = None


class Place(NamedTuple):
    """What a verdict is on: a source record, or a subject and the end of its minute. The others are None."""

    topic: str | None
    partition: int | None
    offset: int | None
    subject: str | None
    minute_end: str | None

    def __str__(self) -> str:
        if self.subject is not None:
            return f"{self.subject} at {self.minute_end}"
        return f"{'line' if self.topic is None else self.topic}/{self.partition} offset {self.offset}"


class Found(NamedTuple):
    """A verdict that was read."""

    place: Place
    verdict_id: str
    subject: str
    level: str
    rules: tuple[str, ...]
    value: bytes


_read: Final = json_reader(_Document)


def read_verdict(value: bytes | None) -> Found | None:
    """A verdict of its bytes; None where they are none."""
    try:
        document = _read(value)
    except UnreadableError:
        return None
    subject, source = f"{document.subject.type}:{document.subject.id}", document.source
    if source is None:
        if document.minute_end is None:
            return None
        place = Place(None, None, None, subject, document.minute_end)
    else:
        place = Place(source.topic, source.partition, source.offset, None, None)
    rules = tuple(sorted({finding.rule_id for finding in document.findings}))
    return Found(place, document.verdict_id, subject, document.risk_level, rules, value or b"")


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file, without their ends. The ending .gz or .zst says that it is compressed.

    A line that is longer than `MAX_LINE_BYTES` comes in pieces, none of which is a verdict.

    Raises:
        MissingError: the file cannot be read, or is damaged.
    """
    try:
        with expanded(path) as file:
            while line := file.readline(MAX_LINE_BYTES):
                yield line.rstrip(b"\r\n")
    except OSError as error:
        raise MissingError(f"{path} cannot be read: {error.strerror or error}") from error
