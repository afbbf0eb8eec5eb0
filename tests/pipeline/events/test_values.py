"""What makes a whole value invalid, and the opt-out that is lost with it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.events.decode import EventDecoder
from pipeline.events.event import Event, Request
from pipeline.events.invalid import InvalidMessageError
from pipeline.events.model import MAX_VALUE_BYTES
from tests.pipeline.events.messages import MUTATED, encode, encoded, message, with_member

LOST = "opt_out_not_recorded"
REQUEST = {
    "schema": "privacy-request/1",
    "request_id": "r",
    "user_id": "u",
    "timestamp": "2026-01-31T20:15:00Z",
}


def padded(value, size):
    """The same JSON, so many bytes long."""
    return value.ljust(size)


def test_the_largest_value_has_65536_bytes(decode, refusal):
    assert decode(padded(encoded(), 65_536)) == decode(encoded())
    assert refusal(padded(encoded(), 65_537)) == ("too_large", [("", "too_large")])


def test_bytes_are_counted_not_characters(decode, refusal):
    text = "é" * ((65_536 - len(encoded(x=""))) // 2)
    value = padded(encoded(x=text), 65_536)
    assert len(value.decode()) < 65_536
    assert decode(value) == decode(encoded())
    assert refusal(value + b" ")[0] == "too_large"


@pytest.mark.parametrize("content", [b"x", b"\xff", b"[", b"NaN", b"{}", b"[" * 1000])
def test_too_large_comes_before_every_other_reason(content, refusal):
    assert refusal(padded(content, MAX_VALUE_BYTES + 1)) == ("too_large", [("", "too_large")])


@pytest.mark.parametrize("value", [None, b""])
def test_an_empty_or_null_value_is_not_json(value, refusal):
    assert refusal(value) == ("not_json", [("", "empty")])


@pytest.mark.parametrize(
    "value",
    [
        b" ",
        b"\n",
        b"{",
        b"nul",
        b"{'a':1}",
        b"\xef\xbb\xbf" + encoded(),
        encoded().decode().encode("utf-16"),
        encoded(device_id="é").decode().encode("latin-1"),
        encoded() + b"x",
        encoded() + encoded(),
        with_member(b'"x":NaN'),
        with_member(b'"x":-Infinity'),
        with_member(b'"x":"\\ud800"'),
        with_member(b'"event_id":"\\ud800","event_id":"x"'),
        with_member(b'"x":' + b"[" * 100),
        encoded(x="\ud800"),
    ],
)
def test_what_is_not_json(value, refusal):
    assert refusal(value) == ("not_json", [("", "not_json")])


@pytest.mark.parametrize("value", [b"null", b"true", b"1", b'"x"', b"[]", b"[" + encoded() + b"]"])
def test_json_that_is_not_an_object_is_a_schema_violation(value, refusal):
    assert refusal(value) == ("schema_violation", [("", "not_an_object")])


@pytest.mark.parametrize(
    ("member", "kind"),
    [
        (b'"x":1e999', "number_range"),
        (b'"x":1e999,"x":1', "number_range"),
        (b'"user_age":1e999,"user_age":25', "number_range"),
        (b'"extra_metadata":{"a":-1e999},"extra_metadata":{}', "number_range"),
        (b'"x":' + b"[" * 64 + b"]" * 64, "nesting"),
        (b'"x":' + b"[" * 64 + b"]" * 64 + b',"x":1', "nesting"),
    ],
)
def test_numbers_and_nesting_hold_for_unknown_and_replaced_fields_too(member, kind, refusal):
    assert refusal(with_member(member)) == ("schema_violation", [("", kind)])


def test_63_levels_in_an_unknown_field_are_allowed(decode):
    assert decode(with_member(b'"x":' + b"[" * 63 + b"]" * 63)) == decode(encoded())


def reading(decode, value):
    """The event or request, or what is wrong with the value."""
    try:
        return decode(value)
    except InvalidMessageError as invalid:
        return invalid


@given(MUTATED | st.binary(max_size=30))
def test_whatever_comes_is_read_or_refused_in_words_that_json_can_hold(value):
    for decode in (EventDecoder().event, EventDecoder().request):
        read = reading(decode, value)
        if isinstance(read, InvalidMessageError):
            assert read.reason in ("too_large", "not_json", "schema_violation")
            assert read.errors
            assert [error.type for error in read.errors].count(LOST) <= 1
            json.dumps([error._asdict() for error in read.errors], ensure_ascii=False).encode()
        else:
            assert isinstance(read, Event | Request)


# --- an opt-out that is lost

SIGNALS = ("do_not_track", "gpc", "deletion_requested")
SPOILERS = {
    "schema_violation": lambda fields: encode(fields | {"event_id": ""}),
    "number_range": lambda fields: encode(fields)[:-1] + b',"x":1e999}',
    "too_large": lambda fields: padded(encode(fields), MAX_VALUE_BYTES + 1),
}


@pytest.mark.parametrize("spoil", SPOILERS.values(), ids=SPOILERS)
@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("value", [True, 1, 0, "", "false", 0.0, [], {}, "yes"])
def test_a_signal_that_is_neither_false_nor_null_is_lost(spoil, signal, value, refusal):
    _, errors = refusal(spoil(message(**{signal: value})))
    assert errors[-1] == (signal, LOST)
    assert [kind for _, kind in errors].count(LOST) == 1


@pytest.mark.parametrize("spoil", SPOILERS.values(), ids=SPOILERS)
@pytest.mark.parametrize("value", [False, None])
def test_what_asks_for_nothing_loses_nothing(spoil, value, refusal):
    _, errors = refusal(spoil(message(**dict.fromkeys(SIGNALS, value))))
    assert LOST not in [kind for _, kind in errors]


def test_several_signals_are_one_entry(refusal):
    _, errors = refusal(encoded(event_id="", do_not_track=True, gpc=True, deletion_requested=True))
    assert [kind for _, kind in errors].count(LOST) == 1


@pytest.mark.parametrize(
    "value",
    [
        encoded(gpc=True)[:-1],
        b"\xef\xbb\xbf" + encoded(gpc=True),
        with_member(b'"x":"\\ud800"', gpc=True),
        with_member(b'"x":' + b"[" * 64 + b"]" * 64, gpc=True),
        b"[" + encoded(gpc=True) + b"]",
        padded(encoded(gpc=True)[:-1], MAX_VALUE_BYTES + 1),
        padded(with_member(b'"x":' + b"[" * 64 + b"]" * 64, gpc=True), MAX_VALUE_BYTES + 1),
    ],
    ids=["cut", "mark", "surrogate", "deep", "array", "large and cut", "large and deep"],
)
def test_what_cannot_be_read_as_an_object_is_not_looked_at(value, refusal):
    _, errors = refusal(value)
    assert LOST not in [kind for _, kind in errors]


@pytest.mark.parametrize("kind", ["opt_out", "delete"])
def test_a_request_on_a_topic_of_events_is_lost(kind, refusal):
    assert refusal(encode(REQUEST | {"type": kind})) == (
        "schema_violation",
        [("schema", "privacy_request"), ("type", LOST)],
    )


@pytest.mark.parametrize(
    "kind", ["opt_in", "reinstate", "consent_given", "consent_withdrawn", "OPT_OUT", 1, None]
)
def test_other_requests_on_a_topic_of_events_lose_nothing(kind, refusal):
    assert refusal(encode(REQUEST | {"type": kind})) == ("schema_violation", [("schema", "privacy_request")])


def test_an_event_with_a_member_called_type_is_no_request(refusal):
    _, errors = refusal(encoded(event_id="", type="delete"))
    assert LOST not in [kind for _, kind in errors]


def test_even_a_valid_event_that_calls_itself_a_request_is_a_schema_violation(refusal):
    assert refusal(encoded(schema="privacy-request/1"))[0] == "schema_violation"
