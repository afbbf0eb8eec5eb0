"""Every rule says what to do, every legal rule on which articles it rests, and docs/runbook.md has it all."""

import tomllib
from pathlib import Path

import pytest

from pipeline.jurisdictions.packaged import packaged_text
from pipeline.rules.finding import LEGAL
from pipeline.rules.ruleset import RULES
from pipeline.runbook import GUIDANCE, document

LAWS = {law["id"]: law for law in tomllib.loads(packaged_text("laws.toml"))["law"]}


@pytest.mark.parametrize("rule_id", sorted(RULES))
def test_a_rule_says_what_to_do(rule_id):
    runbook = GUIDANCE[rule_id].runbook
    assert runbook.startswith("Check ")
    assert "leave " in runbook, "it says when nothing has to be done"
    assert runbook.endswith(".")


@pytest.mark.parametrize("rule_id", sorted(RULES))
def test_legal_rules_and_only_they_have_references_with_the_official_name(rule_id):
    references = GUIDANCE[rule_id].references
    assert bool(references) == (RULES[rule_id].dimension in LEGAL)
    for reference in references:
        law = LAWS[reference.split(":")[0]]
        assert reference.startswith(f"{law['id']}: {law['name']}, ")


@pytest.mark.parametrize(
    ("rule_id", "value"),
    [("privacy.consent_missing", "asks_consent"), ("retention.opt_out_ignored", "grants_right")],
)
def test_every_law_that_such_a_finding_can_name_is_referred_to_by_the_source_of_the_table(rule_id, value):
    named = {name for name, law in LAWS.items() if law[value]["value"]}
    assert {reference.split(":")[0] for reference in GUIDANCE[rule_id].references} == named


def test_the_document_is_current():
    page = Path(__file__).parents[2] / "docs" / "runbook.md"
    assert page.read_text(encoding="utf-8") == document(), "run: make documents"
