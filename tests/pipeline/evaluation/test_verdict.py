"""Verdicts: their bytes, their score, their identity."""

import json

import msgspec
import pytest

from pipeline.anomaly.shipped import shipped_model
from pipeline.evaluation.verdict import dimension_levels, encode_verdict, plan_score, risk_level
from pipeline.rules.finding import Finding
from tests.pipeline.evaluation.records import Judge, verdict

KEYS = [
    *("schema", "verdict_id", "subject", "event_id", "user_id", "device_id", "content_id", "region"),
    *("event_type", "event_time", "risk_level", "score", "dimensions", "findings", "regulations"),
    *("subscription_plan", "plan_adjustment", "late", "source", "ruleset_version", "model_version"),
]


def finding(severity, dimension="account", rule_id="account.x"):
    return Finding(rule_id, dimension, severity, (), "A sentence.", {})


def test_the_bytes_of_a_verdict():
    outcome = Judge().event(
        offset=7,
        stamped=1_769_890_501_000,
        is_eu=False,
        user_id="ü\u2028\x7f",
        content_id='a"/\\\n',
        region="nl",
    )
    identity = outcome.verdict.verdict_id
    assert outcome.published.decode() == (
        '{"schema":"risk-verdict/1","verdict_id":"' + identity + '",'
        '"subject":{"type":"user","id":"ü\u2028\x7f"},"event_id":"event-1","user_id":"ü\u2028\x7f",'
        '"device_id":"device-1","content_id":"a\\"/\\\\\\n","region":"NL","event_type":"PLAY",'
        '"event_time":"2026-01-31T20:15:00.000Z","risk_level":"MEDIUM","score":3,'
        '"dimensions":{"privacy":"MEDIUM"},"findings":[{"rule_id":"privacy.jurisdiction_mismatch",'
        '"dimension":"privacy","severity":"MEDIUM","regulations":["GDPR"],'
        '"summary":"The region NL lies in the EEA, but the event says that the GDPR does not apply.",'
        '"evidence":{"region":"NL","is_eu":false,"region_in_eea":true}}],"regulations":["GDPR"],'
        '"subscription_plan":null,"plan_adjustment":0,"late":false,'
        '"source":{"topic":"raw-events","partition":0,"offset":7},'
        '"ruleset_version":"built-in/1","model_version":null}'
    )


def test_control_characters_are_escaped_as_python_does():
    text = "".join(map(chr, range(0x20)))
    outcome = Judge().event(user_id=text, is_eu=False)
    assert json.dumps(text, ensure_ascii=False).encode() in outcome.published


def test_keys_stand_in_the_contracts_order():
    outcome = Judge().event(is_eu=False, has_consent=False, gpc=True, data_shared="full", user_age=3)
    shown = verdict(outcome)
    assert list(shown) == KEYS
    assert [list(one) for one in shown["findings"]] == [
        ["rule_id", "dimension", "severity", "regulations", "summary", "evidence"]
    ] * len(shown["findings"])
    rule_ids = [one["rule_id"] for one in shown["findings"]]
    assert len(rule_ids) == 5
    assert rule_ids == sorted(rule_ids)
    assert list(shown["dimensions"]) == sorted(shown["dimensions"])
    assert shown["regulations"] == ["GDPR"]


def test_saturated_stands_last_in_a_finding():
    full = msgspec.structs.replace(finding("HIGH"), saturated=True)
    assert list(json.loads(msgspec.json.encode(full))) == [
        *("rule_id", "dimension", "severity", "regulations", "summary", "evidence", "saturated")
    ]


def test_a_whole_fraction_prints_as_one():
    judge = Judge()
    judge.event(region="US-CA", is_eu=False)
    outcome = judge.event(event_id="event-2", timestamp="2026-01-31T21:15:00Z")
    assert b'"hours":1.0,' in outcome.published
    assert b'"min_distance_km":500.0,' in outcome.published


@pytest.mark.parametrize(
    ("severities", "plan", "adjustment", "score"),
    [
        pytest.param([("LOW", "account")], None, 0, 1, id="no plan"),
        pytest.param([("LOW", "account")], "standard", 0, 1, id="standard"),
        pytest.param([("LOW", "account")], "gold", 0, 1, id="an unknown plan"),
        pytest.param([("LOW", "account")], "Basic", 0, 1, id="case-sensitive"),
        pytest.param([("LOW", "account")], "basic", 1, 2, id="basic"),
        pytest.param([("LOW", "account")], "free", 1, 2, id="free"),
        pytest.param([("LOW", "account")], "trial", 1, 2, id="trial"),
        pytest.param([("MEDIUM", "account")], "premium", -1, 2, id="premium"),
        pytest.param([("MEDIUM", "anomaly")], "family", -1, 2, id="family"),
        pytest.param([("MEDIUM", "account")], "vip", -1, 2, id="vip"),
        pytest.param([("LOW", "account")], "vip", -1, 0, id="down to nothing"),
        pytest.param([("HIGH", "privacy")], "vip", 0, 5, id="legal points stay"),
        pytest.param([("HIGH", "privacy")], "basic", 0, 5, id="legal points stay on a cheap plan"),
        pytest.param([("HIGH", "retention"), ("LOW", "account")], "vip", -1, 5, id="both"),
        pytest.param([("HIGH", "privacy"), ("HIGH", "privacy")], "free", 0, 10, id="every rule adds"),
        pytest.param([], "free", 0, 0, id="nothing"),
    ],
)
def test_the_plan_adjusts_behavioural_points_only(severities, plan, adjustment, score):
    assert plan_score([finding(*one) for one in severities], plan) == (adjustment, score)


@pytest.mark.parametrize(
    ("score", "level"),
    [(0, "NONE"), (1, "LOW"), (2, "LOW"), (3, "MEDIUM"), (4, "MEDIUM"), (5, "HIGH"), (99, "HIGH")],
)
def test_level(score, level):
    assert risk_level(score) == level


def test_each_dimension_has_its_highest_severity():
    found = [
        finding("HIGH", "privacy"),
        finding("LOW", "privacy"),
        finding("LOW", "account"),
        finding("MEDIUM", "account"),
    ]
    assert dimension_levels(found) == {"account": "MEDIUM", "privacy": "HIGH"}


VARIED = [
    {"offset": 1},
    {"partition": 1},
    {"topic": "raw-events-rekeyed"},
    {"topic": None},
    {"event_id": "event-2"},
    {"user_id": "user-2"},
    {"device_id": "device-2"},
    {"content_id": "title-2"},
    {"extra_metadata": {"a": 1}},
    {"extra_metadata": {"a": 1.0}},
    {"extra_metadata": {"a": True}},
    {"subscription_plan": "gold"},
]


def test_an_id_belongs_to_a_record_its_content_and_the_rules():
    ids = [Judge().event(is_eu=False, **changes).verdict.verdict_id for changes in ({}, *VARIED)]
    ids.append(Judge(model=shipped_model()).event(is_eu=False).verdict.verdict_id)
    assert len(set(ids)) == len(ids)
    assert all(len(identity) == 32 and int(identity, 16) >= 0 for identity in ids)


def test_the_same_record_has_the_same_bytes_whatever_its_form_and_timestamp():
    first = Judge().event(is_eu=False, region="NL")
    again = Judge().event(is_eu=False, region="nl", stamped=1_769_890_500_000, key=b"x")
    assert first.published == again.published == encode_verdict(first.verdict)
