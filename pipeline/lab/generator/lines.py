"""Records as lines of a file: raw values, or envelopes that keep topic, partition, timestamp and key."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Protocol

import msgspec

from pipeline.kafka.topics import PRIVACY_REQUESTS, RAW_EVENTS
from pipeline.lab.generator.labels import Position
from pipeline.lab.generator.placement import place

if TYPE_CHECKING:
    from pipeline.lab.generator.ledger import Ledger
    from pipeline.lab.generator.stream import Record
    from pipeline.writing import Output

_quote = msgspec.json.Encoder().encode


class LineForm(Protocol):
    """The form of a line."""

    def line(self, record: Record) -> tuple[bytes, Position]:
        """The line with its line feed, and the position of the record in the file."""


@dataclass(slots=True)
class RawLines:
    """A line is the value of a record: for people, for `ott judge`, and for other tools."""

    _count: int = 0

    def line(self, record: Record) -> tuple[bytes, Position]:
        """The value. A null value is an empty line."""
        position = Position(None, 0, self._count)
        self._count += 1
        return (record.value or b"") + b"\n", position


@dataclass(slots=True)
class EnvelopeLines:
    """A line is an envelope with the record's topic, partition, offset, timestamp and key.

    Attributes:
        events: name of the topic of events.
        requests: name of the topic of privacy requests.
        partitions: of each of them.
    """

    events: str
    requests: str
    partitions: int
    _offsets: dict[tuple[str, int], int] = field(default_factory=dict)

    def line(self, record: Record) -> tuple[bytes, Position]:
        """The envelope. A value that is not UTF-8 becomes base64."""
        topic = self.requests if record.is_request else self.events
        partition = place(record.who, self.partitions)
        offset = self._offsets.get((topic, partition), 0)
        self._offsets[topic, partition] = offset + 1
        encoding = b"utf-8"
        if record.value is None:
            payload = b"null"
        else:
            try:
                payload = _quote(record.value.decode())
            except UnicodeDecodeError:
                payload, encoding = b'"%b"' % b64encode(record.value), b"base64"
        line = b'{"source":{"topic":%b,"partition":%d,"offset":%d,"timestamp":%d,"key":%b},' % (
            _quote(topic),
            partition,
            offset,
            record.arrival_ms,
            _quote(record.who.user.user_id),
        )
        return (
            b'%b"payload":%b,"payload_encoding":"%b"}\n' % (line, payload, encoding),
            Position((PRIVACY_REQUESTS if record.is_request else RAW_EVENTS).name, partition, offset),
        )


@dataclass(slots=True)
class LineSink:
    """Writes records to a file.

    Attributes:
        file: open for writing; stays open.
        form: of the lines.
        ledger: takes note of each.
    """

    file: BinaryIO | Output
    form: LineForm
    ledger: Ledger

    def write(self, records: list[Record]) -> None:
        """Writes records at once, in their order."""
        lines = []
        positions = []
        for record in records:
            line, position = self.form.line(record)
            lines.append(line)
            positions.append(position)
        self.file.write(b"".join(lines))
        for record, position in zip(records, positions, strict=True):
            self.ledger.took(record, position)
        self.ledger.advance(sum(not record.is_request for record in records))
