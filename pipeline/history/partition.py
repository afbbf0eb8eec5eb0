"""Judging one partition again, in the order in which a worker judged it."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass
from itertools import groupby, islice
from secrets import token_bytes
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from pipeline.coordination.origin_key import KEY_BYTES
from pipeline.delivery.flow.fetched import UnreadableBatch
from pipeline.delivery.flow.rekeying import Origins
from pipeline.delivery.metrics import Metrics
from pipeline.delivery.partitioner import Partitioner
from pipeline.evaluation.batch import PartitionState, count, evaluate_batch
from pipeline.evaluation.source import PlainRecord
from pipeline.events.instants import format_instant
from pipeline.events.invalid import InvalidMessageError
from pipeline.history.reading import Ahead, read_range
from pipeline.history.rule_sets import OWN, KnownRuleSets
from pipeline.kafka.topics import PRIVACY_REQUESTS, RAW_EVENTS, RAW_EVENTS_REKEYED
from pipeline.windows.user import UserState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.anomaly.artefact import Model
    from pipeline.evaluation.batch import BatchOutputs, Note
    from pipeline.evaluation.control import ControlKind
    from pipeline.evaluation.evaluator import Evaluator, Outcome
    from pipeline.evaluation.source import Record
    from pipeline.events.event import Event
    from pipeline.history.models import PublishedModels
    from pipeline.history.rule_sets import Published
    from pipeline.history.survey import Line, PartitionRange
    from pipeline.kafka.follower import Record as Consumed
    from pipeline.settings.schema import Settings

_RULES, _REQUEST, _REKEYED = range(3)
"""What is merged by timestamps; on ties in this order."""
_END: Final = 1 << 63
"""A timestamp after all records."""


@dataclass(frozen=True, slots=True)
class Job:
    """One partition of a replay. A process of its own judges it.

    Attributes:
        settings: where the brokers are; its rule set is in force where none was published.
        range: the offsets.
        sources: the range of every partition of `raw-events`: first offset and end.
        times: begin and end of the range in milliseconds since 1970; the end is None for the end of the topics.
        lines: of the journal.
        rules: the rule sets on `rule-config`; None if the rule set of the settings judges everything.
        models: the models on `model-config`; None if the model of the evaluator scores everything.
        origin_key: of the application; None where there is none.
        user: publish only what this user's records give; None for all.
    """

    settings: Settings
    range: PartitionRange
    sources: Mapping[int, tuple[int, int]]
    times: tuple[int, int | None]
    lines: Sequence[Line]
    rules: Sequence[Published] | None
    models: PublishedModels | None
    origin_key: bytes | None
    user: str | None


class PartitionUsers(dict[str, UserState]):
    """The users of a partition. All that had a record are in memory.

    Args:
        partition: the number.
        partition_of: gives the partition of a key.
    """

    def __init__(self, partition: int, partition_of: Partitioner) -> None:
        super().__init__()
        self._partition = partition
        self._partition_of = partition_of

    def owns(self, user_id: str, /) -> bool:
        """Whether the user's records belong to this partition."""
        return self._partition_of(user_id.encode()) == self._partition


class Judged(NamedTuple):
    """What some records gave, in their order: the keys and values of verdicts and of failed events.

    `candidate` are the verdicts of the second evaluator, where there is one.
    """

    verdicts: Sequence[tuple[bytes, bytes]]
    failed: Sequence[tuple[bytes | None, bytes]]
    candidate: Sequence[tuple[bytes, bytes]] = ()


_Name = tuple[str, str | None]
"""How the journal names a request: by its id, and the timestamp of its record."""


class _Request(NamedTuple):
    """A record of `privacy-requests`, and its name where it can be read."""

    record: PlainRecord
    name: _Name | None


class Rows(Protocol):
    """Takes what counts for titles and devices: `pipeline.history.titles.RowsFile`."""

    def note(self, event: Event, outcome: Outcome, partition_time: int | None, /) -> None:
        """Note an event that was judged and is not late."""
        ...

    def after(self, time: int | None, ruleset: str, /) -> None:
        """Hear the partition time after some events, and the version of the rule set that judged them."""
        ...


class _Judge:
    """An evaluator with its own users of the partition, and how the records of the range ended under it."""

    def __init__(self, evaluator: Evaluator, users: PartitionUsers) -> None:
        self.evaluator = evaluator
        self.counts: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self._users = users
        self._events = PartitionState()
        self._privacy = PartitionState()

    def judge(
        self, records: Sequence[Record], topic: str, note: Note, *, in_range: bool, requests: bool
    ) -> BatchOutputs:
        state, counts = (self._privacy, self.requests) if requests else (self._events, self.counts)
        # Counts of the warm-up are dropped.
        state.counts = counts if in_range else {}
        return evaluate_batch(self.evaluator, records, self._users, state, topic, note, requests=requests)

    def time(self, topic: str) -> int | None:
        """The partition time of a topic of events."""
        return self._events.times.get(topic)


class PartitionReplay:
    """Judges the records of one partition.

    Args:
        job: what to judge.
        evaluator: made from the settings of the job.
        publish: is called with what records of the range gave. What the warm-up gives is dropped.
        progress: is called with the number of records that were read of `raw-events`.
        rows: take what counts for titles and devices, of `raw-events` and of re-keyed events; None where these are not
            judged.
        candidate: a second evaluator, which judges the same records with a rule set of its own; None for none.

    Attributes:
        counts: how the events of the range ended, by the names of `pipeline.evaluation.batch.count`. `rekeyed` are
            those that were judged after a worker had forwarded them.
        requests: how the privacy requests of the range ended.
    """

    def __init__(
        self,
        job: Job,
        evaluator: Evaluator,
        publish: Callable[[Judged], None],
        progress: Callable[[int], None],
        rows: tuple[Rows, Rows] | None = None,
        candidate: Evaluator | None = None,
    ) -> None:
        self._job = job
        self._range = job.range
        self._evaluator = evaluator
        self._publish = publish
        self._progress = progress
        settings = job.settings
        self._raw = settings.topic(RAW_EVENTS.name)
        self._rekeyed = settings.topic(RAW_EVENTS_REKEYED.name)
        self._request_topic = settings.topic(PRIVACY_REQUESTS.name)
        self._rows = {} if rows is None else {self._raw: rows[0], self._rekeyed: rows[1]}
        self._partition_of = Partitioner(len(job.sources))
        self._judge = _Judge(evaluator, PartitionUsers(job.range.partition, self._partition_of))
        self._candidate = (
            None
            if candidate is None
            else _Judge(candidate, PartitionUsers(job.range.partition, self._partition_of))
        )
        # Without a key no worker has forwarded anything, and no record may count as forwarded.
        key = job.origin_key or token_bytes(KEY_BYTES)
        self._origins = Origins(key, Metrics(), accept_unproven=settings.accept_unproven_origins)
        self._lines = deque(job.lines)
        self._rule_sets = KnownRuleSets(evaluator.ruleset, job.rules or ())
        self._rules_to_come: deque[Published] = deque()
        self._requests_to_come: deque[_Request] = deque()
        self._requests_known: Counter[_Name | None] = Counter()
        place = job.range
        self._rekeyed_to_come = Ahead(
            read_range(settings, self._rekeyed, place.partition, place.rekeyed, place.rekeyed_end)
        )
        self._in_range = False
        self.counts = self._judge.counts
        self.requests = self._judge.requests

    async def run(self) -> None:
        """Judge everything.

        Raises:
            MissingError: a rule set or a model that was in force is not on its topic any more, or no broker answers.
            KafkaError: the brokers refuse.
        """
        place, settings = self._range, self._job.settings
        async for batch in read_range(settings, self._request_topic, place.partition, 0, place.requests_end):
            self._requests_to_come += [
                self._as_request(record) for record in batch if not isinstance(record, UnreadableBatch)
            ]
        self._requests_known.update(request.name for request in self._requests_to_come)
        begun = False
        async for batch in read_range(settings, self._raw, place.partition, place.warm, place.end):
            if not begun:
                first = (record.timestamp for record in batch if record.timestamp >= 0)
                self._begin(next(first, self._job.times[0]))
                begun = True
            self._partition_of.learn(record.key for record in batch)
            start = 0
            while start < len(batch):
                await self._take_due(batch[start].offset, batch[start].timestamp)
                stop = await self._next_stop(batch, start)
                self._in_range = place.first <= batch[start].offset < place.last
                self._judge_raw(batch[start:stop])
                start = stop
            self._progress(len(batch))
        if not begun:
            self._begin(self._job.times[0])
        await self._take_due(place.end, _END if place.whole else -1)

    # -- what takes effect between the records of raw-events

    def _begin(self, timestamp: int) -> None:
        """Put in force what was in force before the first record: rule set, model, and the requests until then."""
        rules, models = self._job.rules, self._job.models
        if rules is not None:
            before = self._newest("ruleset", [(one.at, one.version) for one in rules], timestamp)
            self._evaluator.ruleset = self._rule_sets.of(OWN if before is None else before)
            if not any(line.kind == "ruleset" for line in self._lines):
                self._rules_to_come += [one for one in rules if one.at > timestamp]
        if models is not None:
            before = self._newest("model", models.in_force, timestamp)
            self._take_model(None if before is None else models.of(before))
        named = {(line.id, line.at) for line in self._lines if line.kind == "request"}
        while self._requests_to_come:
            request = self._requests_to_come[0]
            if request.record.timestamp > timestamp or request.name in named:
                break
            self._in_range = self._at_time_of_range(request.record.timestamp)
            self._apply_next_request()

    def _take_model(self, model: Model | None) -> None:
        self._evaluator.model = model
        if self._candidate is not None:
            self._candidate.evaluator.model = model

    def _newest(self, kind: ControlKind, published: Sequence[tuple[int, str]], timestamp: int) -> str | None:
        """The version that was published last before a time, and was in force before the first line of the journal."""
        first = next((line for line in self._lines if line.kind == kind), None)
        if first is not None and first.offset <= self._range.warm:
            return None
        older = [
            version for at, version in published if at <= timestamp and (first is None or version != first.id)
        ]
        return older[-1] if older else None

    async def _take_due(self, offset: int, timestamp: int) -> None:
        """Take everything that took effect before the record of `raw-events` with this offset and timestamp."""
        while self._lines and self._lines[0].offset <= offset:
            await self._take(self._lines.popleft())
        while (due := await self._next_merged()) is not None and due[0] <= timestamp:
            self._in_range = self._at_time_of_range(due[0])
            if due[1] == _RULES:
                self._evaluator.ruleset = self._rule_sets.of(self._rules_to_come.popleft().version)
            elif due[1] == _REQUEST:
                self._apply_next_request()
            else:
                first = await self._rekeyed_to_come.peek()
                assert first is not None
                self._judge_rekeyed(await self._rekeyed_to_come.up_to(first.offset))

    async def _take(self, line: Line) -> None:
        """Do what a line of the journal says."""
        self._in_range = self._range.first <= line.offset <= self._range.last
        if line.kind == "ruleset" and self._job.rules is not None:
            self._evaluator.ruleset = self._rule_sets.of(line.id)
        elif line.kind == "model" and self._job.models is not None:
            self._take_model(self._job.models.of(line.id))
        elif line.kind == "request":
            name = (line.id, line.at)
            # A request that was deleted since cannot be applied.
            while self._requests_known[name] and self._apply_next_request() != name:
                pass
        elif line.kind == "rekeyed":
            self._judge_rekeyed(await self._rekeyed_to_come.up_to(int(line.id)))

    async def _next_merged(self) -> tuple[int, int] | None:
        """The timestamp and kind of what is merged next, because the journal does not name it; None for nothing."""
        if self._lines or not self._range.merged:
            return None
        found: list[tuple[int, int]] = []
        if self._rules_to_come:
            found.append((self._rules_to_come[0].at, _RULES))
        if self._requests_to_come:
            found.append((self._requests_to_come[0].record.timestamp, _REQUEST))
        rekeyed = await self._rekeyed_to_come.peek()
        if rekeyed is not None:
            found.append((rekeyed.timestamp, _REKEYED))
        return min(found, default=None)

    async def _next_stop(self, batch: Sequence[Consumed], start: int) -> int:
        """The place in a batch up to which records are judged together: before the next one with something due."""
        offset = batch[start].offset
        bounds = [self._range.first, self._range.last]
        bounds += [line.offset for line in islice(self._lines, 1)]
        bound = min((bound for bound in bounds if bound > offset), default=None)
        stop = len(batch)
        if bound is not None:
            stop = bisect_left(batch, bound, start + 1, key=lambda record: record.offset)
        merged = await self._next_merged()
        if merged is not None:
            stop = next(
                (place for place in range(start + 1, stop) if batch[place].timestamp >= merged[0]), stop
            )
        return stop

    # -- judging

    def _judge_raw(self, records: Sequence[Consumed]) -> None:
        for unreadable, group in groupby(records, lambda record: isinstance(record, UnreadableBatch)):
            if not unreadable:
                self._evaluate(list(group), self._raw, self._in_range)
                continue
            for batch in group:
                self._refuse(batch)

    def _refuse(self, batch: Consumed) -> None:
        """Count a batch that cannot be read, as the risk agent does."""
        if self._in_range and isinstance(batch, UnreadableBatch):
            first = PlainRecord(batch.topic, batch.partition, batch.first_offset, batch.timestamp, None, None)
            outcome = self._evaluator.unreadable(first, str(batch), request=False)
            count(self.counts, outcome, batch.count)
            if outcome.failed is not None:
                self._give([], [(None, outcome.failed)])

    def _judge_rekeyed(self, records: Sequence[Consumed]) -> None:
        originals = [self._at_origin(record) for record in records if not isinstance(record, UnreadableBatch)]
        for in_range, group in groupby(originals, self._was_written_in_range):
            some = list(group)
            self._evaluate(some, self._rekeyed, in_range)
            if in_range:
                self.counts["rekeyed"] += len(some)

    def _apply_next_request(self) -> _Name | None:
        """Apply the next privacy request, and return its name."""
        request = self._requests_to_come.popleft()
        self._requests_known[request.name] -= 1
        self._evaluate([request.record], self._request_topic, self._in_range, requests=True)
        return request.name

    def _evaluate(
        self, records: Sequence[Record], topic: str, in_range: bool, *, requests: bool = False
    ) -> None:
        """Judge records, count how they ended, and give on what comes of them, if they are in the range."""
        rows = self._rows.get(topic)
        note = _not_noted if rows is None else rows.note
        outputs = self._judge.judge(records, topic, note, in_range=in_range, requests=requests)
        if rows is not None:
            rows.after(self._judge.time(topic), self._evaluator.ruleset.version)
        others: Sequence[tuple[bytes, bytes]] = ()
        if self._candidate is not None:
            others = self._candidate.judge(
                records, topic, _not_noted, in_range=in_range, requests=requests
            ).flagged
        if in_range:
            self._give(outputs.flagged, outputs.failed, others)

    def _give(
        self,
        verdicts: Sequence[tuple[bytes, bytes]],
        failed: Sequence[tuple[bytes | None, bytes]],
        candidate: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        user = self._job.user
        if user is not None:
            key = user.encode()
            verdicts = [one for one in verdicts if one[0] == key]
            failed = [one for one in failed if one[0] == key]
        if verdicts or failed or candidate:
            self._publish(Judged(verdicts, failed, candidate))

    # -- where and when records were first written

    def _at_origin(self, record: Consumed) -> PlainRecord:
        topic, partition, offset, timestamp = self._origins.of(record)
        return PlainRecord(topic, partition, offset, timestamp, record.key, record.value)

    def _as_request(self, record: Consumed) -> _Request:
        original = self._at_origin(record)
        try:
            request_id = self._evaluator.decoder.request(record.value).request_id
        except InvalidMessageError:
            return _Request(original, None)
        at = None if original.timestamp < 0 else format_instant(original.timestamp)
        return _Request(original, (request_id, at))

    def _was_written_in_range(self, record: PlainRecord) -> bool:
        if record.topic != self._raw:
            return self._at_time_of_range(record.timestamp)
        first, end = self._job.sources.get(record.partition, (0, 0))
        return first <= record.offset < end

    def _at_time_of_range(self, timestamp: int) -> bool:
        begin, end = self._job.times
        return begin <= timestamp and (end is None or timestamp < end)


def _not_noted(*_: object) -> None:
    """Titles and devices are not judged."""
