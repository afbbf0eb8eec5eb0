"""The subject rules: error rates of titles and devices across all users, judged once per whole minute.

Counters by minute, partition times, the watermark and the level changes are values here; who feeds them (a
file now, the health agent live) decides which partitions take part.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final, Literal, NamedTuple

from pipeline.evaluation.verdict import Change, Subject, SubjectVerdict, subject_verdict
from pipeline.events.event import Event
from pipeline.events.instants import format_instant
from pipeline.rules.case import shown_as_it_is
from pipeline.rules.finding import POINTS, Severity
from pipeline.rules.ruleset import RuleSet

MINUTE_MS: Final = 60_000
WINDOW_MINUTES: Final = 60
GRACE_MS: Final = 60_000
"""A minute is judged when the watermark is this far past its end; stragglers count in a later minute."""

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


def counted_minute(time: int, partition_time: int | None) -> int | None:
    """The minute (whole minutes since 1970) in which an event counts.

    The later of its own and that of P - 60 s, with P as it stood before the event; None for one that is more
    than 60 minutes behind P.
    """
    if partition_time is None:
        return time // MINUTE_MS
    if time < partition_time - WINDOW_MINUTES * MINUTE_MS:
        return None
    return max(time, partition_time - GRACE_MS) // MINUTE_MS


def subjects_of(event: Event) -> Iterator[SubjectKey]:
    """The subjects of a playback event: its title and its device."""
    if event.content_id is not None:
        yield SubjectKey("content", event.content_id)
    yield SubjectKey("device", event.device_id)


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
        self._ruleset = ruleset
        self._rules = {rule.subject_type: rule for rule in ruleset.subjects}
        self._model_version = model_version
        self._show = show
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
            if subject.type in self._rules:
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
        last = (watermark - GRACE_MS) // MINUTE_MS - 1
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
        rule = self._rules[subject.type]
        minutes = self._minutes[subject]
        first = minute - WINDOW_MINUTES + 1
        for old in [known for known in minutes if known < first]:
            del minutes[old]
        if not minutes:
            del self._minutes[subject]
        window = [counts for known, counts in minutes.items() if known <= minute]
        failed, total = sum(counts.failed for counts in window), sum(counts.total for counts in window)
        level = rule.level(failed, total) if total else None
        change = level_change(self._levels.get(subject), level)
        if change is None:
            return None
        if level is None:
            del self._levels[subject]
        else:
            self._levels[subject] = level
        if rule.rule_id in self._ruleset.shadow:
            return None
        end = (minute + 1) * MINUTE_MS
        finding = None
        if level is not None:
            bounds = {"window_start": format_instant(first * MINUTE_MS), "window_end": format_instant(end)}
            # The names are summed for a change only: most minutes change no level.
            error_codes, regions = Counter[str](), Counter[str]()
            for counts in window:
                error_codes.update(counts.error_codes)
                regions.update(counts.regions)
            finding = rule.finding(level, failed, total, error_codes, regions, bounds)
        shown = self._show(subject.id) if subject.type == "device" else subject.id
        return subject_verdict(
            Subject(subject.type, subject.id),
            shown,
            end,
            change,
            finding,
            self._ruleset.version,
            self._model_version,
        )


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
