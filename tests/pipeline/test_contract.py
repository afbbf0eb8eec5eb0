"""The published documents are current, and messages keep to them."""

import json
from pathlib import Path

import jsonschema
import pytest

from pipeline.contract import documents
from pipeline.evaluation.evaluator import Evaluator
from pipeline.events.decode import EventDecoder
from pipeline.judging.file import FileJudge
from pipeline.rules.ruleset import built_in

ROOT = Path(__file__).parents[2]
CURRENT = ROOT / "docs" / "contract"
SAMPLES = Path(__file__).parent / "contract_samples"


def test_documents_are_current():
    written = {path.name: path.read_text(encoding="utf-8") for path in CURRENT.glob("*.json")}
    assert written == documents(), "run: make documents"


def judged(path):
    judge = FileJudge(Evaluator(built_in(), "0"))
    with path.open("rb") as file:
        return [(output.kind, json.loads(output.value)) for output in judge.judge(file)]


@pytest.mark.parametrize(
    ("kind", "schema"), [("verdict", "risk-verdict-1.json"), ("failed", "failed-event-1.json")]
)
def test_outputs_keep_to_the_published_schema(kind, schema):
    validator = jsonschema.Draft202012Validator(json.loads((CURRENT / schema).read_text(encoding="utf-8")))
    outputs = [value for of_kind, value in judged(SAMPLES / "records.jsonl") if of_kind == kind]
    assert outputs
    for output in outputs:
        validator.validate(output)


def test_what_producers_may_send_is_accepted():
    decoder = EventDecoder()
    lines = (SAMPLES / "accepted.jsonl").read_bytes().splitlines()
    assert lines
    for line in lines:
        if b"privacy-request/1" in line:
            decoder.request(line)
        else:
            decoder.event(line)
