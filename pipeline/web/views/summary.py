"""`/stats/summary` and `/results/latest`: the whole stream, gathered from the partitions' own counts."""

from __future__ import annotations

from collections import Counter
from heapq import nlargest
from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import Field

from pipeline.evaluation.batch import PartitionState
from pipeline.evaluation.recent import RecentResults
from pipeline.events.instants import format_instant
from pipeline.web.http.answers import Answer, AsOf, Coverage, Instant, RiskLevel, Share
from pipeline.web.http.questions import Limit
from pipeline.web.http.routes import Route
from pipeline.web.http.serving import json_answer
from pipeline.web.views.ids import are_pseudonyms
from pipeline.web.views.process import PauseShown, pause_shown
from pipeline.web.views.standing import Standing
from tables.risk import PARTITION_KEY, RECENT_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp.web import Response

    from pipeline.coordination.pauses import Pauses
    from pipeline.delivery.app import DeliveryApp
    from pipeline.delivery.table import WriteBehindTable
    from pipeline.evaluation.recent import RecentResult
    from pipeline.web.cluster.peers import Peers
    from pipeline.web.http.serving import Call, Handlers
    from tables.risk import RiskValue

_LEVELS: Final[tuple[RiskLevel, ...]] = get_args(RiskLevel)


class Summary(Answer):
    """The whole stream since the topics' beginning; each record counts once, whatever was restarted."""

    events: int = Field(description="records read: judged + duplicate + failed")
    judged: int
    duplicate: int
    failed: int
    late: int
    flagged: int
    requests: int = Field(description="privacy requests applied")
    rekeyed: int = Field(description="records forwarded to their user's partition")
    failed_by_reason: dict[str, int]
    risk_levels: dict[RiskLevel, int] = Field(
        description="verdicts on users by level; NONE: judged, not flagged"
    )
    rules: dict[str, int] = Field(description="verdicts on users by rule")
    lag: dict[str, int] = Field(description="records not judged yet, by topic-partition")
    lag_open_transactions: dict[str, int] = Field(
        description="the part of the lag that waits behind a transaction open for 5 s or longer, where there is any"
    )
    total_lag: int
    events_per_second: float = Field(description="over the last seconds, all workers together")
    play_time_seconds: float = Field(description="time that devices played")
    error_rate: Share | None = Field(description="failed among playback events; null without any")
    paused: bool = Field(description="whether consuming is paused on any worker")
    pause: PauseShown | None = Field(description="who paused it, when and why, until somebody resumes")
    workers: int
    pseudonymised: bool = Field(
        description=(
            "whether ids of users and devices in verdicts, alerts and answers are pseudonyms (keyed hashes); "
            "what asks about one takes the id that the clients send"
        )
    )
    as_of: AsOf
    coverage: Coverage


class Judged(Answer):
    """One judged event, flagged or not."""

    event_id: str
    user_id: str
    event_type: str
    region: str
    content_id: str | None
    event_time: Instant
    judged_at: Instant | None = Field(description="its record's timestamp")
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
        name="summary",
        method="GET",
        path="/stats/summary",
        role="analyst",
        summary="The whole stream in figures",
        answers=(Summary,),
        snapshot=True,
        tag="stats",
    ),
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


def summary_views(
    app: DeliveryApp,
    users: WriteBehindTable[RiskValue],
    peers: Peers,
    pauses: Pauses,
    show: Callable[[str], str],
) -> Handlers:
    """The handlers.

    Args:
        app: the application.
        users: the risk agent's table.
        peers: the other workers.
        pauses: of this worker.
        show: the form of user ids in outputs.
    """
    stats = _Stats(app, users, peers, pauses, show)
    return {"summary": stats.summary, "latest": stats.latest}


class _Stats:
    def __init__(
        self,
        app: DeliveryApp,
        users: WriteBehindTable[RiskValue],
        peers: Peers,
        pauses: Pauses,
        show: Callable[[str], str],
    ) -> None:
        self._pauses = pauses
        self._app = app
        self._users = users
        self._peers = peers
        self._show = show

    async def summary(self, call: Call) -> Summary:
        """Counts are the partitions', so they are the same whoever has these."""
        own = {
            partition: value.counts
            for partition, value in self._values(PARTITION_KEY).items()
            if isinstance(value, PartitionState)
        }
        gathered = await self._peers.gather(call, self._users, own, self._of_this_worker())
        counts: Counter[str] = Counter()
        for of_partition in gathered.partitions.values():
            counts.update(of_partition)
        lag = {name: behind for worker in gathered.workers for name, behind in worker["lag"].items()}
        withheld = {
            name: behind
            for worker in gathered.workers
            for name, behind in worker["lag_open_transactions"].items()
        }
        levels = {level: counts[f"level.{level}"] for level in _LEVELS}
        levels["NONE"] = counts["judged"] - counts["flagged"]
        return Summary(
            events=counts["judged"] + counts["duplicate"] + counts["failed"],
            judged=counts["judged"],
            duplicate=counts["duplicate"],
            failed=counts["failed"],
            late=counts["late"],
            flagged=counts["flagged"],
            requests=counts["request"],
            rekeyed=counts["misplaced"],
            failed_by_reason=_below("failed.", counts),
            risk_levels=levels,
            rules=_below("rule.", counts),
            lag=dict(sorted(lag.items())),
            total_lag=sum(lag.values()),
            lag_open_transactions=dict(sorted(withheld.items())),
            events_per_second=round(sum(worker["events_per_second"] for worker in gathered.workers), 1),
            play_time_seconds=counts["watched_ms"] / 1000,
            error_rate=_share(counts["playback.failed"], counts["playback"]),
            paused=any(worker["paused"] for worker in gathered.workers),
            pause=pause_shown(self._pauses),
            workers=len(gathered.workers),
            pseudonymised=are_pseudonyms(self._show),
            as_of=call.as_of,
            coverage=gathered.coverage,
        )

    def _of_this_worker(self) -> dict[str, Any]:
        standing = Standing(self._app, self._users)
        return {
            "lag": standing.lag(),
            "lag_open_transactions": standing.lag_open_transactions(),
            "events_per_second": sum(
                rate
                for topic, rate in self._app.metrics.rates_by_topic.items()
                if topic in self._users.source_topics
            ),
            "paused": self._app.gate.closed,
        }

    async def latest(self, call: Call) -> Response:
        """The newest by their records' timestamps."""
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
        """Those of each partition that are among the newest of all that are owned here."""
        recent = {
            partition: value.results
            for partition, value in self._values(RECENT_KEY).items()
            if isinstance(value, RecentResults)
        }
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

    def _values(self, key: bytes) -> dict[int, RiskValue | PartitionState | RecentResults]:
        """What each partition that is owned here keeps under a key; a new one has nothing yet."""
        found: dict[int, Any] = {}
        empty: Mapping[bytes, Any] = {PARTITION_KEY: PartitionState(), RECENT_KEY: RecentResults()}
        for partition, reader in self._users.owned():
            found[partition] = reader.peek(key) or empty[key]
        return found


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _below(prefix: str, counts: Mapping[str, int]) -> dict[str, int]:
    found = {name.removeprefix(prefix): count for name, count in counts.items() if name.startswith(prefix)}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
