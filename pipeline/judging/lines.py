"""Lines of a file: a raw event, a privacy request, or an envelope around one of them."""

import json
from base64 import b64decode
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, BinaryIO, Final, NamedTuple, NoReturn

from pipeline.evaluation.source import NO_TIMESTAMP, PlainRecord
from pipeline.events import strict_json
from pipeline.events.foreign import UNREADABLE
from pipeline.events.instants import LATEST_MS
from pipeline.events.invalid import ErrorDetail
from pipeline.events.model import REQUEST_SCHEMA

REQUEST_TOPIC: Final = "privacy-requests"
MAX_LINE_BYTES: Final = 32 << 20
_INT64: Final = 2**63


class Line(NamedTuple):
    """One record of a file. `unopened` has the errors of an envelope that cannot be opened."""

    record: PlainRecord
    is_request: bool
    unopened: tuple[ErrorDetail, ...] = ()


class _UnopenedError(Exception):
    """An envelope cannot be opened. The arguments are the path of the member and the message."""


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a binary file, in bounded memory.

    Only the beginning of a line with more than `MAX_LINE_BYTES` is given. It is judged as it is, and ends as a failed
    event.
    """
    while line := file.readline(MAX_LINE_BYTES):
        yield line
        while len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE_BYTES)


def read_line(line: bytes, index: int, topic_prefix: str = "") -> Line:
    """Read one line, with or without its LF. `index` is its number, from 0, which becomes the offset."""
    if line.endswith(b"\n"):
        line = line[:-1].removesuffix(b"\r")
    raw = PlainRecord(None, 0, index, NO_TIMESTAMP, None, line)
    # Most lines are raw events without these marks, so they need not be parsed here.
    escaped = b"\\u" in line
    if escaped or (b'"source"' in line and b'"payload"' in line):
        parsed = _parse_leniently(line)
        if isinstance(parsed, dict) and isinstance(parsed.get("source"), dict) and "payload" in parsed:
            try:
                return _open(parsed, index, topic_prefix)
            except _UnopenedError as error:
                path, message = error.args
                return Line(raw, False, (ErrorDetail(path, message, "envelope"),))
    return Line(raw, _calls_itself_request(line))


def _open(envelope: dict[str, Any], index: int, topic_prefix: str) -> Line:
    members = envelope["source"]
    topic = _text(members, "topic")
    timestamp = _integer(members, "timestamp")
    offset, key = _integer(members, "offset"), _text(members, "key")
    record = PlainRecord(
        topic,
        _integer(members, "partition") or 0,
        index if offset is None else offset,
        timestamp if timestamp is not None and 0 <= timestamp <= LATEST_MS else NO_TIMESTAMP,
        None if key is None else key.encode(),
        _payload(envelope),
    )
    if topic is None:
        return Line(record, _calls_itself_request(record.value or b""))
    return Line(record, topic.removeprefix(topic_prefix) == REQUEST_TOPIC)


def _text(members: dict[str, Any], name: str) -> str | None:
    text = members.get(name)
    if text is None:
        return None
    if not isinstance(text, str):
        raise _UnopenedError(f"source.{name}", "must be a string or null")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _UnopenedError(f"source.{name}", "cannot be encoded as UTF-8") from None
    return text


def _integer(members: dict[str, Any], name: str) -> int | None:
    number = members.get(name)
    if number is None:
        return None
    if not isinstance(number, int) or isinstance(number, bool) or not -_INT64 <= number < _INT64:
        raise _UnopenedError(f"source.{name}", "must be an integer of 64 bits or null")
    return number


def _payload(envelope: dict[str, Any]) -> bytes:
    data = _whole_or_part(envelope)
    digest = envelope.get("payload_sha256")
    if digest is not None and digest != sha256(data).hexdigest():
        raise _UnopenedError(
            "payload",
            "is only the beginning of the message, or was repaired; judge the whole message, which stands at the "
            "source, and leave out payload_sha256",
        )
    return data


def _whole_or_part(envelope: dict[str, Any]) -> bytes:
    payload = envelope["payload"]
    encoding = envelope.get("payload_encoding")
    if encoding not in (None, "utf-8", "base64"):
        raise _UnopenedError("payload_encoding", "must be utf-8 or base64")
    if payload is None:
        return b""
    if not isinstance(payload, str):
        raise _UnopenedError("payload", "must be a string or null")
    try:
        return b64decode(payload, validate=True) if encoding == "base64" else payload.encode()
    except ValueError as error:
        raise _UnopenedError("payload", f"cannot be opened: {error}") from None


def _calls_itself_request(value: bytes) -> bool:
    if REQUEST_SCHEMA.encode() not in value and b"\\" not in value:
        return False
    try:
        parsed = strict_json.read_json(value).value
    except strict_json.NotJsonError:
        return False
    return isinstance(parsed, dict) and parsed.get("schema") == REQUEST_SCHEMA


def _parse_leniently(line: bytes) -> object:
    """The line as JSON, by the grammar only. The contract's rules for values do not hold for the envelope."""
    try:
        return json.loads(line.decode("utf-8"), parse_int=_parse_int, parse_constant=_refuse)
    except UNREADABLE:
        return None


def _parse_int(digits: str) -> int | float:
    # CPython does not convert very long integers. A float is refused wherever an integer of 64 bits is expected.
    return int(digits) if len(digits) <= len(str(_INT64)) + 1 else float("inf")


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
