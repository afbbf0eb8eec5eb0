"""`/results/latest`: the newest judged events, flagged or not."""

from __future__ import annotations

from heapq import nlargest
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field

from pipeline.evaluation.recent import RecentResults
from pipeline.events.instants import format_instant
from pipeline.web.http.answers import (
    Answer,
    AsOf,
    Coverage,
    Instant,
    RiskLevel,
)
from pipeline.web.http.calls import json_answer
from pipeline.web.http.questions import Limit
from pipeline.web.http.routes import Route
from tables.risk import RECENT_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiohttp.web import Response

    from pipeline.delivery.state.unit import Reader
    from pipeline.delivery.table import WriteBehindTable
    from pipeline.evaluation.recent import RecentResult
    from pipeline.web.cluster.peers import Peers
    from pipeline.web.http.calls import Call, Handlers
    from tables.risk import RiskValue


class Judged(Answer):
    """One judged event, flagged or not."""

    event_id: str
    user_id: str
    event_type: str
    region: str
    content_id: str | None
    event_time: Instant
    judged_at: Instant | None = Field(description="the timestamp of its record")
    late: bool
    risk_level: RiskLevel
    score: int
    rules: list[str]
    partition: int
    offset: int


class LatestResults(Answer):
    """The newest judged events, newest first."""

    results: list[Judged]
    coverage: Coverage
    as_of: AsOf


ROUTES: Final = (
    Route(
        name="latest",
        method="GET",
        path="/results/latest",
        role="analyst",
        summary="The last judged events, flagged or not",
        answers=(LatestResults,),
        query=Limit,
        snapshot=True,
        tag="compliance",
    ),
)


def result_views(users: WriteBehindTable[RiskValue], peers: Peers, show: Callable[[str], str]) -> Handlers:
    """The handler of `/results/latest`.

    Args:
        users: the risk agent's table.
        peers: the other workers.
        show: the form of user ids in outputs.
    """
    return {"latest": _Results(users, peers, show).latest}


class _Results:
    def __init__(self, users: WriteBehindTable[RiskValue], peers: Peers, show: Callable[[str], str]) -> None:
        self._users = users
        self._peers = peers
        self._show = show

    async def latest(self, call: Call) -> Response:
        """The newest by the timestamps of their records."""
        question: Limit = call.query
        gathered = await self._peers.gather(call, self._users, self._own_newest(question.limit))
        found = [one for part in gathered.partitions.values() for one in part]
        newest = nlargest(
            question.limit, found, key=lambda one: (one["judged_at"] or "", one["event_time"], one["offset"])
        )
        return json_answer(
            {"results": newest, "coverage": gathered.coverage.model_dump(), "as_of": call.as_of}
        )

    def _own_newest(self, limit: int) -> dict[int, list[dict[str, Any]]]:
        """The results by partition that are among the newest `limit` of this worker."""
        recent = {partition: _results_of(reader) for partition, reader in self._users.owned()}
        newest = nlargest(
            limit,
            [(partition, result) for partition, results in recent.items() for result in results],
            key=lambda one: (one[1].record_time, one[1].time, one[1].offset),
        )
        found: dict[int, list[dict[str, Any]]] = {partition: [] for partition in recent}
        for partition, result in newest:
            found[partition].append(self._judged(partition, result))
        return found

    def _judged(self, partition: int, result: RecentResult) -> dict[str, Any]:
        """A `Judged`, as JSON."""
        return {
            "event_id": result.event_id,
            "user_id": self._show(result.user_id),
            "event_type": result.type,
            "region": result.region,
            "content_id": result.content_id,
            "event_time": format_instant(result.time),
            "judged_at": None if result.record_time < 0 else format_instant(result.record_time),
            "late": result.late,
            "risk_level": result.level,
            "score": result.score,
            "rules": list(result.rules),
            "partition": partition,
            "offset": result.offset,
        }


def _results_of(reader: Reader[RiskValue]) -> Sequence[RecentResult]:
    recent = reader.peek(RECENT_KEY)
    return recent.results if isinstance(recent, RecentResults) else ()
