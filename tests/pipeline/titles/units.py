"""The risk agent's partitions and the title agent's, without Kafka: events in, subject verdicts out."""

from pipeline.evaluation.batch import PartitionState, evaluate_batch
from pipeline.evaluation.evaluator import Evaluator
from pipeline.judging.file import AllUsers
from pipeline.rules.ruleset import read_ruleset
from pipeline.titles.chunks import Chunk, SourceTime, chunk_messages, source_name
from pipeline.titles.levels import SubjectRules
from pipeline.titles.live import LiveTitles
from pipeline.titles.notes import DIMENSIONS, Notes, RollUp
from pipeline.titles.rows import EVENTS, FAILED, FAILED_STARTS, PLAYS, TOTAL, WATCHED
from pipeline.titles.state import figures_of, partition_of, subject_name
from tables.titles import TitlesCodec

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
        self[key] = TitlesCodec().decode(data)
        return self[key]

    def get(self, key, default=None):
        return super().get(key) or self.load(key) or default

    def discard(self, key):
        self.pop(key, None)
        self._encoded.pop(key, None)

    def forget(self):
        """As if the cache were empty."""
        self._encoded |= {key: TitlesCodec().encode(value) for key, value in self.items()}
        self.clear()


def place(key, targets):
    """Where a key belongs; any function of the key will do."""
    return sum(key) % targets


class Unit:
    """One partition of the risk agent."""

    def __init__(self, number, targets):
        self.number, self.targets = number, targets
        self.partition, self.users = PartitionState(), AllUsers()
        self.evaluator = Evaluator(RULES, "1")
        self.notes = []
        self.totals = [0] * 6

    def judge(self, records):
        self.notes.append(Notes(TOPIC))
        note = self.notes[-1].observe
        evaluate_batch(self.evaluator, records, self.users, self.partition, TOPIC, note)

    def commit(self):
        """The messages of a commit, as (target, value)."""
        self.partition.sequence += 1
        subjects, first, last = [], 0, 0
        if any(some.lines for some in self.notes):
            rolled_up = RollUp(self.notes)
            first, last = rolled_up.first, rolled_up.last
            self.totals = [sum(pair) for pair in zip(self.totals, rolled_up.totals, strict=True)]
            subjects = [one for dimension in DIMENSIONS for one in rolled_up.subjects(dimension)]
        self.notes = []
        source = SourceTime(source_name(TOPIC, self.number), self.partition.times.get(TOPIC), True)
        chunk = Chunk(self.number, self.partition.sequence, 0, first, last, subjects, [source])
        targets = [place(one.subject.encode(), self.targets) for one in subjects]
        return list(chunk_messages(chunk, targets, self.targets))


class Live:
    """The title agent, with its partitions."""

    def __init__(self, sources, targets, ruleset=None):
        names = [source_name(TOPIC, number) for number in range(sources)]
        self.titles = LiveTitles(SubjectRules(ruleset or RULES), names)
        self.targets = [Records() for _ in range(targets)]
        self.verdicts = []

    def take(self, messages, at=0):
        for target, value in messages:
            self.verdicts += self.titles.fold(self.targets[target], [(at, value)])

    def state(self, target=0):
        return partition_of(self.targets[target])

    def figures(self, dimension, identifier):
        name = subject_name(dimension, identifier)
        return figures_of(self.targets[place(name.encode(), len(self.targets))], name)

    def totals(self, dimension, identifier):
        numbers = self.figures(dimension, identifier).totals()
        places = {
            "events": EVENTS,
            "playback": TOTAL,
            "failed": FAILED,
            "plays": PLAYS,
            "failed_starts": FAILED_STARTS,
            "watched_ms": WATCHED,
        }
        return {name: numbers[at] for name, at in places.items() if numbers[at]}
