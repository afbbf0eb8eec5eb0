"""Judges a file. The order of lines is the order of arrival."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import BinaryIO, Final, Literal, NamedTuple

from pipeline.evaluation.evaluator import Evaluator, Outcome
from pipeline.evaluation.verdict import encode_verdict
from pipeline.judging.lines import Line, lines_of, read_line
from pipeline.titles.file import FileTitles, Partition
from pipeline.titles.levels import SubjectRules
from pipeline.windows.user import UserState

_BATCH: Final = 250
"""Events that are judged together where there is an anomaly model. Without one each line is answered at once."""


class Output(NamedTuple):
    """One line of output: a verdict or a failed event, with the bytes that live agents would publish."""

    kind: Literal["verdict", "failed"]
    value: bytes


@dataclass
class LineCounts:
    """How the lines of a file ended. It holds that read = judged + duplicate + failed.

    `failed` includes invalid requests. `requests` counts applied requests, which are not in `read`. `flagged` counts
    judged events with a verdict.
    """

    read: int = 0
    judged: int = 0
    duplicate: int = 0
    failed: int = 0
    flagged: int = 0
    requests: int = 0

    def count(self, outcome: Outcome) -> None:
        """Count the outcome of one line."""
        if outcome.ending == "request":
            self.requests += 1
            return
        self.read += 1
        if outcome.ending == "judged":
            self.judged += 1
            self.flagged += outcome.verdict is not None
        elif outcome.ending == "duplicate":
            self.duplicate += 1
        else:
            self.failed += 1

    def as_dict(self) -> dict[str, int]:
        """For JSON."""
        return asdict(self)


class AllUsers(dict[str, UserState]):
    """The users of a file. There are no partitions, so all users belong here."""

    def owns(self, user_id: str, /) -> bool:  # noqa: ARG002 - the signature of `Users`
        """True for every user."""
        return True


class FileJudge:
    """Judges a file line by line.

    Args:
        evaluator: the evaluator.
        topic_prefix: a prefix of the topics that envelopes name, to find those of privacy requests.
        subjects: whether the rules on titles and devices judge as well.

    Attributes:
        counts: how the lines ended.
        subject_verdicts: the number of verdicts on titles and devices.
        first_failed: the first failed event. It explains why nothing was judged, where that happens.
        users: the states of users.
    """

    def __init__(self, evaluator: Evaluator, topic_prefix: str = "", *, subjects: bool = True) -> None:
        self.counts = LineCounts()
        self.subject_verdicts = 0
        self.first_failed: bytes | None = None
        self.users = AllUsers()
        self._evaluator = evaluator
        self._topic_prefix = topic_prefix
        self._with_subjects = subjects

    def judge(self, file: BinaryIO) -> Iterator[Output]:
        """Judge a binary file. With rules on titles and devices it is read twice, so it must be seekable."""
        titles = None
        if self._with_subjects:
            start = file.tell()
            evaluator = self._evaluator
            rules = SubjectRules(evaluator.ruleset, evaluator.show)
            titles = FileTitles(rules, self._count_partitions(file))
            file.seek(start)
        for line, outcome in self._judged(self._lines(file)):
            self.counts.count(outcome)
            if outcome.published is not None:
                yield Output("verdict", outcome.published)
            elif outcome.failed is not None:
                self.first_failed = self.first_failed or outcome.failed
                yield Output("failed", outcome.failed)
            if titles is not None and not line.is_request:
                partition = (line.record.topic, line.record.partition)
                for verdict in titles.after(partition, line.record.timestamp, outcome):
                    self.subject_verdicts += 1
                    yield Output("verdict", encode_verdict(verdict))

    def _lines(self, file: BinaryIO) -> Iterator[Line]:
        for index, line in enumerate(lines_of(file)):
            yield read_line(line, index, self._topic_prefix)

    def _judged(self, lines: Iterable[Line]) -> Iterator[tuple[Line, Outcome]]:
        """Each line with its outcome, in order. Events between two other lines are judged in batches."""
        most = 1 if self._evaluator.model is None else _BATCH
        events: list[Line] = []
        for line in lines:
            if not line.unopened and not line.is_request:
                events.append(line)
                if len(events) < most:
                    continue
            yield from self._judged_events(events)
            events = []
            if line.unopened:
                yield line, self._evaluator.refuse(line.record, list(line.unopened))
            elif line.is_request:
                yield line, self._evaluator.apply(line.record, self.users)
        yield from self._judged_events(events)

    def _judged_events(self, lines: list[Line]) -> Iterator[tuple[Line, Outcome]]:
        return zip(
            lines, self._evaluator.judge_batch([line.record for line in lines], self.users), strict=True
        )

    def _count_partitions(self, file: BinaryIO) -> Counter[Partition]:
        return Counter(
            (line.record.topic, line.record.partition) for line in self._lines(file) if not line.is_request
        )
