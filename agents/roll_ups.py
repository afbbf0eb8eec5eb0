"""The risk agent's roll-ups: what its partitions noted, to the partitions of `health-partials`, with each commit."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from pipeline.delivery.outputs import Output
from pipeline.delivery.partitioner import Partitioner
from pipeline.delivery.unit import State
from pipeline.evaluation.partials import SourceTime, packed, source_name, subject_key
from pipeline.evaluation.roll_ups import Dimension, Notes, roll_up
from tables.risk import PARTITION_KEY, RiskValue, partition_state

_REMEMBERED: Final = 200_000


class RollUpPublisher:
    """Makes health partials; `at_commit` is what the delivery calls.

    Args:
        topic: the full name of `health-partials`.
        partitions: of it.
        sources: the full names of the topics of events.
        final: whether what was published with a commit that failed is never seen (the broker has transactions).
    """

    def __init__(self, topic: str, partitions: int, sources: tuple[str, ...], *, final: bool) -> None:
        self._topic = topic
        self._partitions = partitions
        self._sources = sources
        self._final = final
        self._partition_of = Partitioner(partitions)
        self._places: dict[Dimension, dict[str, int]] = {}

    def at_commit(self, unit: State[RiskValue], notes: list[Notes]) -> Iterator[Output | None]:
        """The partials of a partition's next commit, and None between pieces of work."""
        partition = partition_state(unit)
        partition.sequence += 1
        unit[PARTITION_KEY] = partition
        rows, counts = yield from roll_up(notes)
        yield None
        for name, count in counts.items():
            if count:
                partition.counts[name] = partition.counts.get(name, 0) + count
        heard = {some.topic for some in notes}
        sources = [
            SourceTime(source_name(topic, unit.partition), partition.times.get(topic), topic in heard)
            for topic in self._sources
        ]
        places = {dimension: self._place(dimension, rolled_up.logs) for dimension, rolled_up in rows.items()}
        yield None
        key = b"%d" % unit.partition
        for target, value in packed(
            unit.partition, partition.sequence, self._final, sources, rows, places, self._partitions
        ):
            yield Output(self._topic, key, value, None, target)
        yield None

    def _place(self, dimension: Dimension, ids: Iterable[str]) -> Mapping[str, int]:
        """Where each id of a dimension belongs; most were asked for with the commit before."""
        known = self._places.get(dimension)
        if known is None or len(known) > _REMEMBERED:
            known = self._places[dimension] = {}
        unknown = [identifier for identifier in ids if identifier not in known]
        if unknown:
            keys = [subject_key(dimension, identifier) for identifier in unknown]
            self._partition_of.learn(keys)
            known.update(zip(unknown, map(self._partition_of, keys), strict=True))
        return known
