"""A run adds up only if every sum does, and what does not is named."""

import json
from dataclasses import replace

import pytest

from pipeline.cli.demo.accounts import Balance, RecordCounts, read_status
from pipeline.lab.demo_token import DemoWorker

EVEN = Balance(
    sent=10,
    accounts=RecordCounts(read=10, judged=7, duplicate=2, failed=1, flagged=3, late=1, requests=4, rekeyed=2),
    flagged_on_topic=3,
    failed_on_topic=1,
)


def test_accounts_that_add_up_have_no_fault():
    assert EVEN.faults() == []


@pytest.mark.parametrize(
    ("uneven", "fault"),
    [
        (replace(EVEN, sent=11), "read = 10, sent = 11"),
        (replace(EVEN, flagged_on_topic=2), "verdicts on flagged-events = 2, flagged = 3"),
        (replace(EVEN, flagged_on_topic=4), "verdicts on flagged-events = 4, flagged = 3"),
        (replace(EVEN, failed_on_topic=0), "records on failed-events = 0, failed = 1"),
        (
            replace(EVEN, accounts=replace(EVEN.accounts, judged=6)),
            "judged + duplicate + failed = 9, read = 10",
        ),
    ],
)
def test_a_sum_that_does_not_add_up_is_named(uneven, fault):
    assert uneven.faults() == [fault]
    assert json.loads(uneven.as_json())["adds_up"] is False


def test_the_accounts_are_one_line_of_json():
    assert "\n" not in EVEN.as_json()
    assert json.loads(EVEN.as_json()) == {
        "sent": 10,
        "read": 10,
        "judged": 7,
        "duplicate": 2,
        "failed": 1,
        "flagged": 3,
        "late": 1,
        "requests": 4,
        "rekeyed": 2,
        "flagged_on_topic": 3,
        "failed_on_topic": 1,
        "adds_up": True,
    }


def test_earlier_runs_on_a_cluster_do_not_count():
    earlier = RecordCounts(read=3, judged=3, flagged=1)
    assert EVEN.accounts.since(earlier) == replace(EVEN.accounts, read=7, judged=4, flagged=2)


def test_a_worker_that_does_not_answer_has_no_status(free_port):
    assert read_status(DemoWorker(f"http://127.0.0.1:{free_port}")) is None
