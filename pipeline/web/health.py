"""`/stats/content`, `/stats/region`, `/stats/device`: the figures that the health agent keeps."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pipeline.evaluation.device_health import DeviceHealth
from pipeline.evaluation.health_state import PARTITION_KEY, HealthPartition, record_key
from pipeline.evaluation.minutes import MINUTE_MS, WINDOW_MINUTES
from pipeline.evaluation.partials import subject_key
from pipeline.evaluation.subject_health import FAILED, PLAYS, TOTAL, WATCHED, SubjectHealth
from pipeline.events.instants import format_instant
from pipeline.rules.error_rate import wilson_interval
from pipeline.web.answers import (
    ContentRank,
    ContentRanking,
    ContentStats,
    Count,
    DeviceStats,
    ErrorRate,
    Minute,
    RegionStats,
)
from pipeline.web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.delivery.app import DeliveryApp
    from pipeline.delivery.table import WriteBehindTable
    from pipeline.delivery.unit import Unit
    from pipeline.evaluation.health_state import HealthValue
    from pipeline.evaluation.roll_ups import Dimension
    from pipeline.web.peers import Peers
    from pipeline.web.questions import Limit
    from pipeline.web.serving import Call, Handlers

_TITLES: Final = record_key("content", "")
_LOOKED_AT: Final = 20_000
"""So many keys of a partition's cache are looked at for titles that fail rarely or never."""


def health_views(app: DeliveryApp, health: WriteBehindTable[HealthValue], peers: Peers) -> Handlers:
    """The handlers.

    Args:
        app: the application.
        health: the health agent's table.
        peers: the other workers.
    """
    views = _Health(app, health, peers)
    return {
        "content_ranking": views.ranking,
        "content": views.content,
        "region": views.region,
        "device": views.device,
    }


class _Health:
    def __init__(self, app: DeliveryApp, health: WriteBehindTable[HealthValue], peers: Peers) -> None:
        self._app = app
        self._health = health
        self._peers = peers

    async def ranking(self, call: Call) -> ContentRanking:
        """Titles that failed often within the hour are all there; others as far as they are in memory."""
        question: Limit = call.query
        own = {
            partition: [rank.model_dump() for rank in _ranks(owned.unit, question.limit)]
            for (table, partition), owned in self._app.ownership.units.items()
            if table == self._health.name
        }
        gathered = await self._peers.gather(call, self._health, own)
        ranks = [ContentRank.model_validate(one) for part in gathered.partitions.values() for one in part]
        ranks.sort(key=_worst_first)
        return ContentRanking(contents=ranks[: question.limit], coverage=gathered.coverage)

    async def content(self, call: Call) -> ContentStats:
        """One title."""
        content_id = call.path["content_id"]
        unit, record = await self._record(call, "content", content_id)
        return ContentStats(
            content_id=content_id,
            plays=record.plays,
            failed_starts=record.failed_starts,
            watch_seconds=record.watched_ms / 1000,
            error_rate=_error_rate(record, _last_minute(unit, record)),
            top_regions=_counts(record.regions),
            top_error_codes=_counts(record.error_codes),
            device_mix=_counts(record.device_types),
            risk_level=record.level or "NONE",
            minutes=_minutes(record),
        )

    async def region(self, call: Call) -> RegionStats:
        """One region, as events name it in its normal form."""
        region = call.path["region"]
        unit, record = await self._record(call, "region", region)
        return RegionStats(
            region=region,
            plays=record.plays,
            events=record.events,
            watch_seconds=record.watched_ms / 1000,
            error_rate=_error_rate(record, _last_minute(unit, record)),
            errors=_counts(record.error_codes),
            device_mix=_counts(record.device_types),
            flagged_by_rule=_counts(record.rules),
            minutes=_minutes(record),
        )

    async def device(self, call: Call) -> DeviceStats:
        """One device."""
        device_id = call.path["device_id"]
        unit, record = await self._found(call, "device", device_id)
        if not isinstance(record, DeviceHealth):
            raise _unknown("device", device_id)
        return DeviceStats(
            device_id=device_id,
            events=record.events,
            error_rate=_error_rate(record, _last_minute(unit, record)),
            users=len(record.users),
            risk_level=record.level or "NONE",
        )

    async def _record(
        self, call: Call, dimension: Dimension, identifier: str
    ) -> tuple[Unit[HealthValue], SubjectHealth]:
        unit, record = await self._found(call, dimension, identifier)
        if not isinstance(record, SubjectHealth):
            raise _unknown(dimension, identifier)
        return unit, record

    async def _found(
        self, call: Call, dimension: Dimension, identifier: str
    ) -> tuple[Unit[HealthValue], HealthValue | None]:
        """The figures of a subject, where they are."""
        partition = self._health.partition_of(subject_key(dimension, identifier))
        unit: Unit[HealthValue] = (await self._peers.owned(call, self._health, partition)).unit
        return unit, _peek(unit, dimension, identifier)


def _peek(unit: Unit[HealthValue], dimension: Dimension, identifier: str) -> HealthValue | None:
    """A subject's figures, all rows summed: in a copy, as what is asked must not change what is kept."""
    value = unit.peek(record_key(dimension, identifier))
    if isinstance(value, SubjectHealth):
        copy = unit.codec.decode(unit.codec.encode(value))
        assert isinstance(copy, SubjectHealth)
        copy.settle(None, named=False)
        return copy
    if isinstance(value, DeviceHealth):
        copy = unit.codec.decode(unit.codec.encode(value))
        assert isinstance(copy, DeviceHealth)
        copy.settle(None)
        return copy
    return value


def _unknown(dimension: str, identifier: str) -> Problem:
    what = {"content": "title"}.get(dimension, dimension)
    return Problem(
        HTTPStatus.NOT_FOUND, f"nothing is known of {what} {identifier}: no event of it within the last day"
    )


def _ranks(unit: Unit[HealthValue], limit: int) -> list[ContentRank]:
    """The worst titles of a partition."""
    found = []
    for content_id in dict.fromkeys(_titles(unit)):
        record = _peek(unit, "content", content_id)
        if isinstance(record, SubjectHealth):
            found.append(
                ContentRank(
                    content_id=content_id,
                    plays=record.plays,
                    watch_seconds=record.watched_ms / 1000,
                    error_rate=_error_rate(record, _last_minute(unit, record)),
                    risk_level=record.level or "NONE",
                )
            )
    return sorted(found, key=_worst_first)[:limit]


def _titles(unit: Unit[HealthValue]) -> Iterator[str]:
    state = unit.peek(PARTITION_KEY)
    if isinstance(state, HealthPartition):
        for name in state.candidates:
            dimension, _, identifier = name.partition(":")
            if dimension == "content":
                yield identifier
    for key in islice(unit.cache, _LOOKED_AT):
        if key.startswith(_TITLES):
            yield key.removeprefix(_TITLES).decode()


def _worst_first(rank: ContentRank) -> tuple[float, int, str]:
    # By the lower end of the interval: one failure of two events is no worse than a hundred of a thousand.
    return -rank.error_rate.low, -rank.error_rate.events, rank.content_id


def _last_minute(unit: Unit[HealthValue], record: SubjectHealth | DeviceHealth) -> int:
    """The end of the hour that counts: the minute that was judged last; before the first the newest one."""
    state = unit.peek(PARTITION_KEY)
    judged = state.judged_through if isinstance(state, HealthPartition) else None
    return max(record.minutes(), default=0) if judged is None else judged


def _error_rate(record: SubjectHealth | DeviceHealth, last: int) -> ErrorRate:
    failed, total = record.sums(last - WINDOW_MINUTES + 1, last)
    low, high = wilson_interval(failed, total) if total else (0.0, 1.0)
    return ErrorRate(
        events=total, errors=failed, rate=round(failed / total, 4) if total else 0.0, low=low, high=high
    )


def _minutes(record: SubjectHealth) -> list[Minute]:
    """The minutes that are kept, oldest first."""
    return [
        Minute(
            start=format_instant(minute * MINUTE_MS),
            events=numbers[TOTAL],
            errors=numbers[FAILED],
            plays=numbers[PLAYS],
            watch_seconds=numbers[WATCHED] / 1000,
        )
        for minute, numbers in sorted(record.series.items())
    ]


def _counts(counts: Mapping[str, int]) -> list[Count]:
    """Most first, then by name; taken away again where the count is 0."""
    known: Counter[str] = Counter({name: count for name, count in counts.items() if count > 0})
    return [Count(name=name, count=count) for name, count in sorted(known.items(), key=_most_first)]


def _most_first(item: tuple[str, Any]) -> tuple[int, str]:
    return -item[1], item[0]
