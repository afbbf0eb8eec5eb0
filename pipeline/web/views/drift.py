"""`/drift`: how far what is scored now has moved from what the anomaly model learned from, over all workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import Field

from pipeline.anomaly.drift import DAY_MINUTES, FEWEST, MOVED_ABOVE, STABLE_BELOW, DriftDay, newest_of
from pipeline.events.instants import format_instant
from pipeline.web.http.answers import Answer, AsOf, Coverage
from pipeline.web.http.routes import Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.anomaly.artefact import Model
    from pipeline.anomaly.drift import DriftWatch
    from pipeline.delivery.table import WriteBehindTable
    from pipeline.web.cluster.peers import Peers
    from pipeline.web.http.calls import Call, Handlers
    from tables.risk import RiskValue

_DAY_MS: Final = DAY_MINUTES * 60_000


class DayOfDrift(Answer):
    """One day of event time."""

    date: str = Field(json_schema_extra={"format": "date"})
    minutes: int = Field(description="scored minutes that were counted: one minute of event time in ten")
    psi: dict[str, float] | None = Field(
        description="population stability index against training, by feature, and of the score under `score`; null "
        f"with fewer than {FEWEST:,} counted minutes"
    )


class Drift(Answer):
    """The drift of the two newest days of event time, of what was counted since the workers started."""

    model: str | None = Field(
        description="version of the model that this worker asked last; null before that"
    )
    days: list[DayOfDrift] = Field(description="the newest first")
    stable_below: float = Field(description="below this index nothing has moved")
    moved_above: float = Field(description="above it the feature has moved: look at it, perhaps train again")
    other_models: int = Field(description="workers that asked another model, or none; they are left out")
    coverage: Coverage
    as_of: AsOf


ROUTES: Final = (
    Route(
        name="drift",
        method="GET",
        path="/drift",
        role="analyst",
        summary="The drift of the anomaly model's features and score",
        answers=(Drift,),
        snapshot=True,
        tag="rules",
    ),
)


def drift_views(users: WriteBehindTable[RiskValue], peers: Peers, watch: DriftWatch) -> Handlers:
    """The handler of `/drift`.

    Args:
        users: the risk agent's table, for the coverage.
        peers: the other workers.
        watch: counts what this worker scores.
    """

    async def drift(call: Call) -> Drift:
        owned = {partition: None for partition, _ in users.owned()}
        gathered = await peers.gather(call, users, owned, _part_of(watch))
        model = watch.model
        same = [part for part in gathered.workers if model is not None and part["model"] == model.version]
        days = newest_of(day for part in same for day in _days_in(part))
        return Drift(
            model=None if model is None else model.version,
            days=[] if model is None else [_shown(day, model) for day in days],
            stable_below=STABLE_BELOW,
            moved_above=MOVED_ABOVE,
            other_models=len(gathered.workers) - len(same),
            coverage=gathered.coverage,
            as_of=call.as_of,
        )

    return {"drift": drift}


def _part_of(watch: DriftWatch) -> dict[str, Any]:
    return {
        "model": None if watch.model is None else watch.model.version,
        "days": [[day.day, day.counts.tolist()] for day in watch.days.values()],
    }


def _days_in(part: Mapping[str, Any]) -> list[DriftDay]:
    return [DriftDay(number, np.array(counts, dtype=np.int64)) for number, counts in part["days"]]


def _shown(day: DriftDay, model: Model) -> DayOfDrift:
    psi = {name: round(index, 4) for name, index in day.psi(model).items()}
    return DayOfDrift(date=format_instant(day.day * _DAY_MS)[:10], minutes=day.minutes, psi=psi or None)
