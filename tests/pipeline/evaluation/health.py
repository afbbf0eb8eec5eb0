"""The risk agent's partitions and the health agent's, without Kafka: events in, subject verdicts out."""

from collections import Counter

from pipeline.evaluation.batch import PartitionState, evaluate_batch
from pipeline.evaluation.evaluator import Evaluator
from pipeline.evaluation.health import HealthJudge
from pipeline.evaluation.health_state import PARTITION_KEY, HealthPartition, record_key
from pipeline.evaluation.partials import SourceTime, packed, source_name, subject_key
from pipeline.evaluation.roll_ups import roll_up
from pipeline.evaluation.segments import rows_of, seal, series_of, sums_of
from pipeline.evaluation.subjects import SubjectRules
from pipeline.judging.file import AllUsers
from pipeline.rules.ruleset import read_ruleset
from tables.health import HealthCodec

TOPIC = "raw-events"
_SMALL = {"high_min_events": 3, "medium_min_events": 6, "high_over": 0.5, "medium_over": 0.2}
RULES = read_ruleset(
    {"version": "1", "rules": {f"{kind}.error_rate": _SMALL for kind in ("content", "device")}}
)
"""Levels that a handful of events reach."""


class Records(dict):
    """The records of a partition; each is decoded anew when it is asked for after `forget`."""

    def __init__(self):
        super().__init__()
        self.cache, self.dirty = self, set()
        self._encoded = {}

    def load(self, key):
        data = self._encoded.pop(key, None)
        if data is None:
            return None
        self[key] = HealthCodec().decode(data)
        return self[key]

    def get(self, key, default=None):
        return super().get(key) or self.load(key) or default

    def discard(self, key):
        self.pop(key, None)
        self._encoded.pop(key, None)

    def forget(self):
        """As if the cache were empty."""
        self._encoded |= {key: HealthCodec().encode(value) for key, value in self.items()}
        self.clear()


def place(key, targets):
    """Where a key belongs; any function of the key will do."""
    return sum(key) % targets


def result_of(work):
    """What a generator returns in the end."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


class Unit:
    """One partition of the risk agent."""

    def __init__(self, number, targets, *, final=True):
        self.number, self.targets, self.final = number, targets, final
        self.partition, self.users = PartitionState(), AllUsers()
        self.evaluator = Evaluator(RULES, "1")
        self.notes = []
        self.counts = Counter()

    def judge(self, records):
        outputs = evaluate_batch(self.evaluator, records, self.users, self.partition, TOPIC)
        self.notes.append(outputs.notes)

    def commit(self, sequence=None):
        """The messages of a commit, as (target, value)."""
        self.partition.sequence += 1
        rows, counts = result_of(roll_up(self.notes))
        self.counts.update(counts)
        self.notes = []
        places = {
            dimension: {one: place(subject_key(dimension, one), self.targets) for one in rolled_up.logs}
            for dimension, rolled_up in rows.items()
        }
        source = SourceTime(source_name(TOPIC, self.number), self.partition.times.get(TOPIC), True)
        return list(
            packed(
                self.number,
                self.partition.sequence if sequence is None else sequence,
                self.final,
                [source],
                rows,
                places,
                self.targets,
            )
        )


class Health:
    """The health agent, with its partitions."""

    def __init__(self, sources, targets, ruleset=None):
        names = [source_name(TOPIC, number) for number in range(sources)]
        self.judge = HealthJudge(SubjectRules(ruleset or RULES), names)
        self.targets = [Records() for _ in range(targets)]
        self.verdicts = []

    def take(self, messages, at=0):
        for target, value in messages:
            self.verdicts += self.judge.fold(self.targets[target], [(at, value)])

    def state(self, target=0):
        value = self.targets[target].get(PARTITION_KEY)
        return HealthPartition() if value is None else value

    def record(self, dimension, identifier):
        records = self.targets[place(subject_key(dimension, identifier), len(self.targets))]
        record = records.get(record_key(dimension, identifier))
        if record is not None:
            seal(records, f"{dimension}:{identifier}", record, None)
        return record

    def rows(self, dimension, identifier):
        records = self.targets[place(subject_key(dimension, identifier), len(self.targets))]
        return rows_of(records.get, f"{dimension}:{identifier}", self.record(dimension, identifier))

    def sums(self, dimension, identifier):
        """Failed and all playback events of the minutes that a window may hold again."""
        records = self.targets[place(subject_key(dimension, identifier), len(self.targets))]
        series = series_of(records.get, f"{dimension}:{identifier}", self.record(dimension, identifier))
        judged = self.state(place(subject_key(dimension, identifier), len(self.targets))).judged_through
        return sums_of(series, 0 if judged is None else judged - 59, 10**9)
