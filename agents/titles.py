"""Titles and devices, live: each commit of the risk agent publishes a chunk, and the title agent folds the chunks."""

from collections.abc import Iterator, Sequence
from typing import Final

from pipeline.delivery.flow.rekeying import SourceRecord
from pipeline.delivery.partitioner import Partitioner
from pipeline.delivery.state.outputs import Output
from pipeline.delivery.state.unit import State
from pipeline.evaluation.evaluator import Evaluator
from pipeline.evaluation.rule_book import InForce, RuleBook
from pipeline.evaluation.verdict import encode_verdict
from pipeline.titles.chunks import Chunk, SourceTime, chunk_messages, source_name
from pipeline.titles.levels import SubjectRules
from pipeline.titles.live import LiveTitles
from pipeline.titles.notes import DIMENSIONS, Notes, RollUp, SubjectRows
from pipeline.titles.rows import FAILED, PLAYS, TOTAL, WATCHED
from pipeline.titles.state import PARTITION_KEY as TITLES_KEY
from pipeline.titles.state import RULES_KEY, TitlesValue, partition_of
from tables.risk import PARTITION_KEY, RiskValue, partition_state

_COUNTED: Final = {"playback": TOTAL, "playback.failed": FAILED, "plays": PLAYS, "watched_ms": WATCHED}
"""Which totals of a chunk are added to the counts of the partition, under which name."""


class ChunkPublisher:
    """Makes chunks of the risk agent's notes. The delivery calls `at_commit` before each commit of a partition.

    Args:
        topic: the full name of `health-partials`.
        partitions: the number of its partitions.
        sources: the full names of the topics of events.
    """

    def __init__(self, topic: str, partitions: int, sources: tuple[str, ...]) -> None:
        self._topic = topic
        self._partitions = partitions
        self._sources = sources
        self._partition_of = Partitioner(partitions)

    def at_commit(self, unit: State[RiskValue], notes: list[Notes]) -> Iterator[Output | None]:
        """The messages of the chunk of a partition's next commit, and None between pieces of work.

        The messages are published in the commit's transaction. At each None the event loop can run other tasks.
        """
        partition = partition_state(unit)
        partition.sequence += 1
        unit[PARTITION_KEY] = partition
        partition.count("titles.too_old", sum(some.too_old for some in notes))
        yield None
        subjects: list[SubjectRows] = []
        targets: list[int] = []
        first = last = 0
        if any(some.lines for some in notes):
            rolled_up = RollUp(notes)
            first, last = rolled_up.first, rolled_up.last
            for name, place in _COUNTED.items():
                partition.count(name, rolled_up.totals[place])
            for dimension in DIMENSIONS:
                yield None
                of_dimension = rolled_up.subjects(dimension)
                keys = [one.subject.encode() for one in of_dimension]
                self._partition_of.learn(keys)
                subjects += of_dimension
                targets += map(self._partition_of, keys)
            yield None
        heard = {some.topic for some in notes}
        sources = [
            SourceTime(source_name(topic, unit.partition), partition.times.get(topic), topic in heard)
            for topic in self._sources
        ]
        chunk = Chunk(unit.partition, partition.sequence, 0, first, last, subjects, sources)
        key = b"%d" % unit.partition
        for target, value in chunk_messages(chunk, targets, self._partitions):
            yield Output(self._topic, key, value, None, target)
        yield None


class TitleAgent:
    """Folds chunks. The delivery calls `handle`, and `poison` for a record on which `handle` failed.

    Args:
        evaluator: the risk agent's. It names the model and shows ids in the form that outputs have.
        book: the rule sets.
        flagged: the full name of `flagged-events`.
        sources: the full names of the topics of events.
        partitions: the number of partitions of each of them.
    """

    def __init__(
        self, evaluator: Evaluator, book: RuleBook, flagged: str, sources: Sequence[str], partitions: int
    ) -> None:
        self._evaluator = evaluator
        self._book = book
        self._flagged = flagged
        self._sources = [source_name(topic, number) for topic in sources for number in range(partitions)]
        self._titles: tuple[InForce, LiveTitles] | None = None

    def handle(self, unit: State[TitlesValue], records: Sequence[SourceRecord]) -> list[Output]:
        """Fold the chunks of one partition, in order."""
        titles = self._titles_in_force(unit)
        verdicts = titles.fold(unit, [(record.timestamp, record.value) for record in records])
        return [
            Output(self._flagged, verdict.subject.id.encode(), encode_verdict(verdict))
            for verdict in verdicts
        ]

    def poison(self, unit: State[TitlesValue], *_: object) -> list[Output]:
        """Count a record that cannot be read or that our code failed on. It changes no figure."""
        state = partition_of(unit)
        state.count("unreadable", 1)
        unit[TITLES_KEY] = state
        return []

    def _titles_in_force(self, unit: State[TitlesValue]) -> LiveTitles:
        """The engine under the rule set that is in force from this batch on; a change is written to the table."""
        value = unit.get(RULES_KEY)
        before = value if isinstance(value, InForce) else None
        now = self._book.for_partition(before)
        if now != before:
            unit[RULES_KEY] = now
        if self._titles is None or self._titles[0] != now:
            evaluator = self._evaluator
            rules = SubjectRules(self._book.ruleset(now), evaluator.show)
            self._titles = (now, LiveTitles(rules, self._sources))
        return self._titles[1]
