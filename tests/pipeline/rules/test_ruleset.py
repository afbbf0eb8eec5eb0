"""Reading rule sets: what is refused, with its place and the reason; modes; parameters."""

import json

import pytest

from pipeline.rules.ruleset import (
    SUBJECT_RULES,
    USER_RULES,
    RuleSetError,
    built_in,
    parse_ruleset,
    read_ruleset,
)


def with_rule(rule_id, **parameters):
    return {"version": "1", "rules": {rule_id: parameters}}


def test_the_built_in_one_has_every_rule_active_with_its_defaults():
    ruleset = built_in()
    assert ruleset.rules == {kind.rule_id: kind() for kind in (*USER_RULES, *SUBJECT_RULES)}
    assert set(ruleset.modes.values()) == {"active"}
    assert ruleset.shadow == frozenset()


def test_user_rules_stand_in_the_order_of_their_ids():
    assert [kind.rule_id for kind in USER_RULES] == sorted(kind.rule_id for kind in USER_RULES)


def test_toml_and_json_say_the_same():
    toml = 'version = "2"\n[rules."account.multi_ip"]\nmedium_over = 8\nmode = "shadow"\n'
    as_json = json.dumps(
        {"version": "2", "rules": {"account.multi_ip": {"medium_over": 8, "mode": "shadow"}}}
    )
    assert parse_ruleset(toml) == parse_ruleset(as_json)
    assert parse_ruleset(toml).rules["account.multi_ip"].medium_over == 8
    assert parse_ruleset(toml).rules["account.multi_ip"].high_over == 10
    assert parse_ruleset(toml).shadow == {"account.multi_ip"}


def test_off_rules_do_not_judge_and_shadow_rules_do():
    ruleset = read_ruleset(
        {
            "version": "1",
            "rules": {
                "account.multi_ip": {"mode": "off"},
                "privacy.minor": {"mode": "off"},
                "account.multi_region": {"mode": "shadow"},
                "device.error_rate": {"mode": "off"},
            },
        }
    )
    judging = {rule.rule_id for rule in (*ruleset.legal, *ruleset.behavioural)}
    assert judging == {kind.rule_id for kind in USER_RULES} - {"account.multi_ip", "privacy.minor"}
    assert [rule.rule_id for rule in ruleset.subjects] == ["content.error_rate"]
    assert ruleset.shadow == {"account.multi_region"}


@pytest.mark.parametrize(
    ("document", "place", "reason"),
    [
        ([], "object", "must be"),
        ({}, "version", "1 to 100 characters"),
        ({"version": ""}, "version", "1 to 100 characters"),
        ({"version": " "}, "version", "1 to 100 characters"),
        ({"version": "x" * 101}, "version", "1 to 100 characters"),
        ({"version": 1}, "version", "1 to 100 characters"),
        ({"version": "a\nb"}, "version", "printable"),
        ({"version": "\ud800"}, "version", "printable"),
        ({"version": "1", "rule": {}}, "'rule'", "unknown members"),
        ({"version": "1", "rules": []}, "rules", "must be a table"),
        ({"version": "1", "rules": {"account.nothing": {}}}, "rules.account.nothing", "no such rule"),
        ({"version": "1", "rules": {"privacy.minor": 1}}, "rules.privacy.minor", "must be a table"),
        (with_rule("privacy.minor", mode="on"), "rules.privacy.minor.mode", "'on' is not one of"),
        (with_rule("privacy.minor", mode=None), "rules.privacy.minor.mode", "None is not one of"),
        (with_rule("privacy.minor", age=3), "rules.privacy.minor.age", "Unexpected"),
        (with_rule("account.multi_ip", medium=3), "rules.account.multi_ip.medium", "Unexpected"),
        (with_rule("account.multi_ip", medium_over=-1), "rules.account.multi_ip.medium_over", "-1"),
        (with_rule("account.multi_ip", medium_over="3"), "rules.account.multi_ip.medium_over", "'3'"),
        (with_rule("account.multi_ip", medium_over=True), "rules.account.multi_ip.medium_over", "True"),
        (with_rule("account.multi_ip", medium_over=3.0), "rules.account.multi_ip.medium_over", "3.0"),
        (with_rule("account.multi_ip", high_over=10**30), "rules.account.multi_ip.high_over", "1000000"),
        (
            with_rule("account.impossible_travel", max_speed_kmh=0),
            "rules.account.impossible_travel.max_speed_kmh",
            "greater than 0",
        ),
        (
            with_rule("account.impossible_travel", max_speed_kmh=float("nan")),
            "rules.account.impossible_travel.max_speed_kmh",
            "finite",
        ),
        (
            with_rule("account.impossible_travel", min_distance_km=float("inf")),
            "rules.account.impossible_travel.min_distance_km",
            "finite",
        ),
        (with_rule("content.error_rate", high_over=1.5), "rules.content.error_rate.high_over", "1.5"),
        (with_rule("content.error_rate", high_min_events=0), "rules.content.error_rate.high_min_events", "0"),
        (
            with_rule("account.concurrent_streams", plan_limits={"basic": 0}),
            "rules.account.concurrent_streams.plan_limits.basic",
            "0",
        ),
        (
            with_rule("retention.opt_out_ignored", lower_unless_shared=1),
            "rules.retention.opt_out_ignored.lower_unless_shared",
            "boolean",
        ),
    ],
)
def test_a_bad_one_is_refused_with_the_place_and_the_reason(document, place, reason):
    with pytest.raises(RuleSetError) as refused:
        read_ruleset(document)
    assert place in str(refused.value)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    "text", ["version = ", "{", '{"version": NaN-}', "[" * 10_000, '{"a":' + "[" * 100_000, "\x00"]
)
def test_what_is_neither_toml_nor_json_is_refused(text):
    with pytest.raises(RuleSetError, match=r"rules\.toml: is neither TOML nor JSON"):
        parse_ruleset(text, "rules.toml")


def test_a_refusal_names_the_document():
    with pytest.raises(RuleSetError, match=r"^rules\.toml: version must"):
        parse_ruleset("version = 1", "rules.toml")


def test_a_whole_number_is_a_fraction_too():
    ruleset = read_ruleset(with_rule("account.impossible_travel", max_speed_kmh=900))
    assert repr(ruleset.rules["account.impossible_travel"].max_speed_kmh) == "900.0"
