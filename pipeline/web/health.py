"""`/stats/content`, `/stats/region`, `/stats/device`: the figures that the health agent keeps."""

from __future__ import annotations

import time
from collections import Counter
from heapq import nlargest, nsmallest
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pipeline.evaluation.device_health import DeviceHealth
from pipeline.evaluation.health_state import PARTITION_KEY, HealthPartition, record_key
from pipeline.evaluation.minutes import MINUTE_MS, WINDOW_MINUTES
from pipeline.evaluation.partials import subject_key
from pipeline.evaluation.segments import series_of, sums_of
from pipeline.evaluation.subject_health import FAILED, PLAYS, TOTAL, WATCHED, SubjectHealth
from pipeline.events.instants import format_instant
from pipeline.rules.error_rate import wilson_interval
from pipeline.verdicts.index import IndexUnavailableError
from pipeline.verdicts.summary import count_by_region
from pipeline.web.answers import (
    ContentStats,
    Count,
    DeviceStats,
    ErrorRate,
    Minute,
    RegionStats,
)
from pipeline.web.ids import way_out
from pipeline.web.problems import Problem, unavailable
from pipeline.web.serving import json_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, KeysView, Mapping

    from aiohttp.web import Response

    from pipeline.delivery.app import DeliveryApp
    from pipeline.delivery.table import WriteBehindTable
    from pipeline.delivery.unit import Unit
    from pipeline.evaluation.health_state import HealthValue
    from pipeline.evaluation.roll_ups import Dimension
    from pipeline.verdicts.index import VerdictIndex
    from pipeline.web.peers import Peers
    from pipeline.web.questions import Limit
    from pipeline.web.serving import Call, Handlers

_TITLES: Final = record_key("content", "")
_KEPT_S: Final = 10.0
"""So long a ranking is given again: pages ask every few seconds, and many may be open."""
_NOT_JUDGED: Final = 15
"""So many minutes after those that were judged are shown; while partitions are hours apart, there are hundreds."""
_KEYS: Final = 1_000
"""So many keys of a partition's cache are looked at for titles that fail rarely or never."""


def health_views(
    app: DeliveryApp,
    health: WriteBehindTable[HealthValue],
    peers: Peers,
    show: Callable[[str], str],
    index: VerdictIndex,
) -> Handlers:
    """The handlers.

    Args:
        app: the application.
        health: the health agent's table.
        peers: the other workers.
        show: the form of device ids in outputs.
        index: of verdicts, which counts findings for every view.
    """
    views = _Health(app, health, peers, show, index)
    return {
        "content_ranking": views.ranking,
        "content": views.content,
        "region": views.region,
        "device": views.device,
    }


class _Health:
    def __init__(
        self,
        app: DeliveryApp,
        health: WriteBehindTable[HealthValue],
        peers: Peers,
        show: Callable[[str], str],
        index: VerdictIndex,
    ) -> None:
        self._app = app
        self._index = index
        self._health = health
        self._peers = peers
        self._show = show
        self._ranked: tuple[int, KeysView[int], dict[int, list[dict[str, Any]]], float] | None = None

    async def ranking(self, call: Call) -> Response:
        """Titles that failed often within the hour are all there; others as far as they are in memory."""
        question: Limit = call.query
        gathered = await self._peers.gather(call, self._health, self._own_ranks(question.limit))
        ranks = [one for part in gathered.partitions.values() for one in part]
        worst = nsmallest(question.limit, ranks, key=_worst_first)
        return json_answer({"contents": worst, "coverage": gathered.coverage.model_dump()})

    async def _own_ranks(self, limit: int) -> dict[int, list[dict[str, Any]]]:
        """Those of each partition that are among the worst titles of all that are owned here.

        They are as of ten seconds ago at most.
        """
        owned = {
            partition: found.unit
            for (table, partition), found in self._app.ownership.units.items()
            if table == self._health.name
        }
        now = time.monotonic()
        if self._ranked is None or self._ranked[:2] != (limit, owned.keys()) or now > self._ranked[3]:
            every: list[tuple[int, dict[str, Any]]] = []
            ranks: dict[int, list[dict[str, Any]]] = {}
            for partition, unit in owned.items():
                await self._app.turns.next()
                if not unit.closed:
                    ranks[partition] = []
                    every += [(partition, rank) for rank in _ranks(unit, limit)]
            for partition, rank in nsmallest(limit, every, key=lambda one: _worst_first(one[1])):
                ranks[partition].append(rank)
            self._ranked = (limit, owned.keys(), ranks, now + _KEPT_S)
        return self._ranked[2]

    async def content(self, call: Call) -> ContentStats:
        """One title."""
        content_id = call.path["content_id"]
        known, settled = await self._subject(call, "content", content_id)
        return ContentStats(
            content_id=content_id,
            plays=settled.plays,
            failed_starts=settled.failed_starts,
            watch_seconds=settled.watched_ms / 1000,
            error_rate=known.error_rate(),
            top_regions=_counts(settled.regions),
            top_error_codes=_counts(settled.error_codes),
            device_mix=_counts(settled.device_types),
            risk_level=settled.level or "NONE",
            minutes=known.minutes(settled),
        )

    async def region(self, call: Call) -> RegionStats:
        """One region, as events name it in its normal form."""
        region = call.path["region"]
        known, settled = await self._subject(call, "region", region)
        try:
            verdicts = count_by_region(await self._index.tallies()).regions.get(region)
        except IndexUnavailableError as error:
            raise unavailable(str(error)) from error
        return RegionStats(
            region=region,
            plays=settled.plays,
            events=settled.events,
            watch_seconds=settled.watched_ms / 1000,
            error_rate=known.error_rate(),
            errors=_counts(settled.error_codes),
            device_mix=_counts(settled.device_types),
            flagged_by_rule=_counts({} if verdicts is None else verdicts.by_rule),
            minutes=known.minutes(settled),
        )

    async def device(self, call: Call) -> DeviceStats:
        """One device."""
        device_id = call.path["device_id"]
        known = await self._known(call, "device", device_id)
        settled = known.settled
        if not isinstance(settled, DeviceHealth):
            raise _unknown("device", device_id, way_out(self._show))
        return DeviceStats(
            device_id=self._show(device_id),
            events=settled.events,
            error_rate=known.error_rate(),
            users=len(settled.users),
            risk_level=settled.level or "NONE",
        )

    async def _subject(
        self, call: Call, dimension: Dimension, identifier: str
    ) -> tuple[_Known, SubjectHealth]:
        """A title or a region, where it is, and its figures.

        Raises:
            Problem: nothing is known of it.
        """
        known = await self._known(call, dimension, identifier)
        settled = known.settled
        if not isinstance(settled, SubjectHealth):
            raise _unknown("title" if dimension == "content" else dimension, identifier)
        return known, settled

    async def _known(self, call: Call, dimension: Dimension, identifier: str) -> _Known:
        """A subject, where it is."""
        key = subject_key(dimension, identifier)
        owned = await self._peers.owned(call, self._health, self._health.partition_of(key))
        return _Known(owned.unit, key.decode())


class _Known:
    """What is known of a subject.

    Attributes:
        record: its figures, as they are kept.
    """

    def __init__(self, unit: Unit[HealthValue], name: str) -> None:
        self._unit = unit
        self._name = name
        dimension, _, identifier = name.partition(":")
        self.record = unit.peek(record_key(dimension, identifier))

    @property
    def settled(self) -> HealthValue | None:
        """The same with all rows summed; a copy, as what is asked must not change what is kept."""
        if not isinstance(self.record, SubjectHealth | DeviceHealth):
            return None
        codec = self._unit.codec
        copy = codec.decode(codec.encode(self.record))
        assert isinstance(copy, SubjectHealth | DeviceHealth)
        copy.settle(None)
        return copy

    def error_rate(self) -> ErrorRate:
        """Over the hour that was judged last; before the first judgement over the newest one."""
        failed = total = 0
        if isinstance(self.record, SubjectHealth | DeviceHealth):
            read, last = self._unit.peek, self._judged_through()
            if last is None:
                last = max(series_of(read, self._name, self.record), default=0)
            first = last - WINDOW_MINUTES + 1
            failed, total = sums_of(series_of(read, self._name, self.record, first, last), first, last)
        low, high = wilson_interval(failed, total) if total else (0.0, 1.0)
        rate = round(failed / total, 4) if total else 0.0
        return ErrorRate(events=total, errors=failed, rate=rate, low=low, high=high)

    def minutes(self, settled: SubjectHealth) -> list[Minute]:
        """The hour that was judged last and what follows it, oldest first; see `error_rate`."""
        series, last = settled.series, self._judged_through()
        if last is None:
            last = max(series, default=0)
        shown = range(last - WINDOW_MINUTES + 1, last + _NOT_JUDGED + 1)
        return [_minute(minute, series[minute]) for minute in shown if minute in series]

    def _judged_through(self) -> int | None:
        state = self._unit.peek(PARTITION_KEY)
        return state.judged_through if isinstance(state, HealthPartition) else None


def _unknown(what: str, identifier: str, hint: str = "") -> Problem:
    return Problem(
        HTTPStatus.NOT_FOUND,
        f"nothing is known of {what} {identifier}: no event of it within the last day{hint}",
    )


def _ranks(unit: Unit[HealthValue], limit: int) -> Iterator[dict[str, Any]]:
    """The titles of a partition that may be among the worst, each a `ContentRank` as JSON."""
    for content_id in dict.fromkeys(_titles(unit, limit)):
        known = _Known(unit, f"content:{content_id}")
        record = known.record
        if isinstance(record, SubjectHealth):
            plays, watched_ms = record.totals()
            yield {
                "content_id": content_id,
                "plays": plays,
                "watch_seconds": watched_ms / 1000,
                "error_rate": known.error_rate().model_dump(),
                "risk_level": record.level or "NONE",
            }


def _titles(unit: Unit[HealthValue], others: int) -> Iterator[str]:
    """Those that failed often within the hour, and of the others so many that have failed most often."""
    state = unit.peek(PARTITION_KEY)
    if isinstance(state, HealthPartition):
        for name in state.candidates:
            dimension, _, identifier = name.partition(":")
            if dimension == "content":
                yield identifier
    in_memory = [
        (value.failed, key)
        for key, value in islice(unit.cache.items(), _KEYS)
        if key.startswith(_TITLES) and isinstance(value, SubjectHealth)
    ]
    for _, key in nlargest(others, in_memory):
        yield key.removeprefix(_TITLES).decode()


def _worst_first(rank: Mapping[str, Any]) -> tuple[float, int, str]:
    # By the lower end of the interval: one failure of two events is no worse than a hundred of a thousand.
    rate = rank["error_rate"]
    return -rate["low"], -rate["events"], rank["content_id"]


def _minute(minute: int, numbers: list[int]) -> Minute:
    return Minute(
        start=format_instant(minute * MINUTE_MS),
        events=numbers[TOTAL],
        errors=numbers[FAILED],
        plays=numbers[PLAYS],
        watch_seconds=numbers[WATCHED] / 1000,
    )


def _counts(counts: Mapping[str, int]) -> list[Count]:
    """Most first, then by name; taken away again where the count is 0."""
    known: Counter[str] = Counter({name: count for name, count in counts.items() if count > 0})
    return [Count(name=name, count=count) for name, count in sorted(known.items(), key=_most_first)]


def _most_first(item: tuple[str, Any]) -> tuple[int, str]:
    return -item[1], item[0]
