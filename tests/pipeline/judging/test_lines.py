"""Lines of a file: what is an envelope, what it opens to, and what cannot be opened."""

import io
import json

import pytest

from pipeline.evaluation.source import PlainRecord
from pipeline.judging import lines
from pipeline.judging.lines import read_line
from tests.pipeline.events.messages import encoded

EVENT = encoded().decode()
REQUEST = '{"schema":"privacy-request/1"}'


def envelope(source=None, **members):
    return json.dumps({"source": source or {}, "payload": EVENT} | members).encode()


def raw(value, index=0):
    return PlainRecord(None, 0, index, -1, None, value)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"{}\n", b"{}"),
        (b"{}\r\n", b"{}"),
        (b"{}\r\r\n", b"{}\r"),
        (b"{}", b"{}"),
        (b"{}\r", b"{}\r"),
        (b"\n", b""),
        (b"\r\n", b""),
        (b"  \n", b"  "),
        (b"\xff\xfe\n", b"\xff\xfe"),
        (b"\xef\xbb\xbf{}\n", b"\xef\xbb\xbf{}"),
    ],
)
def test_a_raw_line(line, value):
    assert read_line(line, 7) == (raw(value, 7), False, ())


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param({}, (None, 0, 7, -1, None), id="nothing"),
        pytest.param(
            {"topic": "raw-events", "partition": 3, "offset": 9, "timestamp": 5, "key": "ü"},
            ("raw-events", 3, 9, 5, "ü".encode()),
            id="everything",
        ),
        pytest.param(
            {"topic": None, "partition": None, "offset": None, "timestamp": None, "key": None},
            (None, 0, 7, -1, None),
            id="null is missing",
        ),
        pytest.param({"offset": 0}, (None, 0, 0, -1, None), id="offset zero"),
        pytest.param({"timestamp": -5}, (None, 0, 7, -1, None), id="a negative timestamp is none"),
        pytest.param({"timestamp": 10**15}, (None, 0, 7, -1, None), id="microseconds are none"),
        pytest.param({"key": ""}, (None, 0, 7, -1, b""), id="an empty key"),
        pytest.param({"more": [10**30]}, (None, 0, 7, -1, None), id="members that nobody knows"),
    ],
)
def test_an_envelope_opens(source, expected):
    line = read_line(envelope(source), 7)
    assert line == (PlainRecord(*expected, EVENT.encode()), False, ())


@pytest.mark.parametrize(
    ("members", "value"),
    [
        ({"payload": "ü\n"}, "ü\n".encode()),
        ({"payload": "ü", "payload_encoding": None}, "ü".encode()),
        ({"payload": "ü", "payload_encoding": "utf-8"}, "ü".encode()),
        ({"payload": "/w==", "payload_encoding": "base64"}, b"\xff"),
        ({"payload": "", "payload_encoding": "base64"}, b""),
        ({"payload": None}, b""),
        ({"payload": None, "payload_encoding": "base64"}, b""),
        ({"payload": "{", "more": {"nested": [[[]]]}}, b"{"),
    ],
)
def test_payloads(members, value):
    assert read_line(envelope(**members), 0) == (raw(value), False, ())


UNOPENED = [
    *[({"source": {"topic": wrong}}, "source.topic") for wrong in (1, [], {}, True, "\ud800")],
    *[({"source": {"key": wrong}}, "source.key") for wrong in (1, [], "\udfff")],
    *[
        ({"source": {name: wrong}}, f"source.{name}")
        for name in ("partition", "offset", "timestamp")
        for wrong in ("1", 1.0, True, [], 2**63, -(2**63) - 1, 10**400, 1e300)
    ],
    *[({"payload": wrong}, "payload") for wrong in (1, {}, [], False, "\ud800")],
    *[
        ({"payload": wrong, "payload_encoding": "base64"}, "payload")
        for wrong in ("é", "A", "AAA", "A A=", "AA==\n", "AAAA====A")
    ],
    *[({"payload_encoding": wrong}, "payload_encoding") for wrong in ("utf8", "UTF-8", "", 1, [], {})],
]


@pytest.mark.parametrize(("members", "path"), UNOPENED)
def test_what_cannot_be_opened_has_the_source_of_a_raw_line_and_the_line_as_its_payload(members, path):
    line = envelope(**members)
    record, is_request, errors = read_line(line + b"\r\n", 7)
    assert (record, is_request) == (raw(line, 7), False)
    assert [error.path for error in errors] == [path]


@pytest.mark.parametrize(
    "line",
    [
        b'{"source":{}}',
        b'{"payload":"{}"}',
        b'{"source":[],"payload":"{}"}',
        b'{"source":null,"payload":"{}"}',
        b'{"source":"x","payload":"{}"}',
        b'[{"source":{},"payload":"{}"}]',
        b'{"source":{},"payload":"{}"',
        b'{"source":{},"payload":"{}","x":NaN}',
        b'{"source":{},"payload":"\xff"}',
        b'\xef\xbb\xbf{"source":{},"payload":"{}"}',
        b'{"source":{},"payload":"{}","x":' + b"[" * 100_000,
    ],
)
def test_what_is_no_envelope_is_a_raw_line(line):
    assert read_line(line, 0) == (raw(line), False, ())


@pytest.mark.parametrize(
    "line",
    [
        b'{"\\u0073ource":{},"payload":"{}"}',
        b'{"payload":"{}","source":{},"source":{}}',
        b' { "payload" : "{}" , "source" : { } } ',
        b'{"source":{},"payload":"{}","x":"\\ud800"}',
        b'{"source":{},"payload":"{}","x":1e999,"y":' + b"9" * 5000 + b"}",
        b'{"source":{},"payload":"{}","x":' + b"[" * 90 + b"]" * 90 + b"}",
    ],
)
def test_the_rules_for_values_do_not_hold_for_the_envelope(line):
    assert read_line(line, 0) == (raw(b"{}"), False, ())


def test_an_envelope_is_opened_once():
    inner = envelope().decode()
    assert read_line(envelope(payload=inner), 0).record.value == inner.encode()


@pytest.mark.parametrize(
    ("line", "is_request"),
    [
        pytest.param(REQUEST.encode(), True, id="bare"),
        pytest.param(b'{"sch\\u0065ma":"privacy-request\\/1"}', True, id="bare, escaped"),
        pytest.param(b'{"schema":"x","schema":"privacy-request/1"}', True, id="the last key counts"),
        pytest.param(
            b'{"schema":"privacy-request/1","schema":"x"}', False, id="the last key counts here too"
        ),
        pytest.param(b'{"schema":"privacy-request/1"', False, id="not JSON"),
        pytest.param(b'["privacy-request/1"]', False, id="no object"),
        pytest.param(b'{"note":"privacy-request/1"}', False, id="another member"),
        pytest.param(envelope(payload=REQUEST), True, id="a payload without a topic"),
        pytest.param(envelope({"topic": None}, payload=REQUEST), True, id="a null topic"),
        pytest.param(envelope({"topic": "raw-events"}, payload=REQUEST), False, id="a topic of events"),
        pytest.param(envelope({"topic": "anything"}, payload=REQUEST), False, id="any other topic"),
        pytest.param(envelope({"topic": ""}, payload=REQUEST), False, id="a topic without a name"),
        pytest.param(envelope({"topic": "privacy-requests"}), True, id="an event on the topic of requests"),
        pytest.param(envelope({"topic": "privacy-requests"}, payload=None), True, id="nothing on it"),
        pytest.param(envelope({"topic": "eu.privacy-requests"}), False, id="the prefix of another"),
    ],
)
def test_what_is_a_privacy_request(line, is_request):
    assert read_line(line, 0).is_request == is_request


def test_topics_are_compared_without_the_prefix():
    line = envelope({"topic": "eu.privacy-requests"})
    assert read_line(line, 0, "eu.").is_request
    assert not read_line(line, 0, "us.").is_request


def test_an_endless_line_is_cut_and_the_next_one_is_read(monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 8)
    file = io.BytesIO(b"12345678" * 3 + b"9\n" + b"1234567\n" + b"12345678\n" + b"last")
    assert list(lines.lines_of(file)) == [b"12345678", b"1234567\n", b"12345678", b"last"]
