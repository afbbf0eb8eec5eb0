"""Privacy requests: what is checked, what is not, and that a lost one is told."""

import pytest

from pipeline.events.decode import EventDecoder
from pipeline.events.event import Request
from pipeline.events.model import MAX_VALUE_BYTES
from tests.pipeline.events.messages import ABSENT, encode

LOST = "opt_out_not_recorded"
KINDS = ("opt_out", "opt_in", "delete", "reinstate", "consent_given", "consent_withdrawn")


def request_value(**changes):
    fields = {
        "schema": "privacy-request/1",
        "request_id": "request-1",
        "user_id": "user-1",
        "type": "opt_out",
        "timestamp": "2026-01-31T21:15:00.0009+01:00",
        "region": "NL",
    } | changes
    return encode({name: value for name, value in fields.items() if value is not ABSENT})


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_of_each_type(kind):
    request = EventDecoder().request(request_value(type=kind))
    assert request == Request("request-1", "user-1", kind, 1_769_890_500_000, "NL")
    assert request.signals_opt_out == (kind in ("opt_out", "delete"))


@pytest.mark.parametrize("region", [ABSENT, None, "", "nowhere", 1, True, [], {"a": [1]}])
def test_the_region_is_not_checked_beyond_being_json(region):
    assert EventDecoder().request(request_value(region=region)).user_id == "user-1"


def test_not_even_a_number_that_python_does_not_convert_loses_a_request():
    value = request_value(region=0).replace(b'"region":0', b'"region":' + b"7" * 5000)
    assert EventDecoder().request(value).user_id == "user-1"


def test_unknown_members_are_ignored():
    assert EventDecoder().request(request_value(ticket=[1], do_not_track=False)).type == "opt_out"


@pytest.mark.parametrize("field", ["schema", "request_id", "user_id", "type", "timestamp"])
@pytest.mark.parametrize("value", [ABSENT, None, 1, "", []])
def test_the_first_five_are_required(field, value, refusal):
    reason, errors = refusal(request_value(**{field: value}), request=True)
    assert reason == "schema_violation"
    assert errors[0][0] == field
    assert (("type", LOST) in errors) == (field != "type")


@pytest.mark.parametrize("field", ["request_id", "user_id"])
def test_ids_have_255_characters_at_most(field, refusal):
    assert EventDecoder().request(request_value(**{field: "\U0001f600" * 255}))
    assert refusal(request_value(**{field: "x" * 256}), request=True)[0] == "schema_violation"


@pytest.mark.parametrize("kind", ["OPT_OUT", "opt-out", " delete", "forget", "optout"])
def test_the_type_is_exact(kind, refusal):
    assert refusal(request_value(type=kind), request=True) == (
        "schema_violation",
        [("type", "literal_error")],
    )


@pytest.mark.parametrize("schema", ["raw-event/1", "privacy-request/2", "Privacy-Request/1"])
def test_the_schema_is_exact(schema, refusal):
    reason, errors = refusal(request_value(schema=schema), request=True)
    assert reason == "schema_violation"
    assert errors == [("schema", "literal_error"), ("type", LOST)]


@pytest.mark.parametrize(
    "timestamp", ["2026-01-31T20:15:00", "2026-01-31 20:15:00Z", "2026-01-31T20:15:60Z", "now"]
)
def test_the_timestamp_is_that_of_events(timestamp, refusal):
    reason, errors = refusal(request_value(timestamp=timestamp), request=True)
    assert reason == "schema_violation"
    assert errors == [("timestamp", "value_error"), ("type", LOST)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spoiled", ["request_id", "user_id", "timestamp"])
def test_an_invalid_request_says_whether_an_opt_out_or_a_deletion_was_lost(kind, spoiled, refusal):
    _, errors = refusal(request_value(type=kind, **{spoiled: ""}), request=True)
    assert (("type", LOST) in errors) == (kind in ("opt_out", "delete"))


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"x",
        b"{",
        b"\xef\xbb\xbf" + request_value(),
        request_value(type="opt_in")[:-1],
        request_value(user_id="\ud800", type="opt_in"),
    ],
)
def test_what_is_not_json_may_have_been_a_deletion(value, refusal):
    reason, errors = refusal(value, request=True)
    assert reason == "not_json"
    assert [kind for _, kind in errors][1:] == [LOST]


@pytest.mark.parametrize("value", [b"null", b"[]", b'"delete"', b"1"])
def test_json_that_is_not_an_object_is_a_schema_violation(value, refusal):
    assert refusal(value, request=True) == ("schema_violation", [("", "not_an_object")])


@pytest.mark.parametrize(("kind", "lost"), [("opt_out", [("type", LOST)]), ("opt_in", [])])
def test_a_request_has_65536_bytes_at_most(kind, lost, refusal):
    value = request_value(type=kind)
    assert EventDecoder().request(value.ljust(MAX_VALUE_BYTES)).type == kind
    assert refusal(value.ljust(MAX_VALUE_BYTES + 1), request=True) == (
        "too_large",
        [("", "too_large"), *lost],
    )


def test_a_request_may_nest_to_the_64th_level(refusal):
    def nested(levels):
        return request_value(region=0).replace(b'"region":0', b'"region":' + b"[" * levels + b"]" * levels)

    assert EventDecoder().request(nested(63)).type == "opt_out"
    assert refusal(nested(64), request=True) == ("schema_violation", [("", "nesting")])


@pytest.mark.parametrize(
    ("region", "known"), [("nl", "NL"), ("US-ca", "US-CA"), (ABSENT, None), ("nowhere", None), (7, None)]
)
def test_the_region_is_kept_where_it_is_one(region, known):
    assert EventDecoder().request(request_value(region=region)).region == known
