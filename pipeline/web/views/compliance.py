"""`/compliance/...`: pages of verdicts, and counts of them by rule, dimension, level, regulation and region.

They come from the verdict index. Each worker has the whole index.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Final, Literal, cast

import msgspec
from pydantic import AfterValidator, Field

from pipeline.events.instants import format_instant, parse_instant
from pipeline.jurisdictions.regions import normalise
from pipeline.verdict_index.index import IndexUnavailableError
from pipeline.verdict_index.pages import CursorError, Filters, PagePosition
from pipeline.verdict_index.summary import count_all, count_by_region
from pipeline.web.http.answers import (
    Answer,
    AsOf,
    Instant,
    RiskLevel,
    Severity,
    Verdict,
)
from pipeline.web.http.calls import json_answer
from pipeline.web.http.problems import FieldError, Problem, unavailable
from pipeline.web.http.questions import Limit
from pipeline.web.http.routes import Route

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp.web import Response

    from pipeline.verdict_index.index import VerdictIndex
    from pipeline.verdict_index.summary import Counts, Span
    from pipeline.web.http.calls import Call, Handlers


class IndexSpan(Answer):
    """What the verdict index covers: the newest verdicts, of all partitions."""

    verdicts: int
    since: Instant | None = Field(
        description="when the oldest indexed verdict was published; null if there is none"
    )
    until: Instant | None = Field(description="when the newest indexed verdict was published")
    limit: int = Field(description="the maximum number of verdicts kept")
    behind: int = Field(description="published verdicts that are not indexed yet")


class ComplianceSummary(Answer):
    """The indexed verdicts by what they are about; one counts in each of its rules, dimensions, regulations."""

    flagged: int
    by_rule: dict[str, int]
    by_dimension: dict[str, int]
    dimension_levels: dict[str, dict[Severity, int]] = Field(description="per dimension by its own level")
    by_level: dict[RiskLevel, int]
    by_regulation: dict[str, int]
    index: IndexSpan
    as_of: AsOf


class VerdictPage(Answer):
    """Verdicts, newest first."""

    verdicts: list[Verdict]
    next_cursor: str | None = Field(description="cursor of the next page; null on the last page")
    index: IndexSpan
    as_of: AsOf


class RegionRisk(Answer):
    """The verdicts of one region or group of regions."""

    region: str
    flagged: int
    by_level: dict[RiskLevel, int]
    by_rule: dict[str, int]


class RegionRisks(Answer):
    """Risk by region, and rolled up; verdicts on titles and devices have no region."""

    regions: list[RegionRisk] = Field(description="most verdicts first")
    groups: list[RegionRisk] = Field(
        description="EEA and non-EEA; US-CA and rest of US (without territories that have a country code)"
    )
    index: IndexSpan
    as_of: AsOf


def _check_instant(text: str) -> str:
    parse_instant(text)
    return text


InstantParameter = Annotated[
    str, AfterValidator(_check_instant), Field(json_schema_extra={"format": "date-time"})
]


class VerdictFilter(Limit):
    """Which verdicts."""

    level: Literal["HIGH", "MEDIUM", "LOW", "NONE"] | None = None
    rule: str | None = Field(None, max_length=100)
    region: str | None = Field(None, max_length=10)
    user_id: str | None = Field(None, max_length=255)
    since: InstantParameter | None = Field(None, description="event time, inclusive")
    until: InstantParameter | None = Field(None, description="event time, exclusive")
    cursor: str | None = Field(None, max_length=500, description="next_cursor of the previous page")


ROUTES: Final = (
    Route(
        name="compliance_summary",
        method="GET",
        path="/compliance/summary",
        role="analyst",
        summary="Verdicts by rule, dimension, level and regulation",
        answers=(ComplianceSummary,),
        snapshot=True,
        tag="compliance",
    ),
    Route(
        name="compliance_events",
        method="GET",
        path="/compliance/events",
        role="analyst",
        summary="Flagged events, newest first",
        answers=(VerdictPage,),
        query=VerdictFilter,
        snapshot=True,
        tag="compliance",
    ),
    Route(
        name="compliance_regions",
        method="GET",
        path="/compliance/regions",
        role="analyst",
        summary="Risk by region, and rolled up",
        answers=(RegionRisks,),
        snapshot=True,
        tag="compliance",
    ),
)


def compliance_views(index: VerdictIndex, show: Callable[[str], str]) -> Handlers:
    """The handlers of `/compliance/...`.

    Args:
        index: the verdict index of this worker.
        show: the form of user ids in verdicts.
    """
    compliance = _Compliance(index, show)
    return {
        "compliance_events": compliance.events,
        "compliance_summary": compliance.summary,
        "compliance_regions": compliance.regions,
    }


class _Compliance:
    def __init__(self, index: VerdictIndex, show: Callable[[str], str]) -> None:
        self._index = index
        self._show = show

    async def events(self, call: Call) -> Response:
        question: VerdictFilter = call.query
        try:
            after = None if question.cursor is None else PagePosition.of_cursor(question.cursor)
        except CursorError as error:
            raise _wrong("cursor", str(error), "cursor") from None
        filters = self._filters(question)
        try:
            page = await self._index.page(filters, after, question.limit)
            span = self._index.span()
        except IndexUnavailableError as error:
            raise unavailable(str(error)) from error
        # The verdicts are sent as their own bytes. They match the model, and checking them again would cost more than
        # finding them.
        return json_answer(
            {
                "verdicts": [msgspec.Raw(verdict.value) for verdict in page.verdicts],
                "next_cursor": page.next_cursor,
                "index": _span(span).model_dump(),
                "as_of": call.as_of,
            }
        )

    async def summary(self, call: Call) -> ComplianceSummary:
        try:
            counts = count_all(await self._index.tallies())
            span = self._index.span()
        except IndexUnavailableError as error:
            raise unavailable(str(error)) from error
        dimensions = {
            dimension: cast("Mapping[Severity, int]", levels)
            for dimension, levels in sorted(counts.by_dimension.items())
        }
        return ComplianceSummary(
            flagged=counts.verdicts,
            by_rule=_most_first(counts.by_rule),
            by_dimension={dimension: sum(levels.values()) for dimension, levels in dimensions.items()},
            dimension_levels={dimension: dict(levels) for dimension, levels in dimensions.items()},
            by_level=_levels(counts),
            by_regulation=_most_first(counts.by_regulation),
            index=_span(span),
            as_of=call.as_of,
        )

    async def regions(self, call: Call) -> RegionRisks:
        try:
            found = count_by_region(await self._index.tallies())
            span = self._index.span()
        except IndexUnavailableError as error:
            raise unavailable(str(error)) from error
        return RegionRisks(
            regions=[
                _risk(region, counts)
                for region, counts in sorted(
                    found.regions.items(), key=lambda item: (-item[1].verdicts, item[0])
                )
            ],
            groups=[
                _risk("EEA", found.eea),
                _risk("non-EEA", found.other),
                _risk("US-CA", found.us_ca),
                _risk("rest of US", found.rest_of_us),
            ],
            index=_span(span),
            as_of=call.as_of,
        )

    def _filters(self, question: VerdictFilter) -> Filters:
        region, users = None, None
        if question.region is not None:
            region = normalise(question.region)
            if region is None:
                message = f"{question.region!r} is not a region like DE or US-CA"
                raise _wrong("region", message, "region")
        if question.user_id is not None:
            # The id may be one that clients send, or a pseudonym that was copied from a verdict.
            users = tuple({question.user_id, self._show(question.user_id)})
        return Filters(
            question.level, question.rule, region, users, _instant(question.since), _instant(question.until)
        )


def _wrong(parameter: str, message: str, kind: str) -> Problem:
    errors = [FieldError(path=parameter, message=message, type=kind)]
    return Problem(HTTPStatus.BAD_REQUEST, f"the query is not valid: {message}", errors=errors)


def _instant(text: str | None) -> str | None:
    """The time in the form of verdicts, so that the two can be compared as text."""
    return None if text is None else format_instant(parse_instant(text))


def _span(span: Span) -> IndexSpan:
    return IndexSpan(
        verdicts=span.verdicts,
        since=None if span.first is None else format_instant(span.first),
        until=None if span.last is None else format_instant(span.last),
        limit=span.limit,
        behind=span.behind,
    )


def _risk(region: str, counts: Counts) -> RegionRisk:
    return RegionRisk(
        region=region,
        flagged=counts.verdicts,
        by_level=_levels(counts),
        by_rule=_most_first(counts.by_rule),
    )


def _levels(counts: Counts) -> dict[RiskLevel, int]:
    return cast("dict[RiskLevel, int]", dict(counts.by_level))


def _most_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
