"""Batches of one partition: keys of outputs, counts, partition time; cutting them elsewhere changes nothing."""

import json

from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.batch import PartitionState, evaluate_batch
from pipeline.evaluation.evaluator import Evaluator
from pipeline.evaluation.pseudonyms import pseudonymiser
from pipeline.judging.file import AllUsers
from pipeline.rules.ruleset import built_in, read_ruleset
from tests.oracle.streams import streams
from tests.pipeline.evaluation.records import NOW, record, request

TOPIC = "raw-events"


class Elsewhere(AllUsers):
    def owns(self, user_id):
        return user_id != "user-2"


def batch(records, *, requests=False, users=None, partition=None, ruleset=None, **options):
    partition = PartitionState() if partition is None else partition
    evaluator = Evaluator(ruleset or built_in(), "1", **options)
    users = AllUsers() if users is None else users
    return evaluate_batch(evaluator, records, users, partition, TOPIC, requests=requests), partition


def test_every_record_ends_in_one_way_and_is_counted():
    records = [
        record(offset=0),
        record(offset=1),
        record(offset=2, is_eu=False),
        record(offset=3, event_id="event-2", is_eu=False, has_consent=False),
        record(b"{", offset=4, key=b"k"),
        record(offset=5, user_id="user-2"),
        record(offset=6, event_id="event-3", timestamp="2026-01-31T18:00:00Z"),
        record(offset=7, event_id="event-4"),
    ]
    outputs, partition = batch(records, users=Elsewhere())
    assert [key for key, _ in outputs.flagged] == [b"user-1"]
    assert [(key, json.loads(value)["reason"]) for key, value in outputs.failed] == [
        (None, "duplicate_id_conflict"),
        (b"k", "not_json"),
    ]
    assert outputs.misplaced == [(5, "user-2")]
    assert {name: partition.counts[name] for name in ("judged", "duplicate", "failed", "misplaced")} == {
        "judged": 4,
        "duplicate": 1,
        "failed": 2,
        "misplaced": 1,
    }
    assert partition.counts["late"] == 1
    assert partition.counts["flagged"] == 1
    assert partition.counts["failed.not_json"] == 1
    assert partition.counts["level.HIGH"] == 1
    assert partition.counts["rule.privacy.consent_missing"] == 1


def test_requests_are_counted_as_applied_or_failed():
    outputs, partition = batch([request(), request("forget")], requests=True)
    assert outputs.flagged == []
    assert len(outputs.failed) == 1
    assert (partition.counts["request"], partition.counts["failed"]) == (1, 1)
    assert partition.times == {}


def test_shadow_findings_are_counted():
    ruleset = read_ruleset({"version": "1", "rules": {"privacy.jurisdiction_mismatch": {"mode": "shadow"}}})
    outputs, partition = batch([record(is_eu=False)], ruleset=ruleset)
    assert outputs.flagged == []
    assert partition.counts["shadow.privacy.jurisdiction_mismatch"] == 1
    assert partition.counts["judged"] == 1


def test_the_key_of_a_verdict_is_the_user_as_shown():
    show = pseudonymiser(b"key")
    outputs, _ = batch([record(is_eu=False)], show=show)
    assert [key for key, _ in outputs.flagged] == [show("user-1").encode()]


def test_partition_time_is_the_largest_of_the_earlier_of_event_and_record_time():
    cases = [
        ([record()], NOW),
        ([record(stamped=NOW + 5)], NOW),
        ([record(stamped=NOW - 5)], NOW - 5),
        ([record(stamped=0, timestamp="1970-01-01T00:05:00Z")], 0),
        ([record(), record(event_id="event-2", timestamp="2026-01-31T20:14:00Z")], NOW),
        ([record(), record(event_id="event-2", timestamp="2026-01-31T18:00:00Z")], NOW),
        ([record(), record(is_eu=False, timestamp="2026-01-31T20:16:00Z")], NOW),
        ([record(stamped=NOW), record(stamped=NOW + 99, event_type="play")], NOW),
        ([record(timestamp="2026-01-31T20:16:00Z", stamped=NOW - 600_000)], None),
    ]
    for records, expected in cases:
        _, partition = batch(records)
        assert partition.times.get(TOPIC) == expected
    # A late event moves it, where another user's is older still.
    late = record(user_id="user-9", event_id="event-3", timestamp="2026-01-31T18:00:00Z", stamped=NOW)
    _, partition = batch([record(stamped=5 * 60_000 + 1, timestamp="1970-01-01T00:05:00Z"), late])
    assert partition.times == {TOPIC: NOW - 8_100_000}


def test_partition_time_never_goes_back():
    _, partition = batch([record()])
    batch([record(event_id="event-2", timestamp="2026-01-31T20:14:00Z")], partition=partition)
    assert partition.times == {TOPIC: NOW}


@given(streams(), st.lists(st.integers(0, 40), max_size=3))
def test_where_batches_are_cut_changes_nothing(records, cuts):
    whole, pieces = run(records, []), run(records, cuts)
    assert whole == pieces


def run(records, cuts):
    """Outputs and states of a partition whose batches end at `cuts` and where the topic changes."""
    users, partition, flagged, failed = AllUsers(), PartitionState(), [], []
    evaluator = Evaluator(built_in(), "1")
    waiting = []
    for number, (one, is_request) in enumerate([*records, (None, None)]):
        if waiting and (one is None or number in cuts or waiting[-1][1] != is_request):
            outputs = evaluate_batch(
                evaluator, [each for each, _ in waiting], users, partition, TOPIC, requests=waiting[-1][1]
            )
            flagged += outputs.flagged
            failed += outputs.failed
            waiting = []
        waiting.append((one, is_request))
    return flagged, failed, users, partition
