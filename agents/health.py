"""The health agent: partials of all partitions to figures, and to verdicts on titles and devices."""

from collections.abc import Sequence

from pipeline.delivery.outputs import Output
from pipeline.delivery.rekeying import SourceRecord
from pipeline.delivery.unit import State
from pipeline.evaluation.evaluator import Evaluator
from pipeline.evaluation.health import HealthJudge
from pipeline.evaluation.health_state import PARTITION_KEY, RULES_KEY, HealthPartition, HealthValue
from pipeline.evaluation.partials import source_name
from pipeline.evaluation.rule_book import InForce, RuleBook
from pipeline.evaluation.subjects import SubjectRules
from pipeline.evaluation.verdict import encode_verdict


class HealthAgent:
    """Folds partials; `handle` and `poison` are what the delivery calls.

    Args:
        evaluator: of the risk agent; it names the model, and the form of ids in outputs.
        book: the rule sets.
        flagged: the full name of `flagged-events`.
        sources: the full names of the topics of events.
        partitions: of each of them.
    """

    def __init__(
        self, evaluator: Evaluator, book: RuleBook, flagged: str, sources: Sequence[str], partitions: int
    ) -> None:
        self._evaluator = evaluator
        self._book = book
        self._flagged = flagged
        self._sources = [source_name(topic, number) for topic in sources for number in range(partitions)]
        self._judge: tuple[InForce, HealthJudge] | None = None

    def handle(self, unit: State[HealthValue], records: Sequence[SourceRecord]) -> list[Output]:
        """Fold partials of one partition, in order."""
        judge = self._take_rules(unit)
        verdicts = judge.fold(unit, [(record.timestamp, record.value) for record in records])
        return [
            Output(self._flagged, verdict.subject.id.encode(), encode_verdict(verdict))
            for verdict in verdicts
        ]

    def poison(
        self,
        unit: State[HealthValue],
        record: SourceRecord,  # noqa: ARG002 - the delivery's signature
        error: Exception,  # noqa: ARG002
    ) -> list[Output]:
        """What cannot be read, or what our own code failed on, changes no figure; it is counted and logged."""
        value = unit.get(PARTITION_KEY)
        state = value if isinstance(value, HealthPartition) else HealthPartition()
        state.count("unreadable", 1)
        unit[PARTITION_KEY] = state
        return []

    def _take_rules(self, unit: State[HealthValue]) -> HealthJudge:
        """The judge by the rule set that is in force from now on."""
        value = unit.get(RULES_KEY)
        before = value if isinstance(value, InForce) else None
        now = self._book.for_partition(before)
        if now != before:
            unit[RULES_KEY] = now
        if self._judge is None or self._judge[0] != now:
            evaluator = self._evaluator
            rules = SubjectRules(self._book.ruleset(now), evaluator.model_version, evaluator.show)
            self._judge = (now, HealthJudge(rules, self._sources))
        return self._judge[1]
