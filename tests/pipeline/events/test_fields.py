"""Every field of an event: its limits from both sides, its default, its normal form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bounded import BoundedDict
from pipeline.events import decode
from pipeline.events.decode import EventDecoder
from pipeline.events.kinds import ACCOUNT, PLAYBACK
from tests.pipeline.events.messages import (
    ABSENT,
    ALIKE,
    DIFFERENT,
    REQUIRED,
    encode,
    encoded,
    message,
    with_member,
)

OPTIONAL = {
    "content_id": None,
    "subscription_plan": None,
    "error_code": None,
    "do_not_track": False,
    "deletion_requested": False,
    "gpc": False,
    "user_age": None,
    "data_shared": "none",
    "session_id": None,
    "extra_metadata": None,
}
"""Optional fields and what an absent one means."""

ATTRIBUTES = {"subscription_plan": "plan", "extra_metadata": "metadata"}


def attribute(event, field):
    return getattr(event, ATTRIBUTES.get(field, field))


def test_a_plain_event_in_normal_form(decode):
    event = decode(encoded())
    assert event.event_id == "event-1"
    assert event.user_id == "user-1"
    assert event.device_id == "device-1"
    assert event.content_id == "title-1"
    assert event.type == "PLAY"
    assert event.time == 1_769_890_500_000
    assert event.region == "NL"
    assert event.is_eu
    assert event.has_consent
    assert event.address == event.network == "192.0.2.7"
    for field, default in OPTIONAL.items():
        if field != "content_id":
            assert attribute(event, field) == default


@pytest.mark.parametrize(
    ("field", "largest", "beyond"),
    [
        *(
            (field, "x" * 255, "x" * 256)
            for field in ("event_id", "user_id", "device_id", "content_id", "session_id")
        ),
        ("event_id", "\U0001f600" * 255, "\U0001f600" * 256),
        ("event_id", "e\u0301" * 127 + "e", "e\u0301" * 128),
        ("event_type", "x" * 50, "x" * 51),
        ("subscription_plan", "x" * 50, "x" * 51),
        ("error_code", "x" * 100, "x" * 101),
        ("user_age", 130, 131),
        ("user_age", 0, -1),
    ],
)
def test_the_largest_value_is_accepted_and_the_next_one_is_not(field, largest, beyond, decode, refusal):
    event = decode(encoded(**{field: largest}))
    if field != "event_type":
        assert attribute(event, field) == largest
    reason, errors = refusal(encoded(**{field: beyond}))
    assert reason == "schema_violation"
    assert [path for path, _ in errors] == [field]


@pytest.mark.parametrize("field", ["event_id", "user_id", "device_id", "content_id", "event_type"])
def test_an_empty_text_is_no_id_and_no_type(field, refusal):
    assert refusal(encoded(**{field: ""})) == ("schema_violation", [(field, "string_too_short")])


@pytest.mark.parametrize("field", ["subscription_plan", "error_code", "session_id"])
def test_an_empty_text_is_kept_elsewhere(field, decode):
    assert attribute(decode(encoded(**{field: ""})), field) == ""


@pytest.mark.parametrize("field", REQUIRED)
def test_a_required_field_is_required_and_not_null(field, refusal):
    assert refusal(encoded(**{field: ABSENT})) == ("schema_violation", [(field, "missing")])
    reason, errors = refusal(encoded(**{field: None}))
    assert reason == "schema_violation"
    assert [path for path, _ in errors] == [field]


@pytest.mark.parametrize("field", sorted(set(OPTIONAL) - {"content_id"}))
@pytest.mark.parametrize("unknown", [{}, {"x": 1}], ids=["fast", "exact"])
def test_null_in_an_optional_field_means_absent(field, unknown, decode):
    event = decode(encoded(**{field: None}, **unknown))
    assert event == decode(encoded(**unknown))
    assert attribute(event, field) == OPTIONAL[field]


WRONG_TYPES = {
    "text": [1, 1.5, True, [], {}, ["x"]],
    "boolean": ["true", "false", "", 0, 1, 0.0, [], {}],
    "age": ["25", 25.0, 2.5e1, True, [], {}],
    "object": ["{}", 1, True, [], [["a", 1]]],
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (field, value)
        for kind, fields in {
            "text": [
                *REQUIRED[:6],
                "ip_address",
                "content_id",
                "subscription_plan",
                "error_code",
                "session_id",
            ],
            "boolean": ["is_eu", "has_consent"],
            "age": ["user_age"],
            "object": ["extra_metadata"],
        }.items()
        for field in fields
        for value in WRONG_TYPES[kind]
    ],
)
def test_types_are_strict(field, value, refusal):
    reason, errors = refusal(encoded(**{field: value}))
    assert reason == "schema_violation"
    assert [path for path, _ in errors] == [field]


@pytest.mark.parametrize("field", ["do_not_track", "deletion_requested", "gpc"])
@pytest.mark.parametrize("value", WRONG_TYPES["boolean"])
def test_signals_are_strict_booleans_and_a_wrong_one_is_an_opt_out_lost(field, value, refusal):
    reason, errors = refusal(encoded(**{field: value}))
    assert reason == "schema_violation"
    assert errors == [(field, "bool_type"), (field, "opt_out_not_recorded")]


@pytest.mark.parametrize("value", ["Full", "FULL", "", "all", 0, False, []])
def test_what_was_shared_is_one_of_three_words(value, refusal):
    assert refusal(encoded(data_shared=value)) == ("schema_violation", [("data_shared", "literal_error")])


@pytest.mark.parametrize("digits", ["9" * 400, "9" * 4300, "9" * 4301, "-" + "9" * 5000])
def test_an_age_of_any_length_is_out_of_range_and_no_error_of_ours(digits, refusal):
    reason, errors = refusal(with_member(b'"user_age":' + digits.encode()))
    assert reason == "schema_violation"
    assert [path for path, _ in errors] == ["user_age"]


@pytest.mark.parametrize("kind", sorted(PLAYBACK))
@pytest.mark.parametrize("content", [None, ABSENT])
def test_playback_names_its_content(kind, content, refusal):
    reason, errors = refusal(encoded(event_type=kind.lower(), content_id=content))
    assert reason == "schema_violation"
    assert [path for path, _ in errors] == ["content_id"]


@pytest.mark.parametrize("alias", ["stream_start", "stream_pause", "stream_end"])
def test_an_alias_of_a_playback_type_names_its_content_too(alias, refusal):
    reason, _ = refusal(encoded(event_type=alias, content_id=None))
    assert reason == "schema_violation"


@pytest.mark.parametrize("kind", [*sorted(ACCOUNT), "OTHER", "CAST", "\u017ftop"])
@pytest.mark.parametrize("content", [None, ABSENT, "title-1"])
def test_other_types_may_name_a_content(kind, content, decode):
    event = decode(encoded(event_type=kind, content_id=content))
    assert event.content_id == ("title-1" if content == "title-1" else None)


@pytest.mark.parametrize(
    ("kind", "code", "failed"),
    [
        ("PLAY", None, False),
        ("PLAY", "", False),
        ("PLAY", "E1", True),
        ("LOGIN", "E1", True),
        ("ERROR", None, True),
        ("error", "", True),
        ("ERRORS", None, False),
        ("LOGIN_FAILED", None, False),
    ],
)
def test_an_event_failed_by_its_code_or_its_type(kind, code, failed, decode):
    assert decode(encoded(event_type=kind, error_code=code)).failed is failed


@pytest.mark.parametrize(
    ("region", "normal"),
    [
        ("nl", "NL"),
        ("UK", "GB"),
        ("uk-eng", "GB-ENG"),
        ("EL", "GR"),
        ("us-pr", "PR"),
        ("eu", "EU"),
        ("QQ-1", "QQ-1"),
    ],
)
def test_regions_are_taken_in_their_normal_form(region, normal, decode):
    assert decode(encoded(region=region)).region == normal


@pytest.mark.parametrize("region", ["", "N", "NLD", "NL-", "NL-ABCD", "NL_NH", "N1", "ÑL", "NL "])
def test_a_region_has_a_form(region, refusal):
    assert refusal(encoded(region=region)) == ("schema_violation", [("region", "value_error")])


@pytest.mark.parametrize("field", ["timestamp", "ip_address"])
def test_an_error_of_form_names_its_field(field, refusal):
    assert refusal(encoded(**{field: "x"})) == ("schema_violation", [(field, "value_error")])


def test_every_error_is_told(refusal):
    reason, errors = refusal(encoded(event_id="", is_eu=1, user_age=131, ip_address="x", region="x"))
    assert reason == "schema_violation"
    assert {path for path, _ in errors} == {"event_id", "is_eu", "user_age", "ip_address", "region"}


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50))
def test_texts_are_neither_trimmed_nor_normalised(text):
    event = EventDecoder().event(encoded(event_id=text, user_id=text, device_id=text, subscription_plan=text))
    assert event.event_id == event.user_id == event.device_id == event.plan == text


def test_plans_are_case_sensitive_and_unknown_ones_are_kept(decode):
    assert decode(encoded(subscription_plan="Premium")).plan == "Premium"
    assert decode(encoded(subscription_plan="gold")).plan == "gold"


@pytest.mark.parametrize(("field", "value"), ALIKE)
def test_spellings_of_one_normal_form_are_equal(field, value, decode):
    assert decode(encoded(**{field: value})) == decode(encoded())


@pytest.mark.parametrize(("field", "value"), DIFFERENT)
def test_events_that_differ_in_a_known_field_differ(field, value, decode):
    assert decode(encoded(**{field: value})) != decode(encoded())


def test_events_of_two_unknown_types_have_one_normal_form(decode):
    assert decode(encoded(event_type="CAST")) == decode(encoded(event_type="ZAP"))


def test_of_a_repeated_field_the_last_counts(decode):
    value = with_member(b'"event_id":"second","user_age":500,"user_age":25')
    assert decode(value).event_id == "second"
    assert decode(value).user_age == 25


def test_unknown_fields_are_ignored_and_counted():
    decoder = EventDecoder()
    known = decoder.event(encoded())
    assert decoder.unknown_fields == 0
    assert decoder.event(encoded(schema="raw-event/1", user_agent={"os": "tv"})) == known
    assert decoder.unknown_fields == 2
    assert decoder.event(encode(message() | {"x": None})) == known
    assert decoder.unknown_fields == 3


@pytest.mark.parametrize("unknown", [{}, {"x": 1}], ids=["fast", "exact"])
def test_other_types_are_counted(unknown):
    decoder = EventDecoder()
    for kind, counted in [("PLAY", 0), ("CAST", 1), ("LOGIN", 1), ("other", 2)]:
        decoder.event(encoded(event_type=kind, **unknown))
        assert decoder.other_types == counted


def test_what_is_remembered_of_normal_forms_is_bounded_and_changes_no_answer():
    decoder = EventDecoder()
    decoder._seconds, decoder._rests = BoundedDict(3), BoundedDict(3)
    for number in range(20):
        changes = {
            "event_type": f"T{number}",
            "region": f"QQ-{number}",
            "ip_address": f"10.0.0.{number}",
            "extra_metadata": {"n": number},
            "timestamp": f"2026-01-31T20:15:{number:02d}.{number:03d}Z",
        }
        event = decoder.event(encoded(**changes))
        assert event == EventDecoder().event(encoded(**changes, x=1))
        assert len(decoder._seconds) == len(decoder._rests) == min(number + 1, 3)
    for remembered in (decode._type_of, decode._region_of, decode._address_of, decode._metadata_of):
        assert 0 < remembered.cache_info().currsize <= remembered.cache_info().maxsize == 100_000
