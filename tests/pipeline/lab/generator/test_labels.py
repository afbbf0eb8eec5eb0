"""The labels hold: the judge finds what they expect and nothing else, and fails what they call broken."""

import io
import json
from collections import defaultdict

import pytest

from pipeline.assembly import build_evaluator
from pipeline.judging.file import FileJudge
from pipeline.lab.generator.labels import Truth
from pipeline.lab.generator.ledger import Ledger
from pipeline.lab.generator.lines import EnvelopeLines, LineSink, RawLines
from pipeline.lab.generator.marks import Health, Proof
from pipeline.settings.schema import Settings
from tests.pipeline.lab.generator.conftest import simulate

pytestmark = [pytest.mark.slow, pytest.mark.essential]

FORMS = {"raw": RawLines, "envelope": lambda: EnvelopeLines("raw-events", "privacy-requests", 8)}


class Judged:
    """One run, written to lines, judged, with its labels."""

    def __init__(self, form: str, seed: int) -> None:
        labels: list[dict] = []
        file = io.BytesIO()
        self.ledger = Ledger(Truth(labels.append))
        sink = LineSink(file, FORMS[form](), self.ledger)
        with_topic = form == "envelope"
        options = {"with_topic": with_topic, "stamped_on_arrival": with_topic, "requests": 50, "seed": seed}
        sink.write(simulate(20_000, broken_share=0.02, duplicate_share=0.02, late_share=0.02, **options))
        self.ledger.truth.finish()
        self.users = {label["id"]: label for label in labels if label["label"] == "user"}
        self.subjects = {
            (label["label"], label["id"]): label
            for label in labels
            if label["label"] in ("content", "device")
        }
        self.messages = [label for label in labels if label["label"] == "message"]
        file.seek(0)
        judge = FileJudge(build_evaluator(Settings()))
        self.findings: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
        self.failed: dict[tuple, dict] = {}
        for kind, value in judge.judge(file):
            document = json.loads(value)
            if kind == "failed":
                self.failed[_place(document["source"])] = document
                continue
            subject = (document["subject"]["type"], document["subject"]["id"])
            for finding in document["findings"]:
                times = self.findings[subject]
                rule = finding["rule_id"]
                times[rule] = min(times.get(rule, "9"), document["event_time"])
        self.accounts = judge.counts


def _place(source: dict) -> tuple:
    return source["topic"], source["partition"], source["offset"]


@pytest.fixture(scope="module", params=[("raw", 11), ("envelope", 12)], ids=lambda param: param[0])
def judged(request) -> Judged:
    return Judged(*request.param)


def test_the_accounts_are_those_of_the_summary(judged):
    summary = judged.ledger.summary()
    assert judged.accounts.judged == summary["judged"]
    assert judged.accounts.duplicate == summary["duplicate"]
    assert judged.accounts.failed == summary["failed"] + summary["failed_requests"]
    assert judged.accounts.requests == summary["requests"] - summary["failed_requests"]
    assert summary["events"] == 20_000
    assert summary["requests"] == 50


def test_what_a_label_expects_is_found(judged):
    missing = {
        (label["kind"], rule, label["id"])
        for label in judged.users.values()
        for rule in label["expect"]
        if rule not in judged.findings["user", label["id"]]
    }
    assert not missing


def test_what_a_label_does_not_allow_is_not_found(judged):
    unexpected = {
        (label["kind"], rule, label["id"])
        for label in judged.users.values()
        for rule in judged.findings["user", label["id"]]
        if rule not in label["expect"] and rule not in label["may"]
    }
    assert not unexpected


def test_a_clean_user_has_no_verdict(judged):
    clean = [label for label in judged.users.values() if label["clean"]]
    assert len(clean) > 200
    assert not [label["id"] for label in clean if judged.findings["user", label["id"]]]


def test_look_alikes_are_not_flagged_for_what_they_look_like(judged):
    kinds = {label["kind"] for label in judged.users.values() if label["expect_not"]}
    assert kinds >= {
        "mobile",
        "traveller",
        "minor_with_consent",
        "forgetful",
        "vpn_exits",
        "commuter",
        "binge",
    }
    for label in judged.users.values():
        assert not set(label["expect_not"]) & set(judged.findings["user", label["id"]])


def test_every_rule_about_users_is_expected_of_somebody(judged):
    expected = {rule for label in judged.users.values() for rule in label["expect"]}
    assert expected == {
        "account.concurrent_streams",
        "account.high_frequency",
        "account.impossible_travel",
        "account.login_failures",
        "account.multi_ip",
        "account.multi_region",
        "privacy.consent_missing",
        "privacy.jurisdiction_mismatch",
        "privacy.minor",
        "privacy.sharing_without_consent",
        "retention.opt_out_ignored",
    }


def test_titles_and_devices_are_flagged_as_labelled(judged):
    for subject, label in judged.subjects.items():
        found = set(judged.findings[subject])
        assert set(label["expect"]) <= found <= set(label["expect"]) | set(label["may"])
    expected = {label["kind"] for label in judged.subjects.values() if label["expect"]}
    assert expected == {"outage", "faulty_device"}
    assert {label["kind"] for label in judged.subjects.values() if label["expect_not"]} >= {"rough_title"}


def test_every_broken_message_fails_as_labelled_and_nothing_else_does(judged):
    labelled = {_place(label["source"]): label for label in judged.messages if label["fate"] == "failed"}
    assert set(labelled) == set(judged.failed)
    for place, label in labelled.items():
        failed = judged.failed[place]
        lost = any(error["type"] == "opt_out_not_recorded" for error in failed["errors"])
        assert (failed["reason"], lost) == (label["reason"], label["opt_out_not_recorded"]), label


def test_every_reason_occurs(judged):
    reasons = {label["reason"] for label in judged.messages if label["fate"] == "failed"}
    assert reasons >= {"not_json", "schema_violation", "too_large", "duplicate_id_conflict"}


def test_labels_of_users_count_their_events(judged):
    assert sum(label["events"] for label in judged.users.values()) == judged.accounts.judged


def test_a_story_that_was_cut_off_promises_nothing():
    # A user whose proof was not sent is not expected to be flagged.
    records = simulate(20_000)
    first_proof = next(n for n, record in enumerate(records) if isinstance(record.mark, Proof))
    labels: list[dict] = []
    truth = Truth(labels.append)
    for record in records[:first_proof]:
        truth.note(record, None)
    truth.finish()
    assert not any(label.get("expect") for label in labels if label["label"] == "user")


def test_a_title_with_few_events_promises_nothing():
    labels: list[dict] = []
    truth = Truth(labels.append)
    failing = next(r for r in simulate(20_000) if isinstance(r.mark, Health) and r.mark.failed)
    for _ in range(10):
        truth.note(failing, None)
    truth.finish()
    label = next(label for label in labels if label["label"] in ("content", "device"))
    assert label["failed"] == 10
    assert label["expect"] == {}
