"""`/process/...`: pause, resume, one step, drain. They act on all workers.

A pause is a record on `rule-config`, which every worker follows (`pipeline.coordination.pauses`). These views write the
record, and ask the workers that own partitions whether they have read it.
"""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from faust.types import TP
from pydantic import Field

from pipeline.coordination.pauses import MAX_REASON, PAUSE_KEY, Pause
from pipeline.events.instants import format_instant
from pipeline.web.http.answers import (
    Answer,
    Coverage,
    Instant,
)
from pipeline.web.http.problems import Problem, unavailable
from pipeline.web.http.questions import Question
from pipeline.web.http.routes import Route

if TYPE_CHECKING:
    from pipeline.coordination.pauses import Pauses
    from pipeline.coordination.rule_config import RuleConfig
    from pipeline.delivery.app import DeliveryApp
    from pipeline.delivery.runtime import Unread
    from pipeline.delivery.state.unit import Reader
    from pipeline.delivery.table import WriteBehindTable
    from pipeline.web.cluster.peers import Peers
    from pipeline.web.http.calls import Call, Handlers
    from pipeline.web.http.outbox import Outbox


class PauseShown(Answer):
    """The pause of consuming; it holds for all workers, over restarts, until somebody resumes."""

    by: str = Field(description="account of the admin")
    at: Instant
    reason: str | None


class ProcessState(Answer):
    """Whether the workers consume."""

    paused: bool
    pause: PauseShown | None
    workers: int
    coverage: Coverage


class OneJudged(Answer):
    """What the one step did; nothing where no record waited."""

    judged: Literal[0, 1]
    topic: str | None
    partition: int | None
    offset: int | None


class Drained(Answer):
    """What came of waiting for the lag that was seen at the call."""

    drained: bool
    count: int = Field(description="records that were committed")
    remaining: int
    behind_open_transactions: int = Field(
        description="those of the remaining records that wait until a producer ends its transaction"
    )
    seconds: float
    coverage: Coverage


class PauseReason(Question):
    """Why consuming is paused."""

    reason: str | None = Field(
        None, min_length=1, max_length=MAX_REASON, description="shown until consuming is resumed"
    )


class Timeout(Question):
    """How long to wait."""

    timeout: float = Field(30.0, gt=0, le=300, description="seconds")


ROUTES: Final = (
    Route(
        name="pause",
        method="POST",
        path="/process/pause",
        role="admin",
        summary="Stop consuming on all workers, until somebody resumes",
        answers=(ProcessState,),
        query=PauseReason,
        tag="process",
    ),
    Route(
        name="resume",
        method="POST",
        path="/process/resume",
        role="admin",
        summary="Go on with consuming on all workers",
        answers=(ProcessState,),
        tag="process",
    ),
    Route(
        name="one",
        method="POST",
        path="/process/one",
        role="admin",
        summary="Judge exactly one event while paused",
        answers=(OneJudged,),
        problems=(409,),
        tag="process",
    ),
    Route(
        name="drain",
        method="POST",
        path="/process/drain",
        role="admin",
        summary="Wait until the records that lag at the time of the call are committed",
        answers=(Drained,),
        query=Timeout,
        problems=(409,),
        tag="process",
    ),
)


_STEP_S: Final = 0.5
"""An available record is fetched within this time, also while consuming is paused."""
_FETCH_S: Final = 0.4
"""The known end of an idle partition is that of the last fetch: at most 250 ms old, and 50 ms between fetches."""
_LOOK_S: Final = 0.05
_ANSWER_S: Final = 5.0
_CATCH_UP_S: Final = 4.0
"""Shorter than the time that another worker waits for our answer."""


def process_views(
    app: DeliveryApp,
    table: WriteBehindTable[Any],
    peers: Peers,
    outbox: Outbox,
    topic: str,
    rule_config: RuleConfig,
) -> Handlers:
    """The handlers.

    Args:
        app: the application.
        table: whose source topics are paused.
        peers: the other workers.
        outbox: writes pauses.
        topic: the full name of `rule-config`.
        rule_config: follows that topic.
    """
    process = _Process(app, table, peers, outbox, topic, rule_config)
    return {"pause": process.pause, "resume": process.resume, "one": process.one, "drain": process.drain}


class _Process:
    def __init__(
        self,
        app: DeliveryApp,
        table: WriteBehindTable[Any],
        peers: Peers,
        outbox: Outbox,
        topic: str,
        rule_config: RuleConfig,
    ) -> None:
        self._app = app
        self._table = table
        self._peers = peers
        self._outbox = outbox
        self._topic = topic
        self._rule_config = rule_config

    async def pause(self, call: Call) -> ProcessState:
        """Pause all workers. Records that were already fetched wait, too: nothing is judged after the answer."""
        assert call.who is not None
        question: PauseReason = call.query
        now = format_instant(time.time_ns() // 1_000_000)
        pause = Pause(by=call.who.name, at=now, reason=question.reason)
        return await self._publish(call, msgspec.json.encode(pause))

    async def resume(self, call: Call) -> ProcessState:
        """Resume all workers."""
        return await self._publish(call, None)

    async def _publish(self, call: Call, value: bytes | None) -> ProcessState:
        """Write a pause, or its end, and return the state of all workers once they have read it."""
        if not call.from_peer:
            await self._outbox.write(self._topic, PAUSE_KEY, value)
        if not await self._rule_config.catch_up(_CATCH_UP_S):
            raise unavailable(
                f"it is written to {self._topic}, and this worker could not read it yet; it takes effect as soon as "
                "it can"
            )
        closed = self._app.gate.closed
        gathered = await self._peers.gather(call, self._table, self._own(), {"paused": closed})
        return ProcessState(
            paused=all(worker["paused"] for worker in gathered.workers),
            pause=pause_shown(self._rule_config.pauses),
            workers=len(gathered.workers),
            coverage=gathered.coverage,
        )

    async def one(self, call: Call) -> OneJudged:
        """Judge one record. The workers are asked one after the other until one has a record."""
        if not self._app.gate.closed:
            raise Problem(HTTPStatus.CONFLICT, "consuming is not paused; POST /process/pause first")
        position = await self._app.gate.step(_STEP_S) if self._own() else None
        if position is not None:
            topic, partition, offset = position
            return OneJudged(judged=1, topic=topic, partition=partition, offset=offset)
        if not call.from_peer:
            for url in self._peers.others(self._table):
                found = await self._peers.ask(call, url, _STEP_S + _ANSWER_S)
                if found is not None and found["judged"]:
                    return OneJudged.model_validate(found)
        return OneJudged(judged=0, topic=None, partition=None, offset=None)

    async def drain(self, call: Call) -> Drained:
        """Wait for the lag. A record counts as drained when committed (visible to readers), not when judged."""
        question: Timeout = call.query
        if self._app.gate.closed:
            raise Problem(HTTPStatus.CONFLICT, "consuming is paused; POST /process/resume first")
        began = time.monotonic()
        gathered = await self._peers.gather(
            call,
            self._table,
            self._drain_own(began + question.timeout),
            timeout=question.timeout + _ANSWER_S,
        )
        parts = gathered.partitions.values()
        remaining = sum(part["remaining"] for part in parts)
        return Drained(
            drained=not remaining and not gathered.coverage.missing,
            count=sum(part["count"] for part in parts),
            remaining=remaining,
            behind_open_transactions=sum(part["withheld"] for part in parts),
            seconds=round(time.monotonic() - began, 3),
            coverage=gathered.coverage,
        )

    async def _drain_own(self, deadline: float) -> dict[int, dict[str, int]]:
        """By partition the number of records that were drained, and of those that are left at the deadline."""
        tps = {
            TP(topic, partition): reader
            for partition, reader in self._owned()
            for topic in self._table.source_topics
        }
        begins = {tp: reader.committed_offsets.get(tp.topic, 0) for tp, reader in tps.items()}
        await asyncio.sleep(_FETCH_S)
        thread = self._app.consumer.thread
        ends = await thread.ends(tps) if tps else {}
        left = dict.fromkeys(ends, 0)
        withheld = dict.fromkeys(ends, 0)
        while True:
            unread = await thread.unread(ends) if ends else {}
            for tp, end in ends.items():
                left[tp] = _left(tps[tp], tp, end, unread.get(tp))
                withheld[tp] = min(left[tp], unread[tp].withheld) if tp in unread else 0
            if not any(left.values()) or time.monotonic() >= deadline or self._app.should_stop:
                break
            await asyncio.sleep(_LOOK_S)
        owned = {partition for partition, _ in self._owned()}
        found = {partition: {"count": 0, "remaining": 0, "withheld": 0} for partition in owned}
        for tp, end in ends.items():
            if tp.partition in owned:
                found[tp.partition]["count"] += max(0, end - begins[tp] - left[tp])
                found[tp.partition]["remaining"] += left[tp]
                found[tp.partition]["withheld"] += withheld[tp]
        return found

    def _owned(self) -> list[tuple[int, Reader[Any]]]:
        return [(partition, reader) for partition, reader in self._table.owned() if not reader.closed]

    def _own(self) -> dict[int, None]:
        return {partition: None for partition, _ in self._owned()}


def _left(reader: Reader[Any], tp: TP, end: int, unread: Unread | None) -> int:
    """The number of records between the committed offset of a partition and its end."""
    left = max(0, end - reader.committed_offsets.get(tp.topic, 0))
    if left and unread is not None and reader.settled:
        # The marker at the end of a transaction has an offset and is no record, so offsets alone would count it.
        handed_out = unread.handed_out
        return unread.behind + max(0, handed_out - reader.next_offsets.get(tp.topic, handed_out))
    return left


def pause_shown(pauses: Pauses) -> PauseShown | None:
    """Who paused consuming, when and why; None while it is not paused."""
    pause = pauses.current
    return None if pause is None else PauseShown(by=pause.by, at=pause.at, reason=pause.reason)
