"""`/stats/content`, `/stats/region`, `/stats/device`: the figures of titles, regions and devices."""

from __future__ import annotations

from heapq import nlargest, nsmallest
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field

from pipeline.events.instants import format_instant
from pipeline.rules.error_rate import wilson_interval
from pipeline.titles.figures import Figures
from pipeline.titles.minutes import MINUTE_MS, WINDOW_MINUTES
from pipeline.titles.rows import EVENTS, FAILED, FAILED_STARTS, PLAYS, TOTAL, WATCHED, by_minute
from pipeline.titles.state import PARTITION_KEY, TitlesPartition, figures_key, subject_name
from pipeline.verdict_index.index import IndexUnavailableError
from pipeline.verdict_index.summary import count_by_region
from pipeline.web.http.answers import (
    Answer,
    AsOf,
    Coverage,
    Instant,
    RiskLevel,
    Share,
)
from pipeline.web.http.calls import json_answer
from pipeline.web.http.problems import Problem, unavailable
from pipeline.web.http.questions import Limit
from pipeline.web.http.routes import Route
from pipeline.web.views.ids import way_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from aiohttp.web import Response

    from pipeline.delivery.app import DeliveryApp
    from pipeline.delivery.state.unit import Reader
    from pipeline.delivery.table import WriteBehindTable
    from pipeline.titles.notes import Dimension, NameKind
    from pipeline.titles.state import TitlesValue
    from pipeline.verdict_index.index import VerdictIndex
    from pipeline.web.cluster.peers import Peers
    from pipeline.web.http.calls import Call, Handlers


class Count(Answer):
    """How often something was seen."""

    name: str
    count: int


class ErrorRate(Answer):
    """A rate with its 95 % Wilson interval; without events 0, between 0 and 1."""

    events: int
    errors: int
    rate: Share
    low: Share
    high: Share


class Minute(Answer):
    """One minute of event time."""

    start: Instant
    events: int = Field(description="playback events")
    errors: int
    plays: int
    watch_seconds: float


class ContentRank(Answer):
    """One title in a list."""

    content_id: str
    plays: int
    watch_seconds: float
    error_rate: ErrorRate
    risk_level: RiskLevel


class ContentRanking(Answer):
    """Titles, worst first."""

    contents: list[ContentRank]
    coverage: Coverage
    as_of: AsOf


class ContentStats(Answer):
    """One title: sums since it is known, and its last minutes."""

    content_id: str
    plays: int
    failed_starts: int
    watch_seconds: float
    error_rate: ErrorRate = Field(description="over the last 60 judged minutes")
    top_regions: list[Count] = Field(description="playback events by region")
    top_error_codes: list[Count]
    device_mix: list[Count] = Field(description="playback events by kind of device")
    risk_level: RiskLevel
    minutes: list[Minute] = Field(
        description="the 60 minutes that were judged last, and up to 15 later ones; oldest first"
    )


class RegionStats(Answer):
    """One region: sums since it is known, and its last minutes."""

    region: str
    plays: int
    events: int
    watch_seconds: float
    error_rate: ErrorRate = Field(description="over the last 60 judged minutes")
    errors: list[Count] = Field(description="error codes by count")
    device_mix: list[Count] = Field(description="playback events by kind of device")
    flagged_by_rule: list[Count] = Field(description="verdicts on users by rule, as in /compliance/regions")
    minutes: list[Minute] = Field(
        description="the 60 minutes that were judged last, and up to 15 later ones; oldest first"
    )


class DeviceStats(Answer):
    """One device."""

    device_id: str
    events: int
    error_rate: ErrorRate = Field(description="over the last 60 judged minutes")
    users: int = Field(description="distinct users; at most 32 are counted")
    risk_level: RiskLevel


ROUTES: Final = (
    Route(
        name="content_ranking",
        method="GET",
        path="/stats/content",
        role="analyst",
        summary="Titles by error rate, worst first",
        answers=(ContentRanking,),
        query=Limit,
        snapshot=True,
        tag="stats",
    ),
    Route(
        name="content",
        method="GET",
        path="/stats/content/{content_id}",
        role="analyst",
        summary="One title",
        answers=(ContentStats,),
        problems=(404,),
        subject="content_id",
        tag="stats",
    ),
    Route(
        name="region",
        method="GET",
        path="/stats/region/{region}",
        role="analyst",
        summary="One region",
        answers=(RegionStats,),
        problems=(404,),
        subject="region",
        tag="stats",
    ),
    Route(
        name="device",
        method="GET",
        path="/stats/device/{device_id}",
        role="analyst",
        summary="One device",
        answers=(DeviceStats,),
        problems=(404,),
        subject="device_id",
        tag="stats",
    ),
)


_TITLES: Final = figures_key("content:")
_NOT_JUDGED: Final = 15
"""This many minutes after the last judged one are shown. There are hundreds while partitions are hours apart."""
_KEYS: Final = 1_000
"""This many keys of a partition's cache are searched for titles that fail rarely or never."""


def subject_views(
    app: DeliveryApp,
    table: WriteBehindTable[TitlesValue],
    peers: Peers,
    show: Callable[[str], str],
    index: VerdictIndex,
) -> Handlers:
    """The handlers of `/stats/content`, `/stats/region` and `/stats/device`.

    Args:
        app: the application.
        table: the title agent's table.
        peers: the other workers.
        show: the form of device ids in outputs.
        index: the verdict index, which counts the findings of a region.
    """
    views = _Titles(app, table, peers, show, index)
    return {
        "content_ranking": views.ranking,
        "content": views.content,
        "region": views.region,
        "device": views.device,
    }


class _Titles:
    def __init__(
        self,
        app: DeliveryApp,
        table: WriteBehindTable[TitlesValue],
        peers: Peers,
        show: Callable[[str], str],
        index: VerdictIndex,
    ) -> None:
        self._app = app
        self._index = index
        self._table = table
        self._peers = peers
        self._show = show

    async def ranking(self, call: Call) -> Response:
        """The worst titles: all that failed often within the hour, and of the others those that are in memory."""
        question: Limit = call.query
        gathered = await self._peers.gather(call, self._table, self._own_ranks(question.limit))
        ranks = [one for part in gathered.partitions.values() for one in part]
        worst = nsmallest(question.limit, ranks, key=_worst_first)
        return json_answer(
            {"contents": worst, "coverage": gathered.coverage.model_dump(), "as_of": call.as_of}
        )

    async def _own_ranks(self, limit: int) -> dict[int, list[dict[str, Any]]]:
        """The titles by partition that are among the worst of this worker."""
        every: list[tuple[int, dict[str, Any]]] = []
        ranks: dict[int, list[dict[str, Any]]] = {}
        for partition, reader in self._table.owned():
            # After each partition the stream and other requests get a turn.
            await self._app.scheduler.turn()
            if not reader.closed:
                ranks[partition] = []
                every += [(partition, rank) for rank in _ranks(reader, limit)]
        for partition, rank in nsmallest(limit, every, key=lambda one: _worst_first(one[1])):
            ranks[partition].append(rank)
        return ranks

    async def content(self, call: Call) -> ContentStats:
        """One title."""
        content_id = call.path["content_id"]
        known = await self._known(call, "content", content_id)
        totals = known.figures.totals()
        return ContentStats(
            content_id=content_id,
            plays=totals[PLAYS],
            failed_starts=totals[FAILED_STARTS],
            watch_seconds=totals[WATCHED] / 1000,
            error_rate=known.error_rate(),
            top_regions=known.counts("regions"),
            top_error_codes=known.counts("error_codes"),
            device_mix=known.counts("device_types"),
            risk_level=known.figures.level or "NONE",
            minutes=known.minutes(),
        )

    async def region(self, call: Call) -> RegionStats:
        """One region, by its normal form."""
        region = call.path["region"]
        known = await self._found(call, "region", region)
        try:
            verdicts = count_by_region(await self._index.tallies()).regions.get(region)
        except IndexUnavailableError as error:
            raise unavailable(str(error)) from error
        if known is None:
            if verdicts is None:
                raise _unknown("region", region)
            # Only late events, or events far behind their partition, are known. They have verdicts and no playback.
            known = _Known(Figures(), None)
        totals = known.figures.totals()
        return RegionStats(
            region=region,
            plays=totals[PLAYS],
            events=totals[EVENTS],
            watch_seconds=totals[WATCHED] / 1000,
            error_rate=known.error_rate(),
            errors=known.counts("error_codes"),
            device_mix=known.counts("device_types"),
            flagged_by_rule=_counts({} if verdicts is None else verdicts.by_rule),
            minutes=known.minutes(),
        )

    async def device(self, call: Call) -> DeviceStats:
        """One device."""
        device_id = call.path["device_id"]
        known = await self._known(call, "device", device_id, way_out(self._show))
        return DeviceStats(
            device_id=self._show(device_id),
            events=known.figures.totals()[EVENTS],
            error_rate=known.error_rate(),
            users=len(known.figures.names.get("users", {})),
            risk_level=known.figures.level or "NONE",
        )

    async def _known(self, call: Call, dimension: Dimension, identifier: str, hint: str = "") -> _Known:
        """A subject, from the owner of its partition.

        Raises:
            Problem: nothing is known of the subject.
        """
        known = await self._found(call, dimension, identifier)
        if known is None:
            raise _unknown("title" if dimension == "content" else dimension, identifier, hint)
        return known

    async def _found(self, call: Call, dimension: Dimension, identifier: str) -> _Known | None:
        """A subject, from the owner of its partition; None if nothing is known of it."""
        name = subject_name(dimension, identifier)
        owned = await self._peers.owned(call, self._table, self._table.partition_of(name.encode()))
        figures = owned.unit.peek(figures_key(name))
        return _Known(figures, _judged_through(owned.unit)) if isinstance(figures, Figures) else None


class _Known:
    """The figures of a subject and what the views derive from them.

    Args:
        figures: of the subject; they are only read.
        judged_through: the last judged minute of the subject's partition; None before the first.
    """

    def __init__(self, figures: Figures, judged_through: int | None) -> None:
        self.figures = figures
        self._series = by_minute(figures.rows)
        self._last = max(self._series, default=0) if judged_through is None else judged_through

    def error_rate(self) -> ErrorRate:
        """The rate of the last judged hour; before the first judgement that of the newest hour."""
        failed, total = self.figures.failed_and_total(self._last - WINDOW_MINUTES + 1, self._last)
        low, high = wilson_interval(failed, total) if total else (0.0, 1.0)
        rate = round(failed / total, 4) if total else 0.0
        return ErrorRate(events=total, errors=failed, rate=rate, low=low, high=high)

    def minutes(self) -> list[Minute]:
        """The last judged hour and the minutes after it, oldest first."""
        shown = range(self._last - WINDOW_MINUTES + 1, self._last + _NOT_JUDGED + 1)
        return [_minute(minute, self._series[minute]) for minute in shown if minute in self._series]

    def counts(self, kind: NameKind) -> list[Count]:
        """The counts by name, most first."""
        return _counts(self.figures.names.get(kind, {}))


def _judged_through(reader: Reader[TitlesValue]) -> int | None:
    state = reader.peek(PARTITION_KEY)
    return state.judged_through if isinstance(state, TitlesPartition) else None


def _unknown(what: str, identifier: str, hint: str = "") -> Problem:
    return Problem(
        HTTPStatus.NOT_FOUND,
        f"nothing is known of {what} {identifier}: no event of it within the last day{hint}",
    )


def _ranks(reader: Reader[TitlesValue], limit: int) -> Iterator[dict[str, Any]]:
    """The titles of a partition that may be among the worst, each a `ContentRank` as JSON."""
    judged = _judged_through(reader)
    for content_id in dict.fromkeys(_titles(reader, limit)):
        figures = reader.peek(figures_key(subject_name("content", content_id)))
        if isinstance(figures, Figures):
            totals = figures.totals()
            yield {
                "content_id": content_id,
                "plays": totals[PLAYS],
                "watch_seconds": totals[WATCHED] / 1000,
                "error_rate": _Known(figures, judged).error_rate().model_dump(),
                "risk_level": figures.level or "NONE",
            }


def _titles(reader: Reader[TitlesValue], others: int) -> Iterator[str]:
    """The titles that failed often within the hour, and the `others` cached ones with the most failures."""
    state = reader.peek(PARTITION_KEY)
    if isinstance(state, TitlesPartition):
        for name in state.candidates:
            dimension, _, identifier = name.partition(":")
            if dimension == "content":
                yield identifier
    in_memory = [
        (value.failed, key)
        for key, value in islice(reader.cache.items(), _KEYS)
        if key.startswith(_TITLES) and isinstance(value, Figures)
    ]
    for _, key in nlargest(others, in_memory):
        yield key.removeprefix(_TITLES).decode()


def _worst_first(rank: Mapping[str, Any]) -> tuple[float, int, str]:
    # By the lower end of the interval, so that one failure of two events does not rank above a hundred of a thousand.
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
    """Most first, then by name."""
    return [Count(name=name, count=count) for name, count in sorted(counts.items(), key=_most_first)]


def _most_first(item: tuple[str, Any]) -> tuple[int, str]:
    return -item[1], item[0]
