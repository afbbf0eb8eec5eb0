"""`/stats/summary` and, in the demo, `/stats/accounts`: the whole stream in figures."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import Field

from pipeline.evaluation.batch import PartitionState
from pipeline.web.http.answers import (
    Answer,
    AsOf,
    Coverage,
    RiskLevel,
    Share,
)
from pipeline.web.http.problems import unavailable
from pipeline.web.http.routes import Route
from pipeline.web.views.ids import are_pseudonyms
from pipeline.web.views.probes import RECOVERING
from pipeline.web.views.process import PauseShown, pause_shown
from tables.risk import PARTITION_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.coordination.pauses import Pauses
    from pipeline.delivery.app import DeliveryApp
    from pipeline.delivery.state.unit import Reader
    from pipeline.delivery.table import WriteBehindTable
    from pipeline.web.cluster.peers import Peers
    from pipeline.web.http.calls import Call, Handlers
    from pipeline.web.views.status import WorkerStatus
    from tables.risk import RiskValue


class Endings(Answer):
    """How records ended, and how many have not been judged yet."""

    judged: int
    duplicate: int
    failed: int
    late: int
    flagged: int
    requests: int = Field(description="privacy requests applied")
    rekeyed: int = Field(description="records forwarded to their user's partition")
    lag: dict[str, int] = Field(description="records not judged yet, by topic-partition")
    lag_open_transactions: dict[str, int] = Field(
        description="the part of the lag behind a transaction open for 5 s or longer, by topic-partition"
    )


class Accounts(Endings):
    """How the records of this worker's partitions ended."""

    read: int = Field(description="records read: judged + duplicate + failed")


class Summary(Endings):
    """The whole stream since the topics' beginning; each record counts once, whatever was restarted."""

    events: int = Field(description="records read: judged + duplicate + failed")
    failed_by_reason: dict[str, int]
    risk_levels: dict[RiskLevel, int] = Field(
        description="verdicts on users by level; NONE: judged, not flagged"
    )
    rules: dict[str, int] = Field(description="verdicts on users by rule")
    total_lag: int
    events_per_second: float = Field(description="over the last seconds, all workers together")
    play_time_seconds: float = Field(description="time that devices played")
    error_rate: Share | None = Field(description="failed among playback events; null without any")
    paused: bool = Field(description="whether consuming is paused on any worker")
    pause: PauseShown | None = Field(
        description="who paused it, when and why; null unless consuming is paused"
    )
    workers: int
    pseudonymised: bool = Field(
        description=(
            "whether ids of users and devices in verdicts, alerts and answers are pseudonyms (keyed hashes); "
            "requests about a user or device take the id that the clients send"
        )
    )
    as_of: AsOf
    coverage: Coverage


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
        name="accounts",
        method="GET",
        path="/stats/accounts",
        role="analyst",
        summary="How the records of this worker's partitions ended (in the demo only)",
        answers=(Accounts,),
        problems=(503,),
        tag="stats",
        demo=True,
    ),
)


_LEVELS: Final[tuple[RiskLevel, ...]] = get_args(RiskLevel)


def stats_views(
    status: WorkerStatus,
    app: DeliveryApp,
    users: WriteBehindTable[RiskValue],
    peers: Peers,
    pauses: Pauses,
    show: Callable[[str], str],
    *,
    demo: bool,
) -> Handlers:
    """The handlers of `/stats/summary` and `/stats/accounts`.

    Args:
        status: of this worker.
        app: the application.
        users: the risk agent's table.
        peers: the other workers.
        pauses: of this worker.
        show: the form of user ids in outputs.
        demo: whether this worker runs the demo, which alone has `/stats/accounts`.
    """
    stats = _Stats(status, app, users, peers, pauses, show)
    return {"summary": stats.summary} | ({"accounts": stats.accounts} if demo else {})


class _Stats:
    def __init__(
        self,
        status: WorkerStatus,
        app: DeliveryApp,
        users: WriteBehindTable[RiskValue],
        peers: Peers,
        pauses: Pauses,
        show: Callable[[str], str],
    ) -> None:
        self._status = status
        self._app = app
        self._users = users
        self._peers = peers
        self._pauses = pauses
        self._show = show

    async def summary(self, call: Call) -> Summary:
        """The sums of the counts that each partition keeps, so that they do not depend on who owns it."""
        own = {partition: self._counts_of(reader) for partition, reader in self._users.owned()}
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
            **_endings(counts),
            events=_read(counts),
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
        return {
            "lag": self._status.lag(),
            "lag_open_transactions": self._status.lag_open_transactions(),
            "events_per_second": sum(
                rate
                for topic, rate in self._app.metrics.rates_by_topic.items()
                if topic in self._users.source_topics
            ),
            "paused": self._app.gate.closed,
        }

    @staticmethod
    def _counts_of(reader: Reader[RiskValue]) -> Mapping[str, int]:
        state = reader.peek(PARTITION_KEY)
        return state.counts if isinstance(state, PartitionState) else {}

    async def accounts(self, _: Call) -> Accounts:
        """How the records of this worker's partitions ended."""
        if not self._status.recovered:
            raise unavailable(RECOVERING)
        counts = self._status.counts()
        return Accounts(
            **_endings(counts),
            read=_read(counts),
            lag=self._status.lag(),
            lag_open_transactions=self._status.lag_open_transactions(),
        )


def _endings(counts: Counter[str]) -> dict[str, int]:
    """The counts that `Endings` has."""
    same = ("judged", "duplicate", "failed", "late", "flagged")
    return {name: counts[name] for name in same} | {
        "requests": counts["request"],
        "rekeyed": counts["misplaced"],
    }


def _read(counts: Counter[str]) -> int:
    return counts["judged"] + counts["duplicate"] + counts["failed"]


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _below(prefix: str, counts: Mapping[str, int]) -> dict[str, int]:
    found = {name.removeprefix(prefix): count for name, count in counts.items() if name.startswith(prefix)}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
