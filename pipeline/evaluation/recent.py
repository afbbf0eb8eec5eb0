"""The last judged events of a partition, flagged or not. The dashboard shows them to operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.evaluation.evaluator import Outcome
    from pipeline.evaluation.source import Record

RECENT: Final = 20
"""The number of events that are kept per partition."""


class RecentResult(msgspec.Struct, frozen=True, array_like=True):
    """One judged event. Times are milliseconds since 1970; `record_time` is negative for none. Ids are not masked."""

    event_id: str
    user_id: str
    type: str
    region: str
    content_id: str | None
    time: int
    record_time: int
    late: bool
    level: str
    score: int
    rules: tuple[str, ...]
    topic: str | None
    offset: int


class RecentResults(msgspec.Struct, frozen=True, array_like=True):
    """The last judged events, oldest first; at most `RECENT`."""

    results: tuple[RecentResult, ...] = ()

    def followed_by(self, judged: Iterable[tuple[Record, Outcome]]) -> RecentResults:
        """The results with those of a newer batch added, and the oldest dropped."""
        newer = tuple(_result(record, outcome) for record, outcome in judged)
        return RecentResults((*self.results, *newer)[-RECENT:])


def _result(record: Record, outcome: Outcome) -> RecentResult:
    event, verdict = outcome.event, outcome.verdict
    if event is None:
        raise ValueError(f"a record that ended as {outcome.ending} was not judged")
    return RecentResult(
        event.event_id,
        event.user_id,
        event.type,
        event.region,
        event.content_id,
        event.time,
        record.timestamp,
        outcome.late,
        "NONE" if verdict is None else verdict.risk_level,
        0 if verdict is None else verdict.score,
        () if verdict is None else tuple(finding.rule_id for finding in verdict.findings),
        record.topic,
        record.offset,
    )
