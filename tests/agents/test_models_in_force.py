"""The risk agent takes the newest anomaly model between two batches of a partition, and writes down where.

offsets of raw-events     0 1 | 2 3 | 4 5
scored by                 none | a   | b
"""

import json

import pytest

from agents.risk import RiskAgent
from pipeline.anomaly.scoring import NotEvaluated
from pipeline.delivery.flow.rekeying import Misplaced, Origins
from pipeline.delivery.metrics import Metrics
from pipeline.delivery.partitioner import Partitioner
from pipeline.evaluation.evaluator import Evaluator
from pipeline.evaluation.model_book import IN_FORCE_KEY, ModelBook
from pipeline.evaluation.rule_book import RuleBook
from pipeline.rules.ruleset import built_in
from tables.risk import MODEL_KEY, RiskCodec
from tests.agents.test_risk import HOME, PARTITIONS, TOPICS, Consumed, PlainState
from tests.pipeline.evaluation.models import model_file, published
from tests.pipeline.evaluation.records import NOW
from tests.pipeline.events.messages import encoded

A, B = model_file("a")[0], model_file("b")[0]


class Worker:
    """A worker, and what it has read of `model-config`."""

    def __init__(self, log):
        self.log = log
        self.read = 0
        self.book = ModelBook()
        partitioner = Partitioner(PARTITIONS)
        self.evaluator = Evaluator(built_in(), "1")
        self.agent = RiskAgent(
            self.evaluator,
            RuleBook(built_in()),
            self.book,
            TOPICS,
            partitioner,
            Misplaced(Metrics(), "user_id"),
            Origins(bytes(32), Metrics()),
        )

    def catch_up(self):
        for offset in range(self.read, len(self.log)):
            self.book.offer(*self.log[offset], NOW + offset, offset)
        self.read = len(self.log)

    def judge(self, state, *offsets):
        """Models named by the verdicts, and the lines of the journal about models."""
        records = [_record(offset) for offset in offsets]
        outputs = self.agent.handle(state, records)
        state.next_offsets["raw-events"] = offsets[-1] + 1
        lines = [json.loads(output.value) for output in outputs if output.topic == TOPICS.journal]
        versions = {
            json.loads(output.value)["model_version"] for output in outputs if output.topic == TOPICS.flagged
        }
        return versions, [(line["offset"], line["id"]) for line in lines if line["kind"] == "model"]


def _record(offset):
    event = {"region": "DE", "is_eu": True, "has_consent": False, "data_shared": "full"}
    value = encoded(event_id=f"event-{offset}", **event)
    return Consumed("raw-events", HOME, offset, NOW, b"user-1", value, ())


@pytest.fixture
def log():
    """What was written to `model-config`."""
    return []


@pytest.fixture
def state():
    return PlainState(HOME, Partitioner(PARTITIONS))


def test_each_model_is_journaled_where_it_takes_effect(log, state):
    worker = Worker(log)
    # Without a model nothing is written down about one.
    assert worker.judge(state, 0, 1) == ({None}, [])
    log += published("a")
    worker.catch_up()
    assert worker.judge(state, 2, 3) == ({A}, [(2, A)])
    log += published("b")
    assert worker.judge(state, 4, 5) == ({A}, [])
    worker.catch_up()
    assert worker.judge(state, 6, 7) == ({B}, [(6, B)])
    log.append((IN_FORCE_KEY, None))
    worker.catch_up()
    assert worker.judge(state, 8, 9) == ({None}, [(8, "none")])
    assert worker.judge(state, 10) == ({None}, [])


def test_a_partition_that_moves_goes_on_with_its_model(log, state):
    log += published("a")
    first, second = Worker(log), Worker(log)
    first.catch_up()
    first.judge(state, 0)
    codec = RiskCodec()
    state[MODEL_KEY] = codec.decode(codec.encode(state[MODEL_KEY]))
    second.catch_up()
    assert second.judge(state, 1) == ({A}, [])


def test_two_partitions_of_a_worker_may_be_scored_by_different_models_for_a_moment(log, state):
    other = PlainState(HOME, Partitioner(PARTITIONS))
    log += published("a")
    worker = Worker(log)
    worker.catch_up()
    worker.judge(state, 0)
    assert worker.judge(other, 0)[0] == {A}
    log += published("b")
    worker.catch_up()
    assert worker.judge(state, 1)[0] == {B}
    assert worker.judge(other, 1)[0] == {B}


def test_a_refused_one_changes_nothing_where_one_is_in_force_and_is_the_reason_where_none_is(log, state):
    log += published("a")
    worker = Worker(log)
    worker.catch_up()
    worker.judge(state, 0)
    (key, data), in_force = published("b")
    log += [(key, data[:-1]), in_force]
    worker.catch_up()
    assert worker.judge(state, 1) == ({A}, [])
    fresh = Worker(log[2:])
    assert fresh.evaluator.without_model is NotEvaluated.NO_MODEL
    fresh.catch_up()
    assert fresh.judge(PlainState(HOME, Partitioner(PARTITIONS)), 0) == ({None}, [])
    assert fresh.evaluator.without_model is NotEvaluated.REFUSED_MODEL
