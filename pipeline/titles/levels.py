"""The subject rules: the failures of an hour to a level, and to a verdict where the level changed."""

from collections.abc import Callable, Mapping, Sequence

from pipeline.evaluation.verdict import Change, Subject, SubjectVerdict, subject_verdict
from pipeline.events.instants import format_instant
from pipeline.rules.error_rate import ErrorRate
from pipeline.rules.finding import POINTS, Severity
from pipeline.rules.inputs import shown_as_it_is
from pipeline.rules.ruleset import RuleSet
from pipeline.titles.minutes import MINUTE_MS, WINDOW_MINUTES


class SubjectRules:
    """Judges with the subject rules of a rule set.

    Args:
        ruleset: the rule set.
        show: gives the form of device ids in outputs.
    """

    def __init__(
        self,
        ruleset: RuleSet,
        show: Callable[[str], str] = shown_as_it_is,
    ) -> None:
        self._by_type = {rule.subject_type: rule for rule in ruleset.subjects}
        self._ruleset = ruleset
        self._show = show
        self._least_failed = {name: _least_failed(rule) for name, rule in self._by_type.items()}

    def least_failed(self, name: str) -> int | None:
        """The fewest failures within an hour for which this subject can have a level; None where no rule judges it."""
        return self._least_failed.get(name.partition(":")[0])

    def judge(
        self,
        name: str,
        minute: int,
        failed: int,
        total: int,
        before: Severity | None,
        names: Callable[[int, int], tuple[Mapping[str, int], Mapping[str, int]]],
        left_out: Sequence[str] = (),
    ) -> tuple[Severity | None, SubjectVerdict | None]:
        """The level at the end of a minute, and a verdict if the level changed and its rule is published.

        Args:
            name: the name of the subject, which must have a rule.
            minute: the last minute of the hour.
            failed: failed playback events of the hour.
            total: all playback events of the hour.
            before: the level until now.
            names: gives error codes and regions of the failures from a first to a last minute, with counts. It is
                called only if the level changed.
            left_out: the source partitions that the minute did not wait for.
        """
        dimension, _, identifier = name.partition(":")
        rule = self._by_type[dimension]
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
            finding = rule.finding(level, failed, total, *names(first, minute), bounds)
        subject = Subject("content" if dimension == "content" else "device", identifier)
        return level, subject_verdict(
            subject,
            self._show(identifier) if subject.type == "device" else identifier,
            end,
            change,
            finding,
            self._ruleset.version,
        )


def level_change(before: Severity | None, now: Severity | None) -> Change | None:
    """The name of a change of level; None where the level stays."""
    if before == now:
        return None
    if before is None:
        return "opened"
    if now is None:
        return "closed"
    return "escalated" if POINTS[now] > POINTS[before] else "eased"


def _least_failed(rule: ErrorRate) -> int:
    high, medium = rule.high_over * rule.high_min_events, rule.medium_over * rule.medium_min_events
    return max(1, min(int(high), int(medium)))
