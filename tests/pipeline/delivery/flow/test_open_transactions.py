"""Counts of and warnings about open transactions, with a clock that the test sets."""

import pytest
from faust.types import TP

from pipeline.delivery.flow.open_transactions import HELD_SECONDS, WARNING_SECONDS, OpenTransactions
from pipeline.delivery.runtime import Unread

PARTITION = TP("raw-events", 1)


def held_up(at, withheld):
    """All that is readable was handed out; so many records lie behind an open transaction."""
    return {PARTITION: Unread(at, at, withheld, withheld)}


@pytest.fixture
def watch():
    return OpenTransactions()


def test_records_behind_a_transaction_that_stays_open_are_counted(watch):
    assert not list(watch.look(held_up(7, 3), 0.0))
    assert watch.held == {}
    list(watch.look(held_up(7, 4), HELD_SECONDS))
    assert watch.held == {PARTITION: 4}
    list(watch.look(held_up(11, 0), HELD_SECONDS + 1))
    assert watch.held == {}


def test_short_transactions_one_after_the_other_are_not_counted(watch):
    for second in range(60):
        assert not list(watch.look(held_up(second * 10, 5), float(second)))
        assert watch.held == {}


def test_reading_up_to_an_open_transaction_does_not_restart_its_time(watch):
    list(watch.look({PARTITION: Unread(0, 0, 10, 4)}, 0.0))
    list(watch.look({PARTITION: Unread(5, 5, 5, 4)}, HELD_SECONDS))
    assert watch.held == {PARTITION: 4}


def test_each_blocked_period_is_warned_about_once(watch):
    said = [text for second in range(60) for text in watch.look(held_up(7, 3), float(second))]
    assert len(said) == 1
    assert "3 records of raw-events/1 have waited 15 s" in said[0]
    assert "abort --topic raw-events --partition 1 --start-offset 7" in said[0]
    assert not list(watch.look(held_up(10, 0), 61.0))
    assert not list(watch.look(held_up(20, 1), 62.0))
    assert len(list(watch.look(held_up(20, 1), 62.0 + WARNING_SECONDS))) == 1
