"""The risk agent takes the newest rule set between two slices of a partition, and writes down where.

offsets of raw-events     0 ... 3 | 4 ... 7
judged by                 built-in/1 | v2 (published after 3 was judged)
"""

import json

import pytest

from agents.risk import RiskAgent
from pipeline.delivery.flow.rekeying import Misplaced, Origins
from pipeline.delivery.metrics import Metrics
from pipeline.delivery.partitioner import Partitioner
from pipeline.evaluation.evaluator import Evaluator
from pipeline.evaluation.model_book import ModelBook
from pipeline.evaluation.rule_book import RuleBook
from pipeline.rules.ruleset import built_in
from tables.risk import RULES_KEY, RiskCodec
from tests.agents.test_risk import HOME, PARTITIONS, TOPICS, Consumed, PlainState
from tests.pipeline.evaluation.records import NOW
from tests.pipeline.events.messages import encoded

V2 = json.dumps({"version": "v2", "rules": {"privacy.consent_missing": {"mode": "off"}}}).encode()


class Partition:
    """One partition of a worker: its state may move to another worker."""

    def __init__(self, book, state=None):
        partitioner = Partitioner(PARTITIONS)
        self.book = book
        self.state = PlainState(HOME, partitioner) if state is None else state
        self.agent = RiskAgent(
            Evaluator(built_in(), "1"),
            book,
            ModelBook(),
            TOPICS,
            partitioner,
            Misplaced(Metrics(), "user_id"),
            Origins(bytes(32), Metrics()),
        )

    def judge(self, *offsets):
        """Versions named by the verdicts, and the lines of the journal."""
        records = [
            Consumed(
                "raw-events",
                HOME,
                offset,
                NOW,
                b"user-1",
                encoded(
                    event_id=f"event-{offset}", region="DE", is_eu=True, has_consent=False, data_shared="full"
                ),
                (),
            )
            for offset in offsets
        ]
        outputs = self.agent.handle(self.state, records)
        self.state.next_offsets["raw-events"] = offsets[-1] + 1
        values = {topic: [json.loads(o.value) for o in outputs if o.topic == topic] for topic in TOPICS_READ}
        lines = [(line["offset"], line["kind"], line["id"]) for line in values[TOPICS.journal]]
        return {verdict["ruleset_version"] for verdict in values[TOPICS.flagged]}, lines


TOPICS_READ = (TOPICS.flagged, TOPICS.journal)


@pytest.fixture
def book():
    return RuleBook(built_in())


def test_the_first_rule_set_is_journaled_and_the_next_where_it_takes_effect(book):
    partition = Partition(book)
    assert partition.judge(0, 1) == ({"built-in/1"}, [(0, "ruleset", "built-in/1")])
    assert partition.judge(2, 3) == ({"built-in/1"}, [])
    book.offer(V2, NOW, 0)
    assert partition.judge(4, 5) == ({"v2"}, [(4, "ruleset", "v2")])
    assert partition.judge(6, 7) == ({"v2"}, [])


def test_two_partitions_of_a_worker_may_be_judged_by_different_ones_for_a_moment(book):
    one = Partition(book)
    one.judge(0)
    other = Partition(book)
    other.agent = one.agent
    other.judge(0)
    book.offer(V2, NOW, 0)
    assert one.judge(1)[0] == {"v2"}
    book.newest = None  # as for a worker that knows nothing of v2
    assert other.judge(1)[0] == {"built-in/1"}
    assert one.judge(2)[0] == {"v2"}


def test_a_partition_that_moves_goes_on_with_its_rule_set(book):
    first = Partition(book)
    book.offer(V2, NOW, 0)
    first.judge(0)
    codec = RiskCodec()
    first.state[RULES_KEY] = codec.decode(codec.encode(first.state[RULES_KEY]))
    second = Partition(RuleBook(built_in()), first.state)
    assert second.judge(1) == ({"v2"}, [])


def test_a_refused_one_changes_nothing(book):
    partition = Partition(book)
    partition.judge(0)
    book.offer(b'{"version":"v2","rules":{"account.none":{}}}', NOW, 0)
    assert partition.judge(1) == ({"built-in/1"}, [])
