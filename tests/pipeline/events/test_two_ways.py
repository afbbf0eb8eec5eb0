"""The fast way of the decoder and the exact one decide alike: the models are the contract."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.events.decode import EventDecoder
from pipeline.events.event import Event
from pipeline.events.invalid import InvalidMessageError
from pipeline.events.model import MAX_VALUE_BYTES
from tests.pipeline.events.messages import MUTATED, WRITTEN, WRITTEN_VALID, encoded, with_member

_LONG_LIVED = EventDecoder()
"""Keeps its caches over all examples: they may change no answer."""


def decision(decode, value):
    """What a way of decoding decides, in a comparable form."""
    try:
        return decode(value)
    except InvalidMessageError as invalid:
        return invalid.reason, invalid.errors


def assert_alike(value):
    exactly = decision(EventDecoder()._event_exactly, value)
    assert decision(EventDecoder().event, value) == exactly
    assert decision(_LONG_LIVED.event, value) == exactly


@settings(max_examples=5 * settings.default.max_examples)
@given(WRITTEN_VALID)
def test_both_ways_give_the_same_event(value):
    assert_alike(value)


@settings(max_examples=10 * settings.default.max_examples)
@given(WRITTEN)
def test_both_ways_decide_alike_on_nearly_valid_messages(value):
    assert_alike(value)


@settings(max_examples=10 * settings.default.max_examples)
@given(MUTATED)
@example(b"")
@example(b"\xef\xbb\xbf" + encoded())
def test_both_ways_decide_alike_on_garbled_messages(value):
    assert_alike(value)


SECONDS = st.sampled_from(
    [
        "2026-01-31T20:15:00",
        "2024-02-29t23:59:59",
        "2023-02-29T00:00:00",
        "2026-01-31T24:00:00",
        "2026-01-31T20:15:60",
        "0000-12-31T23:30:00",
        "0001-01-01T00:00:00",
        "0001-01-01T12:00:00",
        "9999-12-31T23:59:59",
        "9999-12-31T00:30:00",
        "1969-12-31T23:59:59",
        "2026-01-31 20:15:00",
        "2026-01-31T20:15:0",
        "",
    ]
)
RESTS = st.sampled_from(
    [
        *("Z", "z", ".5Z", ".123Z", ".123456Z", ".Z", "", ".5", "+01:00", "-23:59", "+23:59", ".123+05:30"),
        *("+24:00", "+00:60", "+1:00", ".123456789-08:00", "0Z", " Z"),
    ]
)


@settings(max_examples=5 * settings.default.max_examples)
@given(st.lists(st.builds(str.__add__, SECONDS, RESTS), max_size=20))
def test_an_instant_is_the_same_whatever_was_read_before(texts):
    decoder = EventDecoder()
    for text in texts:
        value = encoded(timestamp=text)
        assert decision(decoder.event, value) == decision(EventDecoder()._event_exactly, value), text
        assert decision(_LONG_LIVED.event, value) == decision(decoder.event, value), text


@pytest.mark.parametrize(
    "member",
    [
        b'"extra_metadata":null',
        b'"extra_metadata": null ',
        b'"extra_metadata":{"a":1e999},"extra_metadata":null',
        b'"extra_metadata":{"a":1e999},"extra_metadata":{}',
        b'"extra_metadata":' + b'{"a":' * 64 + b"1" + b"}" * 64,
        b'"extra_metadata":' + b'{"a":' * 63 + b"1" + b"}" * 63,
        b'"extra_metadata":' + b'{"a":' * 64 + b"1" + b"}" * 64 + b',"extra_metadata":null',
        b'"extra_metadata":{"a":"' + b"[" * 100 + b'"}',
        b'"extra_metadata":{"a":"\\ud800"}',
        b'"extra_metadata":{"a":01}',
        b'"extra_metadata":{"a":"\x01"}',
        b'"extra_metadata":{"\xff":1}',
        b'"extra_metadata":{"a":NaN}',
        b'"session_id":"\x01"',
        b'"session_id":"\x7f"',
        b'"session_id":"\xed\xa0\x80"',
        b'"session_id":"' + "\U0001f600".encode() * 255 + b'"',
        b'"session_id":"' + "\U0001f600".encode() * 256 + b'"',
        b'"user_age":25.0',
        b'"user_age":1e1',
        b'"user_age":-0',
        b'"user_age":' + b"9" * 5000,
        b'"user_age":1e999,"user_age":25',
        b'"user_age":"x","user_age":25',
        b'"user_age":25,"user_age":"x"',
        b'"user_age":true',
        b'"gpc":1',
        b'"gpc":"true"',
        b'"schema":"raw-event/1"',
        b'"schema":"privacy-request/1"',
        b'"data_shared":"Full"',
        b'"content_id":null',
        b'"content_id":null,"event_type":"LOGIN"',
    ],
)
def test_both_ways_decide_alike_where_parsers_are_known_to_differ(member):
    assert_alike(with_member(member))


@pytest.mark.parametrize("size", [MAX_VALUE_BYTES - 1, MAX_VALUE_BYTES, MAX_VALUE_BYTES + 1])
def test_both_ways_decide_alike_around_the_largest_value(size):
    assert_alike(encoded().ljust(size))


def test_the_generated_messages_take_both_ways():
    """Without this the laws above could compare the exact way with itself."""
    taken = []

    class Watched(EventDecoder):
        def _event_exactly(self, value):
            taken.append("exact")
            return super()._event_exactly(value)

    assert isinstance(Watched().event(encoded()), Event)
    assert taken == []
    assert isinstance(Watched().event(with_member(b'"x":1')), Event)
    assert taken == ["exact"]
