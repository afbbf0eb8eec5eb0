"""The subject rules: error rates of titles and devices across all users, judged once per whole minute.

Counters by minute, partition times, the watermark and the level changes are values here; who feeds them (a
file now, the health agent live) decides which partitions take part.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Literal, NamedTuple

from pipeline.evaluation.minutes import MINUTE_MS, WINDOW_MINUTES, last_closed
from pipeline.evaluation.verdict import Change, Subject, SubjectVerdict, subject_verdict
from pipeline.events.event import Event
from pipeline.events.instants import format_instant
from pipeline.rules.case import shown_as_it_is
from pipeline.rules.finding import POINTS, Severity
from pipeline.rules.ruleset import RuleSet

SubjectType = Literal["content", "device"]


class SubjectKey(NamedTuple):
    """A title or a device."""

    type: SubjectType
    id: str


@dataclass(slots=True)
class MinuteCounts:
    """Playback events of one subject in one minute."""

    total: int = 0
    failed: int = 0
    error_codes: Counter[str] = field(default_factory=Counter)
    regions: Counter[str] = field(default_factory=Counter)

    def observe(self, event: Event) -> None:
        """Count one playback event; an error without a code counts as `ERROR`."""
        self.total += 1
        self.regions[event.region] += 1
        if event.failed:
            self.failed += 1
            self.error_codes[event.error_code or "ERROR"] += 1


def subjects_of(event: Event) -> Iterator[SubjectKey]:
    """The subjects of a playback event: its title and its device."""
    if event.content_id is not None:
        yield SubjectKey("content", event.content_id)
    yield SubjectKey("device", event.device_id)


class SubjectRules:
    """The subject rules of a rule set: from the sums of an hour to a level, and to a verdict where it changed.

    Args:
        ruleset: whose subject rules judge.
        show: the form of device ids in outputs.
    """

    def __init__(
        self,
        ruleset: RuleSet,
        model_version: str | None = None,
        show: Callable[[str], str] = shown_as_it_is,
    ) -> None:
        self.by_type = {rule.subject_type: rule for rule in ruleset.subjects}
        self._ruleset = ruleset
        self._model_version = model_version
        self._show = show

    def judge(
        self,
        subject: SubjectKey,
        minute: int,
        failed: int,
        total: int,
        before: Severity | None,
        names: Callable[[int, int], tuple[Mapping[str, int], Mapping[str, int]]],
        left_out: Sequence[str] = (),
    ) -> tuple[Severity | None, SubjectVerdict | None]:
        """The level at the end of a minute, and the verdict if it is another one that is published.

        Args:
            subject: whose type has a rule.
            minute: the last of the hour.
            failed: of the hour.
            total: of the hour.
            before: the level until now.
            names: from the first and the last minute to the error codes and the regions between; asked on a change.
            left_out: source partitions that the minute was not waiting for.
        """
        rule = self.by_type[subject.type]
        level = rule.level(failed, total) if total else None
        change = level_change(before, level)
        if change is None or rule.rule_id in self._ruleset.shadow:
            return level, None
        first, end = minute - WINDOW_MINUTES + 1, (minute + 1) * MINUTE_MS
        finding = None
        if level is not None:
            bounds: dict[str, object] = {
                "window_start": format_instant(first * MINUTE_MS),
                "window_end": format_instant(end),
            }
            if left_out:
                bounds["left_out"] = list(left_out)
            # The names are summed for a change only: most minutes change no level.
            finding = rule.finding(level, failed, total, *names(first, minute), bounds)
        shown = self._show(subject.id) if subject.type == "device" else subject.id
        return level, subject_verdict(
            Subject(subject.type, subject.id),
            shown,
            end,
            change,
            finding,
            self._ruleset.version,
            self._model_version,
        )


class SubjectJudge:
    """Sums minutes of all partitions and judges them in order, each once.

    Args:
        ruleset: whose subject rules judge.
        show: the form of device ids in outputs.
    """

    def __init__(
        self,
        ruleset: RuleSet,
        model_version: str | None = None,
        show: Callable[[str], str] = shown_as_it_is,
    ) -> None:
        self._rules = SubjectRules(ruleset, model_version, show)
        self._minutes: dict[SubjectKey, dict[int, MinuteCounts]] = {}
        self._levels: dict[SubjectKey, Severity] = {}
        # Minutes in which a subject's sum changes: its counted minutes, and when they leave the window.
        self._changes: dict[int, set[SubjectKey]] = {}
        self._pending: list[int] = []
        self._judged_through: int | None = None
        self.too_late = 0
        """Events that came for a minute that was judged already; only where a partition was left out."""

    def observe(self, minute: int, event: Event) -> None:
        """Count a playback event in a minute that is not judged yet."""
        if self._judged_through is not None and minute <= self._judged_through:
            self.too_late += 1
            return
        for subject in subjects_of(event):
            if subject.type in self._rules.by_type:
                minutes = self._minutes.setdefault(subject, {})
                counts = minutes.get(minute)
                if counts is None:
                    counts = minutes[minute] = MinuteCounts()
                    self._expect(minute, subject)
                    self._expect(minute + WINDOW_MINUTES, subject)
                counts.observe(event)

    def advance(self, watermark: int) -> Iterator[SubjectVerdict]:
        """Judge every minute that the watermark (milliseconds since 1970) closes; yield the level changes.

        In order of minute, then subject type, then id.
        """
        last = last_closed(watermark)
        if self._judged_through is not None and last <= self._judged_through:
            return
        while self._pending and self._pending[0] <= last:
            minute = heappop(self._pending)
            for subject in sorted(self._changes.pop(minute)):
                verdict = self._judge(minute, subject)
                if verdict is not None:
                    yield verdict
        self._judged_through = last

    def _expect(self, minute: int, subject: SubjectKey) -> None:
        waiting = self._changes.get(minute)
        if waiting is None:
            waiting = self._changes[minute] = set()
            heappush(self._pending, minute)
        waiting.add(subject)

    def _judge(self, minute: int, subject: SubjectKey) -> SubjectVerdict | None:
        minutes = self._minutes[subject]
        horizon = minute - WINDOW_MINUTES
        for old in [known for known in minutes if known <= horizon]:
            del minutes[old]
        if not minutes:
            del self._minutes[subject]
        window = [counts for known, counts in minutes.items() if known <= minute]

        def names(_first: int, _last: int) -> tuple[Counter[str], Counter[str]]:
            error_codes, regions = Counter[str](), Counter[str]()
            for counts in window:
                error_codes.update(counts.error_codes)
                regions.update(counts.regions)
            return error_codes, regions

        failed, total = sum(counts.failed for counts in window), sum(counts.total for counts in window)
        level, verdict = self._rules.judge(subject, minute, failed, total, self._levels.get(subject), names)
        if level is None:
            self._levels.pop(subject, None)
        else:
            self._levels[subject] = level
        return verdict


def level_change(before: Severity | None, now: Severity | None) -> Change | None:
    """What a change of level is called; None where the level stays."""
    if before == now:
        return None
    if before is None:
        return "opened"
    if now is None:
        return "closed"
    return "escalated" if POINTS[now] > POINTS[before] else "eased"


Partition = tuple[str | None, int]


class Watermark:
    """The least partition time over the partitions that take part; it never goes back.

    A partition takes part from the start, holds the watermark undefined until it has a time or has ended, and
    drops out when it ends. `final` is the largest time of any, for when all have ended.
    """

    def __init__(self, partitions: Iterable[Partition]) -> None:
        self._times: dict[Partition, int | None] = dict.fromkeys(partitions)
        self.times: dict[Partition, int] = {}
        """P of each partition, also after its end."""
        self.value: int | None = None

    def observe(self, partition: Partition, time: int) -> None:
        """Move a partition's time; `time` is min(event time, record timestamp) of a judged event."""
        known = self.times.get(partition)
        if known is None or time > known:
            self.times[partition] = self._times[partition] = time
            # Only the partition that held the watermark back can move it.
            if known is None or known == self.value:
                self._update()

    def end(self, partition: Partition) -> None:
        """A partition has given its last record."""
        del self._times[partition]
        self._update()

    def _update(self) -> None:
        if self._times:
            times = [time for time in self._times.values() if time is not None]
            if len(times) < len(self._times):
                return
            least = min(times)
        elif self.times:
            least = max(self.times.values())
        else:
            return
        self.value = least if self.value is None else max(self.value, least)
