"""The wire forms of alerts and of rule sets in force, and the messages that tell of them."""

import json
from pathlib import Path

import jsonschema
import pytest

from pipeline.alerting.alerts import SeenFinding, SeenVerdict, close, encode_alert, opened, repeat
from pipeline.evaluation.control import encode_control
from pipeline.evaluation.rule_book import InForce
from pipeline.evaluation.verdict import Subject
from tables.alerts import AlertCodec, AlertsPartition, DueAlerts
from tables.forms import WireError
from tables.risk import RiskCodec

CONTRACT = Path(__file__).parents[2] / "docs" / "contract"
FINDING = SeenFinding("privacy.minor", "privacy", "HIGH", ("COPPA", "GDPR"), "A minor.")
VERDICT = SeenVerdict("0" * 32, Subject("user", "José"), "2026-01-01T00:00:00.000Z", (FINDING,))


def an_alert():
    return opened(VERDICT, FINDING, 1_767_225_600_000)


@pytest.mark.parametrize(
    "value",
    [
        an_alert(),
        AlertsPartition(),
        AlertsPartition(5, {29_453_821: 3, 7: 1}, 2),
        DueAlerts([]),
        DueAlerts([b"u1/privacy.minor", b"\xff/x"]),
    ],
)
def test_values_of_alerts_come_back_from_their_bytes(value):
    codec = AlertCodec()
    assert codec.decode(codec.encode(value)) == value
    assert codec.encode(codec.decode(codec.encode(value))) == codec.encode(value)


@pytest.mark.parametrize(
    "value", [InForce("v1", '{"version":"v1"}', 5, 0), InForce("built-in/1", "", -1, -1)]
)
def test_a_rule_set_in_force_comes_back_from_its_bytes(value):
    codec = RiskCodec()
    assert codec.decode(codec.encode(value)) == value


@pytest.mark.parametrize("codec", [AlertCodec(), RiskCodec()])
@pytest.mark.parametrize(
    "data", [b"", b"A", b"A\x02", b"A\x01\xc1", b"B\x01\x01", b"S\x02", b"S\x01\xc1", b"X\x01"]
)
def test_bytes_of_another_form_are_refused(codec, data):
    with pytest.raises(WireError):
        codec.decode(data)


def valid(name, value):
    schema = json.loads((CONTRACT / name).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(json.loads(value))


def test_published_alerts_keep_to_their_schema():
    alert = an_alert()
    valid("risk-alert-1.json", encode_alert(alert, "opened"))
    assert repeat(alert, VERDICT, FINDING, alert.seen + 600_000) == "updated"
    valid("risk-alert-1.json", encode_alert(alert, "updated"))
    close(alert, "2026-01-01T02:00:00.000Z", alert.seen)
    valid("risk-alert-1.json", encode_alert(alert, "closed"))


@pytest.mark.parametrize("at", [None, "2026-01-01T00:00:00.000Z"])
def test_lines_of_the_journal_keep_to_their_schema(at):
    valid("control-applied-1.json", encode_control(3, 17, "ruleset", "v1", at))
