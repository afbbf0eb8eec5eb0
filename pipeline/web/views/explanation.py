"""`/verdicts/{verdict_id}/explanation`: the events that made each finding of a verdict, and the record judged again.

The command `ott explain` does it in a process of its own, so any worker can answer.
"""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from pydantic import Field

from pipeline.web.http.answers import Answer, Instant, Verdict
from pipeline.web.http.problems import Problem, unavailable
from pipeline.web.http.routes import Route
from pipeline.web.jobs import run_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.settings.schema import Settings
    from pipeline.web.http.calls import Call, Handlers

_LIMIT_S: Final = 60.0
_ID: Final = re.compile("[0-9a-f]{32}")
_GOOD: Final = 0
_NO: Final = 1
_MISSING: Final = 3


class Measure(Answer):
    """The value that a rule compares."""

    name: str = Field(description="its name in the evidence")
    value: int | float


class RuleLimit(Answer):
    """How far a value is from the limit of a level."""

    level: str
    above: int | float = Field(description="the level is reached above this value")
    by: int | float = Field(description="positive where the value is above the limit")


class WindowEvent(Answer):
    """An event of the user's hour."""

    time: Instant
    event_id: str
    type: str
    region: str
    network: str
    device_id: str
    content_id: str | None
    plan: str | None
    error_code: str | None


class ExplainedFinding(Answer):
    """What a rule saw."""

    rule_id: str
    measure: Measure | None = Field(description="null: the rule compares no value")
    limits: list[RuleLimit]
    events: list[WindowEvent] = Field(description="those that made the finding, oldest first")


class Explanation(Answer):
    """Why a verdict was given."""

    verdict: Verdict = Field(description="as it was published")
    findings: list[ExplainedFinding]
    window: list[WindowEvent] = Field(description="the user's hour, oldest first; empty for a late event")
    again: Verdict | None = Field(description="what judging the record again gives; null: no verdict")
    same: bool = Field(description="whether these are the published bytes")


ROUTES: Final = (
    Route(
        name="explanation",
        method="GET",
        path="/verdicts/{verdict_id}/explanation",
        role="analyst",
        summary="The events that made each finding of a verdict, and its record judged again; takes up to a minute",
        answers=(Explanation,),
        problems=(404,),
        subject="verdict_id",
        tag="compliance",
    ),
)


def explanation_views(settings: Settings, show: Callable[[str], str]) -> Handlers:
    """The handler of `/verdicts/{verdict_id}/explanation`.

    Args:
        settings: of this worker.
        show: the form of device ids in outputs.
    """
    return {"explanation": _Explanations(settings, show).explain}


class _Explanations:
    def __init__(self, settings: Settings, show: Callable[[str], str]) -> None:
        self._settings = settings
        self._show = show
        self._turn = asyncio.Lock()

    async def explain(self, call: Call) -> Explanation:
        """Why a verdict was given. One at a time, because each takes a process."""
        verdict_id = call.path["verdict_id"]
        if _ID.fullmatch(verdict_id) is None:
            raise Problem(
                HTTPStatus.NOT_FOUND, f"{verdict_id!r} is no verdict id, which has 32 hexadecimal digits"
            )
        if self._turn.locked():
            raise unavailable("this worker explains another verdict now; ask again in some seconds", 5)
        async with self._turn:
            try:
                done = await run_command(self._settings, ["explain", verdict_id, "--json"], limit_s=_LIMIT_S)
            except OSError as error:  # also TimeoutError
                raise unavailable(
                    f"the verdict was not explained: {error}; use ott explain {verdict_id}", 60
                ) from None
        if done.status in {_GOOD, _NO} and done.output:
            return self._shown(Explanation.model_validate_json(done.output))
        if done.status == _NO:
            raise Problem(HTTPStatus.NOT_FOUND, done.message)
        if done.status == _MISSING:
            raise unavailable(done.message, 10)
        raise RuntimeError(f"ott explain ended with {done.status}: {done.message}")

    def _shown(self, found: Explanation) -> Explanation:
        """With the ids of devices in the form of outputs. The command shows them as the events have them."""
        findings = [one.model_copy(update={"events": self._all_shown(one.events)}) for one in found.findings]
        return found.model_copy(update={"findings": findings, "window": self._all_shown(found.window)})

    def _all_shown(self, events: list[WindowEvent]) -> list[WindowEvent]:
        return [event.model_copy(update={"device_id": self._show(event.device_id)}) for event in events]
