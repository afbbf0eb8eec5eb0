"""`/backtests`: what a rule set would have said of the past, before it is published.

The command `ott rules backtest` judges in a process of its own. A worker runs one backtest at a time; others wait. A
backtest is known to the worker that was asked for it, until that worker stops.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import msgspec
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.events.instants import parse_instant
from pipeline.rules.ruleset import RuleSetError, read_ruleset
from pipeline.web.http.answers import Answer
from pipeline.web.http.problems import Problem, unavailable
from pipeline.web.http.routes import KIB, Route, json_body
from pipeline.web.jobs import run_command
from pipeline.web.views.compliance import InstantParameter
from pipeline.web.views.rules import RulesDocument, wrong_rule_set

if TYPE_CHECKING:
    from pipeline.delivery.table import WriteBehindTable
    from pipeline.settings.schema import Settings
    from pipeline.web.cluster.peers import Peers
    from pipeline.web.http.calls import Call, Handlers
    from tables.risk import RiskValue

WAITING: Final = 5
KEPT: Final = 20
_LIMIT_S: Final = 1800.0
_FILE: Final = "rules.json"
_PROGRESS: Final = re.compile(r"^([0-9]+) of ([0-9]+) records$", re.MULTILINE)

State = Literal["queued", "running", "done", "failed", "cancelled"]


class BacktestQuestion(BaseModel):
    """A rule set, and the events that it is tried on."""

    model_config = ConfigDict(extra="forbid")

    document: RulesDocument
    begin: InstantParameter = Field(alias="from", description="time of the records, inclusive")
    end: InstantParameter | None = Field(None, alias="to", description="exclusive; null: up to now")

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.end is not None and parse_instant(self.end) <= parse_instant(self.begin):
            message = "to is not later than from, so the range is empty"
            raise ValueError(message)
        return self


class BacktestId(Answer):
    """A backtest that was queued."""

    id: str


class BacktestProgress(Answer):
    """How far a backtest is."""

    read: int = Field(description="records, with those of the warm-up")
    total: int


class BacktestView(Answer):
    """A backtest."""

    id: str
    version: str = Field(description="of the rule set")
    state: State
    progress: BacktestProgress | None = Field(description="null: nothing was read yet")
    result: dict[str, Any] | None = Field(
        description="what ott rules backtest --json prints (docs/replay.md); null: it is not done"
    )
    message: str | None = Field(description="why it failed")


ROUTES: Final = (
    Route(
        name="start_backtest",
        method="POST",
        path="/backtests",
        role="admin",
        summary="Judge a range with a rule set, beside those that were in force; nothing is published",
        answers=(BacktestId,),
        status=202,
        body=json_body(BacktestQuestion, 256 * KIB),
        tag="rules",
    ),
    Route(
        name="backtest",
        method="GET",
        path="/backtests/{backtest_id}",
        role="admin",
        summary="The state and the result of a backtest",
        answers=(BacktestView,),
        problems=(404,),
        subject="backtest_id",
        tag="rules",
    ),
    Route(
        name="cancel_backtest",
        method="DELETE",
        path="/backtests/{backtest_id}",
        role="admin",
        summary="Stop a backtest; one that has ended stays as it is",
        answers=(BacktestView,),
        problems=(404,),
        subject="backtest_id",
        tag="rules",
    ),
)


@dataclass
class _Backtest:
    id: str
    version: str
    state: State = "queued"
    progress: BacktestProgress | None = None
    result: dict[str, Any] | None = None
    message: str | None = None
    task: asyncio.Task[None] = field(init=False)

    def take_progress(self, messages: str) -> None:
        """Take the newest line of progress. Called in another thread."""
        found = _PROGRESS.findall(messages)
        if found:
            read, total = map(int, found[-1])
            self.progress = BacktestProgress(read=read, total=total)

    def cancel(self) -> None:
        """Stop it, unless it has ended."""
        if not self.task.done():
            self.task.cancel()
            self.state = "cancelled"

    def view(self) -> BacktestView:
        return BacktestView(
            id=self.id,
            version=self.version,
            state=self.state,
            progress=self.progress,
            result=self.result,
            message=self.message,
        )


class Backtests:
    """The backtests of this worker, and the handlers of `/backtests`.

    Args:
        settings: of this worker.
        users: the risk agent's table, whose owners are the workers that can be asked.
        peers: the other workers.
    """

    def __init__(self, settings: Settings, users: WriteBehindTable[RiskValue], peers: Peers) -> None:
        self._settings = settings
        self._users = users
        self._peers = peers
        self._known: dict[str, _Backtest] = {}
        self._turn = asyncio.Lock()

    def views(self) -> Handlers:
        """The handlers by the names of their routes."""
        return {"start_backtest": self.start, "backtest": self.show, "cancel_backtest": self.cancel}

    async def start(self, call: Call) -> BacktestId:
        """Queue a backtest."""
        asked: BacktestQuestion = call.body
        document = asked.document.model_dump(mode="json")
        try:
            version = read_ruleset(document).version
        except RuleSetError as error:
            raise wrong_rule_set(str(error)) from None
        if sum(one.state == "queued" for one in self._known.values()) >= WAITING:
            raise unavailable(f"{WAITING} backtests wait on this worker already; cancel one, or wait", 60)
        found = _Backtest(f"{self._peers.own_mark}-{secrets.token_hex(8)}", version)
        found.task = asyncio.create_task(self._run(found, asked, document), name="backtest")
        self._known[found.id] = found
        ended = [one.id for one in self._known.values() if one.task.done()]
        for old in ended[: max(0, len(self._known) - KEPT)]:
            del self._known[old]
        return BacktestId(id=found.id)

    async def show(self, call: Call) -> BacktestView:
        """How a backtest stands."""
        return (await self._find(call)).view()

    async def cancel(self, call: Call) -> BacktestView:
        """Stop a backtest."""
        found = await self._find(call)
        found.cancel()
        return found.view()

    async def close(self, *_: object) -> None:
        """Stop all; called when the web server stops."""
        for one in self._known.values():
            one.cancel()
        await asyncio.gather(*(one.task for one in self._known.values()), return_exceptions=True)

    async def _find(self, call: Call) -> _Backtest:
        wanted = call.path["backtest_id"]
        found = self._known.get(wanted)
        if found is None:
            await self._peers.forward_to(call, self._users, wanted.partition("-")[0])
            raise Problem(
                HTTPStatus.NOT_FOUND,
                f"there is no backtest {wanted}; a worker keeps the last {KEPT} until it stops",
            )
        return found

    async def _run(self, found: _Backtest, asked: BacktestQuestion, document: dict[str, Any]) -> None:
        times = ["--from", asked.begin, *([] if asked.end is None else ["--to", asked.end])]
        async with self._turn:
            found.state = "running"
            try:
                done = await run_command(
                    self._settings,
                    ["rules", "backtest", _FILE, *times, "--json", "--progress", "--workers", "1"],
                    limit_s=_LIMIT_S,
                    files={_FILE: json.dumps(document).encode()},
                    told=found.take_progress,
                )
            except OSError as error:  # also TimeoutError
                found.state, found.message = "failed", str(error)
                return
        if done.status == 0:
            found.state, found.result = "done", msgspec.json.decode(done.output)
        else:
            found.state, found.message = "failed", done.message
