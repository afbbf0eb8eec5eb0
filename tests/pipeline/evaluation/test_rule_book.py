"""Which rule set judges a partition, whoever had it before and whatever was published."""

import json

import pytest

from pipeline.evaluation.rule_book import OWN, InForce, RuleBook
from pipeline.rules.ruleset import RuleSetError, built_in, read_ruleset


def document(version, **limits):
    return json.dumps({"version": version, "rules": {"account.multi_ip": limits}}).encode()


@pytest.fixture
def told():
    return []


@pytest.fixture
def book(told):
    return RuleBook(built_in(), told.append, told.append)


def test_without_any_the_worker_s_own_judges(book):
    in_force = book.for_partition(None)
    assert (in_force.version, in_force.document) == ("built-in/1", OWN)
    assert book.ruleset(in_force) is book.own
    assert book.for_partition(in_force) is in_force


def test_what_is_published_takes_effect_once(book):
    before = book.for_partition(None)
    book.offer(document("v1", medium_over=9), 1_000, 0)
    now = book.for_partition(before)
    assert now.version == "v1"
    assert book.ruleset(now).rules["account.multi_ip"].medium_over == 9
    assert book.for_partition(now) is now


def test_toml_is_as_good_as_json(book):
    book.offer(b'version = "v2"\n[rules."account.multi_ip"]\nmode = "off"\n', 1, 0)
    assert book.ruleset(book.newest).modes["account.multi_ip"] == "off"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\xff", "not UTF-8"),
        (b"{", "neither TOML nor JSON"),
        (b'{"version":"v2","rules":{"account.none":{}}}', "no such rule"),
        (document("v2", medium_over=-1), "medium_over"),
        (document("v1", medium_over=10), "version 'v1' is that of another rule set"),
        (document("built-in/1", medium_over=10), "version 'built-in/1' is that of another rule set"),
    ],
)
def test_a_bad_one_is_refused_and_the_last_good_one_stays(book, told, value, reason):
    book.offer(document("v1", medium_over=9), 1_000, 0)
    in_force = book.for_partition(None)
    book.offer(value, 2_000, 1)
    assert reason in book.refused.reason
    assert (book.refused.published, book.refused.offset) == (2_000, 1)
    assert [refused.offset for refused in told] == [1]
    assert book.for_partition(in_force) is in_force
    assert book.for_partition(None).version == "v1"
    book.offer(document("v3"), 3_000, 2)
    assert book.refused is None
    assert book.for_partition(in_force).version == "v3"


def test_a_tombstone_gives_back_the_worker_s_own(book):
    book.offer(document("v1", medium_over=9), 1_000, 0)
    in_force = book.for_partition(None)
    book.offer(None, 2_000, 1)
    now = book.for_partition(in_force)
    assert (now.version, now.document) == ("built-in/1", OWN)
    assert book.for_partition(now) is now


def test_the_same_again_changes_nothing(book):
    book.offer(document("v1", medium_over=9), 1_000, 0)
    in_force = book.for_partition(None)
    book.offer(document("v1", medium_over=9), 5_000, 7)
    assert book.for_partition(in_force) is in_force


def test_a_worker_that_has_not_read_the_newest_yet_does_not_go_back(book):
    """The partition comes from a worker that had read v2 already."""
    book.offer(document("v1", medium_over=9), 1_000, 0)
    in_force = InForce("v2", document("v2", medium_over=10).decode(), 2_000, 1)
    assert book.for_partition(in_force) is in_force
    assert book.ruleset(in_force).rules["account.multi_ip"].medium_over == 10


def test_a_worker_that_has_read_nothing_goes_on_with_what_was_in_force(book):
    in_force = InForce("v2", document("v2", medium_over=10).decode(), 2_000, 1)
    assert book.for_partition(in_force) is in_force


def test_a_topic_that_was_made_anew_begins_again(book):
    in_force = InForce("v2", document("v2", medium_over=10).decode(), 2_000, 1_000)
    book.offer(document("v3"), 3_000, 0)
    assert book.for_partition(in_force).version == "v3"


def test_other_settings_of_the_worker_are_told_apart(book):
    before = book.for_partition(None)
    other = RuleBook(read_ruleset({"version": "house/2"}))
    now = other.for_partition(before)
    assert (now.version, now.document) == ("house/2", OWN)


def test_one_in_force_that_this_version_cannot_read_gives_way_to_the_worker_s_own(book, told):
    in_force = InForce("v9", '{"version":"v9","rules":{"of.the_future":{}}}', 2_000, 1)
    now = book.for_partition(in_force)
    assert (now.version, now.document) == ("built-in/1", OWN)
    assert book.ruleset(now) is book.own
    assert "of.the_future" in told[0]


def test_a_version_that_is_taken_is_refused_before_it_is_published(book):
    with pytest.raises(RuleSetError, match="choose a new one"):
        book.check_version(read_ruleset(json.loads(document("built-in/1", medium_over=7))))
    book.check_version(read_ruleset({"version": "built-in/1"}))
