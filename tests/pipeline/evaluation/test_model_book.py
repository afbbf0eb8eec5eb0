"""Which model scores a partition, whoever had it before and whatever was published."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.anomaly.artefact import MAX_BYTES
from pipeline.anomaly.scoring import NotEvaluated
from pipeline.evaluation.model_book import (
    IN_FORCE_KEY,
    KEPT,
    NONE,
    NOTHING,
    ModelBook,
    ModelInForce,
    version_of_key,
)
from tests.pipeline.evaluation.models import model_file, newer_form, published


class Topic:
    """A compacted topic, and a book that follows it."""

    def __init__(self):
        self.told = []
        self.book = ModelBook(self.told.append)
        self.records = []

    def write(self, *records, at=None):
        for key, value in records:
            offset = len(self.records)
            record = (key, value, 1_000 * offset if at is None else at, offset)
            self.records.append(record)
            self.book.offer(*record)

    def publish(self, name):
        self.write(*published(name))
        return model_file(name)[0]

    def restarted(self):
        """The book of a worker that starts now, after compaction."""
        book = ModelBook()
        last = {key: offset for key, _, _, offset in self.records}
        for record in self.records:
            if last[record[0]] == record[3]:
                book.offer(*record)
        return book


@pytest.fixture
def topic():
    return Topic()


def test_without_any_nothing_scores(topic):
    assert topic.book.for_partition(NOTHING) is NOTHING
    assert topic.book.model(NOTHING) is None
    assert topic.book.without_model is NotEvaluated.NO_MODEL


def test_what_is_published_takes_effect_once(topic):
    version = topic.publish("a")
    now = topic.book.for_partition(NOTHING)
    assert (now.version, now.offset) == (version, 1)
    assert topic.book.model(now).version == version
    assert topic.book.publication.by == "anna"
    assert topic.book.for_partition(now) is now


def test_a_model_that_nobody_put_in_force_scores_nothing(topic):
    topic.write(published("a")[0])
    assert topic.book.for_partition(NOTHING) is NOTHING


def test_the_newest_wins_and_a_former_one_can_be_published_again(topic):
    one, other = topic.publish("a"), topic.publish("b")
    first = topic.book.for_partition(NOTHING)
    assert first.version == other
    topic.publish("a")
    assert topic.book.for_partition(first).version == one


def test_a_tombstone_ends_the_scoring(topic):
    topic.publish("a")
    before = topic.book.for_partition(NOTHING)
    topic.write((IN_FORCE_KEY, None))
    now = topic.book.for_partition(before)
    assert now.version == NONE
    assert topic.book.model(now) is None
    assert topic.book.without_model is NotEvaluated.NO_MODEL
    assert topic.book.for_partition(now) is now


def test_the_same_again_changes_nothing(topic):
    topic.publish("a")
    before = topic.book.for_partition(NOTHING)
    topic.publish("a")
    assert topic.book.for_partition(before) is before


VERSION, DATA = model_file("bad")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is not a model file"),
        (DATA[:-10], "checksum does not fit"),
        (DATA[:-1] + bytes((DATA[-1] ^ 1,)), "checksum does not fit"),
        (newer_form(DATA), "written by a newer version of ott"),
        (bytes(MAX_BYTES + 1), "has more than 900,000 bytes"),
        (model_file("other")[1], "what stands under its key is model"),
    ],
    ids=["empty", "cut off", "changed", "newer", "huge", "another"],
)
def test_a_bad_one_is_refused_and_the_last_good_one_stays(topic, data, reason):
    good = topic.publish("a")
    before = topic.book.for_partition(NOTHING)
    (key, _), in_force = published("bad")
    topic.write((key, data), in_force)
    assert reason in topic.book.refused.reason
    assert VERSION in topic.book.refused.reason
    assert [refused.offset for refused in topic.told] == [3]
    assert topic.book.refusals == 1
    assert topic.book.for_partition(before) is before
    assert topic.book.for_partition(NOTHING).version == good
    # A worker that starts now still has the good one for a partition in which it is in force.
    assert topic.restarted().for_partition(before) is before
    # Where none was in force, an event has no score for another reason than that none was published.
    fresh = topic.restarted()
    assert fresh.for_partition(NOTHING) is NOTHING
    assert fresh.without_model is NotEvaluated.REFUSED_MODEL
    again = topic.publish("c")
    assert topic.book.refused is None
    assert topic.book.for_partition(before).version == again


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", "cannot be read"),
        (b'{"schema":"model-in-force/2","version":"x","by":"x","at":"x"}', "cannot be read"),
        (b'{"schema":"model-in-force/1","version":"unknown","by":"x","at":"x"}', "publish its file again"),
    ],
)
def test_a_publication_that_names_no_model_is_refused(topic, value, reason):
    topic.publish("a")
    before = topic.book.for_partition(NOTHING)
    topic.write((IN_FORCE_KEY, value))
    assert reason in topic.book.refused.reason
    assert topic.book.for_partition(before) is before


def test_a_worker_that_has_not_read_the_newest_yet_lacks_it(topic):
    """The partition comes from a worker that was ahead: this one must read on before it judges."""
    topic.publish("a")
    late = topic.restarted()
    topic.publish("b")
    in_force = topic.book.for_partition(NOTHING)
    assert late.lacks(in_force)
    assert not topic.book.lacks(in_force)
    assert not late.lacks(NOTHING)
    for record in topic.records[2:]:
        late.offer(*record)
    assert not late.lacks(in_force)
    assert late.for_partition(in_force) is in_force


def test_what_the_whole_topic_does_not_have_gives_way_to_the_newest_good_one(topic):
    in_force = ModelInForce("0123456789abcdef", 9_000, 50)
    assert topic.book.for_partition(in_force) == NOTHING
    version = topic.publish("a")
    now = topic.book.for_partition(in_force)
    assert now.version == version
    assert topic.book.for_partition(now) is now


def test_a_topic_that_was_made_anew_begins_again(topic):
    topic.publish("a")
    before = ModelInForce(model_file("a")[0], 500, 1_000)
    new = Topic()
    new.write(*published("b"), at=2_000)
    assert new.book.for_partition(before).version == model_file("b")[0]


def test_the_models_that_were_in_force_last_are_kept_and_no_others(topic):
    names = [f"n{number}" for number in range(KEPT + 2)]
    versions = [topic.publish(name) for name in names]
    assert [version for version, _ in topic.book.kept()] == versions[:1:-1]
    assert topic.book.file(versions[0]) is None
    assert topic.book.file(versions[-1]).data == model_file(names[-1])[1]


def test_models_that_are_only_written_do_not_drop_the_one_in_force(topic):
    version = topic.publish("a")
    in_force = topic.book.for_partition(NOTHING)
    for number in range(2 * KEPT):
        topic.write(published(f"n{number}")[0])
    topic.write((published("a")[0][0], None))
    assert topic.book.model(in_force).version == version


def test_a_bad_file_does_not_take_the_place_of_a_good_one(topic):
    version = topic.publish("a")
    in_force = topic.book.for_partition(NOTHING)
    (key, data), again = published("a")
    topic.write((key, data[:-1]))
    assert topic.book.for_partition(in_force) is in_force
    assert topic.book.model(in_force).version == version
    topic.write(again)
    assert topic.book.refused is None


@given(st.lists(st.tuples(st.sampled_from("abcx-"), st.booleans()), max_size=12))
def test_every_worker_comes_to_the_same_model_as_one_that_reads_the_topic_now(steps):
    """Partitions that were judged between any publications, and one of a worker that started late."""
    topic, live = Topic(), NOTHING
    good = NONE
    for name, judged in steps:
        if name == "-":
            topic.write((IN_FORCE_KEY, None))
            good = NONE
        elif name == "x":
            (key, data), in_force = published("x")
            topic.write((key, data[:-1]), in_force)
        else:
            good = topic.publish(name)
        if judged:
            live = topic.book.for_partition(live)
    live = topic.book.for_partition(live)
    assert live.version == good
    assert topic.restarted().for_partition(live).version == good


@given(st.binary(max_size=200), st.binary(max_size=2_000) | st.none())
def test_any_bytes_are_survived(key, value):
    book = ModelBook()
    for one in (key, b"model/" + key, IN_FORCE_KEY):
        book.offer(one, value, 0, 0)
        version_of_key(one)
    assert book.for_partition(NOTHING).version == NONE
    assert book.refused is None or len(book.refused.reason) < 2_000
