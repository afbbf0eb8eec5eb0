"""`extra_metadata`: its limits, and canonical JSON as its normal form."""

import json

import pytest
from hypothesis import given

from pipeline.events.decode import EventDecoder
from tests.pipeline.events.messages import JSON_VALUES, encoded, with_member


def metadata(text, **changes):
    """A message whose metadata is written by hand."""
    return with_member(b'"extra_metadata":' + text.encode(), **changes)


@pytest.mark.parametrize("unknown", [{}, {"x": 1}], ids=["fast", "exact"])
def test_32_keys_are_allowed_and_33_are_not(unknown, decode, refusal):
    assert decode(encoded(extra_metadata={f"k{n}": n for n in range(32)}, **unknown)).metadata is not None
    value = encoded(extra_metadata={f"k{n}": n for n in range(33)}, **unknown)
    assert refusal(value) == ("schema_violation", [("extra_metadata", "value_error")])


@pytest.mark.parametrize("unknown", [{}, {"x": 1}], ids=["fast", "exact"])
def test_keys_count_at_the_top_and_once(unknown, decode):
    assert decode(encoded(extra_metadata={"k": {f"k{n}": n for n in range(100)}}, **unknown)).metadata
    repeated = ",".join(f'"k{n}":1,"k{n}":2' for n in range(32))
    assert decode(metadata("{" + repeated + "}", **unknown)).metadata


@pytest.mark.parametrize("unknown", [{}, {"x": 1}], ids=["fast", "exact"])
@pytest.mark.parametrize("letter", ["x", "é", "\U0001f600", '"'])
def test_8192_bytes_of_compact_json_are_allowed_and_8193_are_not(letter, unknown, decode, refusal):
    width = len(json.dumps(letter, ensure_ascii=False).encode()) - 2
    count, rest = divmod(8192 - len('{"k":""}'), width)
    text = letter * count + "x" * rest
    assert len(decode(encoded(extra_metadata={"k": text}, **unknown)).metadata.encode()) == 8192
    value = encoded(extra_metadata={"k": text + "x"}, **unknown)
    assert refusal(value) == ("schema_violation", [("extra_metadata", "value_error")])


def test_spaces_and_escapes_do_not_count_as_bytes(decode):
    spaced = '{ "k" : "' + "\\u0078" * 8184 + '"' + " " * 10_000 + "}"
    assert decode(metadata(spaced)).metadata == '{"k":"' + "x" * 8184 + '"}'


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a":1e2}', '{"a":100.0}'),
        ('{"a":1E+2}', '{"a":1000e-1}'),
        ('{"a":-0}', '{"a":0}'),
        ('{"a":1,"b":2}', '{ "b" : 2 , "a" : 1 }'),
        ('{"a":{"x":[1],"y":null}}', '{"a":{"y":null,"x":[1]}}'),
        ('{"a":"\\u00e9\\/"}', '{"a":"é/"}'),
        ('{"a":1,"a":2}', '{"a":2}'),
        ('{"a":0.1}', '{"a":0.1000000000000000055511151231257827}'),
    ],
)
def test_spellings_of_one_object_are_equal(one, other, decode):
    assert decode(metadata(one)) == decode(metadata(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a":1}', '{"a":1.0}'),
        ('{"a":1}', '{"a":true}'),
        ('{"a":1.0}', '{"a":true}'),
        ('{"a":0}', '{"a":false}'),
        ('{"a":"1"}', '{"a":1}'),
        ('{"a":null}', "{}"),
        ("{}", "null"),
        ('{"a":[1,2]}', '{"a":[2,1]}'),
        ('{"a":[]}', '{"a":{}}'),
        ('{"a":9007199254740993}', '{"a":9007199254740992}'),
        ('{"a":9007199254740993}', '{"a":9007199254740993.0}'),
        ('{"a":"e\u0301"}', '{"a":"\u00e9"}'),
        ('{"a":1}', '{"A":1}'),
        ('{"a":' + "7" * 4301 + "}", '{"a":' + "7" * 4300 + "8}"),
    ],
)
def test_different_objects_differ(one, other, decode):
    assert decode(metadata(one)) != decode(metadata(other))


@given(JSON_VALUES)
def test_the_normal_form_is_the_same_object(value):
    canonical = EventDecoder().event(encoded(extra_metadata={"k": value})).metadata
    assert canonical is not None
    assert repr(json.loads(canonical)["k"]) == repr(json.loads(json.dumps(value, sort_keys=True)))


def test_the_metadata_may_nest_to_the_64th_level_of_the_message(decode, refusal):
    def nested(levels):
        return '{"a":' * levels + "1" + "}" * levels

    assert decode(metadata(nested(63))).metadata == nested(63)
    assert refusal(metadata(nested(64))) == ("schema_violation", [("", "nesting")])
