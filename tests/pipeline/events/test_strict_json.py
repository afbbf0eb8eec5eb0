"""Reading JSON exactly: the standard library's grammar, and what the contract adds to it."""

import json
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.events.strict_json import (
    MAX_DEPTH,
    LongInteger,
    NotJsonError,
    Reading,
    canonical_json,
    depth,
    read_json,
)
from tests.pipeline.events.messages import JSON_VALUES

LONGEST_CONVERTED = 4300

GARBLED = st.one_of(
    st.text('[]{},:"\\/bu0123456789.eE+-truefalsn \t\n\r', max_size=12),
    st.lists(
        st.sampled_from(
            ["[", "]", "{", "}", ",", ":", '"a"', '"\\n"', "1", "-0", "01", "1.5e3", "1.", "true", "nul", " "]
        ),
        max_size=10,
    ).map("".join),
    st.tuples(JSON_VALUES.map(json.dumps), st.integers(0, 40)).map(lambda cut: cut[0][: cut[1]]),
)


def refuse(name):
    raise ValueError(name)


def reference(text):
    """What the standard library says, with NaN and Infinity refused; None where it is not JSON."""
    try:
        return (json.loads(text, parse_constant=refuse),)
    except ValueError:
        return None


def nested(levels, inside="1"):
    return "[" * levels + inside + "]" * levels


def nested_objects(levels, inside="1"):
    return '{"a":' * levels + inside + "}" * levels


@given(GARBLED)
@example("")
@example(" ")
@example('{"a":1,}')
@example("[1,]")
@example('"\x01"')
@example("1 2")
@example("\u00a01")
def test_the_grammar_is_that_of_the_standard_library(text):
    known = reference(text)
    if known is None:
        with pytest.raises(NotJsonError):
            read_json(text.encode())
    else:
        assert read_json(text.encode()) == Reading(known[0])


@given(JSON_VALUES, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_every_value_is_read_as_it_was_written(value, ascii_only, indent):
    written = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    reading = read_json(written.encode())
    assert reading.violation is None
    assert repr(reading.value) == repr(value)


@settings(max_examples=3 * settings.default.max_examples)
@given(GARBLED, st.sampled_from([nested, nested_objects]), st.sampled_from([MAX_DEPTH, MAX_DEPTH + 1, 100]))
def test_what_is_nested_too_deep_is_still_told_from_what_is_not_json(text, wrap, levels):
    whole = wrap(levels, text)
    if reference(whole) is None:
        with pytest.raises(NotJsonError):
            read_json(whole.encode())
    else:
        deep = levels > MAX_DEPTH or (levels == MAX_DEPTH and depth_of(json.loads(whole)) > MAX_DEPTH)
        violation = read_json(whole.encode()).violation
        assert (violation is not None and violation.type == "nesting") == deep


def depth_of(value):
    """Nesting by recursion: the obvious way, for values that Python's stack can hold."""
    match value:
        case dict():
            return 1 + max(map(depth_of, value.values()), default=0)
        case list():
            return 1 + max(map(depth_of, value), default=0)
        case _:
            return 0


@given(JSON_VALUES)
def test_the_depth_is_that_of_the_recursive_definition(value):
    assert depth(json.dumps(value)) == depth_of(value)


@pytest.mark.parametrize("wrap", [nested, nested_objects])
@pytest.mark.parametrize(("levels", "violation"), [(MAX_DEPTH, None), (MAX_DEPTH + 1, "nesting")])
def test_the_deepest_level_allowed_is_the_64th(wrap, levels, violation):
    found = read_json(wrap(levels).encode()).violation
    assert (found and found.type) == violation


def test_brackets_in_texts_do_not_nest():
    text = json.dumps(["[{" * 100])
    assert read_json(text.encode()) == Reading(["[{" * 100])


def test_many_shallow_brackets_do_not_nest():
    assert read_json(b"[" + b"[]," * 100 + b"[]]") == Reading([[] for _ in range(101)])


@pytest.mark.parametrize(
    "text",
    [
        nested(100_000),
        nested_objects(100_000),
        "[" * 99_999 + "[]" + "]" * 99_999,
        '{"a":1,"a":' + nested(100_000) + ',"a":1}',
    ],
)
def test_nesting_far_beyond_any_stack_is_a_violation(text):
    violation = read_json(text.encode()).violation
    assert violation is not None
    assert violation.type == "nesting"


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "[" * 100_000 + "]" * 99_999,
        "[" * 100_000 + "]" * 100_001,
        "[" * 100_000 + "}" * 100_000,
        nested(100_000, "1,"),
        nested(100_000, "1 1"),
        nested(100_000, "NaN"),
        nested(100_000, "01"),
        nested(100_000, '"\t"'),
        nested(100_000, '"\\x"'),
        nested(100_000, '"\\u12g4"'),
        nested_objects(100_000, ""),
        nested_objects(100_000, '"a":1'),
        nested_objects(100_000, "{1:1}"),
        nested_objects(100_000, "{,}"),
        nested(100_000) + "1",
        nested(100_000) + ",",
        ":" + nested(100_000),
    ],
)
def test_what_is_malformed_far_beyond_any_stack_is_not_json(text):
    with pytest.raises(NotJsonError):
        read_json(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        '"\\ud800"',
        '"\\uDBFF"',
        '"\\udc00"',
        '"\\uDFFF"',
        '"\\ud800\\ud800\\udc00"',
        '"\\udc00\\ud800"',
        '"\\ud800x\\udc00"',
        '"\\ud800\\\\udc00"',
        '"\\\\\\ud800"',
        '{"\\ud800":1}',
        '{"a":"\\ud800","a":1}',
        nested(70, '"\\ud800"'),
    ],
)
def test_a_lone_surrogate_anywhere_is_not_json(text):
    with pytest.raises(NotJsonError, match="lone surrogate"):
        read_json(text.encode())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ('"\\uD83D\\uDE00\\ud83d\\ude00"', "\U0001f600\U0001f600"),
        ('"\\\\ud800"', "\\ud800"),
        ('"\\\\\\\\ud800"', "\\\\ud800"),
        ('"\\u005cud800"', "\\ud800"),
        ('"\\ud7ff\\ue000"', "\ud7ff\ue000"),
    ],
)
def test_pairs_of_surrogates_and_escaped_backslashes_are_texts(text, value):
    assert read_json(text.encode()) == Reading(value)


@given(st.text(st.sampled_from('\\u"ud800ddc00a'), max_size=24))
def test_a_text_is_refused_exactly_where_it_decodes_to_a_surrogate(inside):
    text = f'"{inside}"'
    known = reference(text)
    if known is None or any("\ud800" <= char <= "\udfff" for char in str(known[0])):
        with pytest.raises(NotJsonError):
            read_json(text.encode())
    else:
        assert read_json(text.encode()) == Reading(known[0])


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"-Infinity", b'{"a":NaN,"a":1}', b"[Infinity]"])
def test_nan_and_infinity_are_not_json(value):
    with pytest.raises(NotJsonError):
        read_json(value)


@pytest.mark.parametrize(
    "value",
    [
        b"\xef\xbb\xbf{}",
        b"\xff",
        b'"\xed\xa0\x80"',
        b'"\xc0\x80"',
        '"ä"'.encode("latin-1"),
        "{}".encode("utf-16"),
    ],
)
def test_a_byte_order_mark_and_what_is_not_utf8_are_not_json(value):
    with pytest.raises(NotJsonError):
        read_json(value)


@pytest.mark.parametrize(
    "text",
    [
        "1e309",
        "-1e309",
        "1.8e308",
        '{"a":1e999}',
        '{"a":1e999,"a":1}',
        '{"a":[1e999],"a":null}',
        "[1e999,1e999]",
    ],
)
def test_a_number_beyond_a_double_is_a_violation_also_where_it_is_replaced(text):
    violation = read_json(text.encode()).violation
    assert violation is not None
    assert violation.type == "number_range"


@pytest.mark.parametrize(
    "text", ["1.7976931348623157e308", "-1.7976931348623157e308", "1e-999", "-0.0", "5e-324"]
)
def test_a_number_within_a_double_is_none(text):
    reading = read_json(text.encode())
    assert reading.violation is None
    assert math.copysign(1, reading.value) == math.copysign(1, float(text))
    assert reading.value == float(text)


@pytest.mark.parametrize("digits", [LONGEST_CONVERTED, LONGEST_CONVERTED + 1, 60_000])
@pytest.mark.parametrize("sign", ["", "-"])
def test_an_integer_of_any_length_is_read(digits, sign):
    text = sign + "7" * digits
    reading = read_json(text.encode())
    assert reading.violation is None
    assert isinstance(reading.value, int | LongInteger)
    assert canonical_json(reading.value) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a":1,"a":2}', {"a": 2}),
        ('{"a":{"b":1},"a":{"c":1}}', {"a": {"c": 1}}),
        ('{"a":1,"\\u0061":2}', {"a": 2}),
    ],
)
def test_of_repeated_keys_the_last_counts(text, value):
    assert read_json(text.encode()) == Reading(value)


def strictly_equal(a, b):
    """Equality as JSON has it: numbers by kind, true is no number, objects without order."""
    if type(a) is not type(b):
        return False
    match a:
        case dict():
            return a.keys() == b.keys() and all(strictly_equal(a[key], b[key]) for key in a)
        case list():
            return len(a) == len(b) and all(map(strictly_equal, a, b))
        case _:
            return repr(a) == repr(b)


@given(st.data())
def test_canonical_json_is_equal_exactly_where_the_values_are(data):
    a = data.draw(JSON_VALUES)
    b = data.draw(JSON_VALUES | st.just(a))
    assert (canonical_json(a) == canonical_json(b)) == strictly_equal(a, b)


@given(JSON_VALUES)
def test_canonical_json_is_json_of_the_same_value(value):
    assert strictly_equal(json.loads(canonical_json(value)), value)


@given(st.dictionaries(st.text(max_size=4), JSON_VALUES, max_size=5), st.randoms())
def test_canonical_json_has_no_order_of_keys_and_no_spaces(value, random):
    names = list(value)
    random.shuffle(names)
    shuffled = {name: value[name] for name in names}
    assert canonical_json(shuffled) == canonical_json(value)
    assert canonical_json(json.loads(json.dumps(shuffled, indent=2))) == canonical_json(value)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("1", "1"),
        ("-0", "0"),
        ("1.0", "1.0"),
        ("1e2", "100.0"),
        ("1E+2", "100.0"),
        ("100.0", "100.0"),
        ("true", "true"),
        ('"\\u00e9\\/"', '"é/"'),
        ('{"b":1, "a":[ ]}', '{"a":[],"b":1}'),
        ("0.1e1", "1.0"),
    ],
)
def test_canonical_forms(written, canonical):
    assert canonical_json(read_json(written.encode()).value) == canonical
