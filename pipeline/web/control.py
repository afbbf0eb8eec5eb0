"""`/process/...`: pause, resume, one step, drain. They act on all workers that have partitions."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from faust.types import TP

from pipeline.web.answers import Drained, OneJudged, ProcessState
from pipeline.web.problems import Problem

if TYPE_CHECKING:
    from pipeline.delivery.app import DeliveryApp
    from pipeline.delivery.consumer import Unread
    from pipeline.delivery.table import WriteBehindTable
    from pipeline.delivery.unit import Unit
    from pipeline.web.peers import Peers
    from pipeline.web.questions import Timeout
    from pipeline.web.serving import Call, Handlers

_STEP_S: Final = 0.5
"""A record that is there is fetched by then, also while consuming is paused."""
_FETCH_S: Final = 0.4
"""An idle partition's end is as of the last fetch: at most 250 ms, and a pause of 50 before it."""
_LOOK_S: Final = 0.05
_ANSWER_S: Final = 5.0


def control_views(
    app: DeliveryApp, table: WriteBehindTable[Any], counted: tuple[str, ...], peers: Peers
) -> Handlers:
    """The handlers.

    Args:
        app: the application.
        table: whose topics are paused.
        counted: those of them that carry events, of which one step judges one.
        peers: the other workers.
    """
    control = _Control(app, table, counted, peers)
    return {"pause": control.pause, "resume": control.resume, "one": control.one, "drain": control.drain}


class _Control:
    def __init__(
        self, app: DeliveryApp, table: WriteBehindTable[Any], counted: tuple[str, ...], peers: Peers
    ) -> None:
        self._app = app
        self._table = table
        self._counted = counted
        self._peers = peers

    async def pause(self, call: Call) -> ProcessState:
        """What is fetched already waits, too: after the answer nothing more is judged."""
        self._app.valve.close(self._table.source_topics, self._counted)
        return await self._state(call)

    async def resume(self, call: Call) -> ProcessState:
        """Go on."""
        self._app.valve.open()
        return await self._state(call)

    async def _state(self, call: Call) -> ProcessState:
        closed = self._app.valve.closed
        gathered = await self._peers.gather(call, self._table, self._own(), {"paused": closed})
        return ProcessState(
            paused=all(worker["paused"] for worker in gathered.workers),
            workers=len(gathered.workers),
            coverage=gathered.coverage,
        )

    async def one(self, call: Call) -> OneJudged:
        """One worker after the other is asked, until one has a record."""
        if not self._app.valve.closed:
            raise Problem(HTTPStatus.CONFLICT, "consuming is not paused; POST /process/pause first")
        place = await self._app.valve.step(_STEP_S) if self._own() else None
        if place is not None:
            topic, partition, offset = place
            return OneJudged(judged=1, topic=topic, partition=partition, offset=offset)
        if not call.from_peer:
            for url in self._peers.others(self._table):
                found = await self._peers.ask(call, url, _STEP_S + _ANSWER_S)
                if found is not None and found["judged"]:
                    return OneJudged.model_validate(found)
        return OneJudged(judged=0, topic=None, partition=None, offset=None)

    async def drain(self, call: Call) -> Drained:
        """Judged is not enough: it counts as worked off once it is committed, so that others can see it."""
        question: Timeout = call.query
        if self._app.valve.closed:
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
            seconds=round(time.monotonic() - began, 3),
            coverage=gathered.coverage,
        )

    async def _drain_own(self, deadline: float) -> dict[int, dict[str, int]]:
        """Per partition how many records were worked off, and how many are left when the time is over."""
        units = self._units()
        tps = {TP(topic, unit.partition): unit for unit in units for topic in self._table.source_topics}
        begins = {tp: unit.committed_offsets.get(tp.topic, 0) for tp, unit in tps.items()}
        await asyncio.sleep(_FETCH_S)
        thread = self._app.consumer.thread
        ends = await thread.ends(tps) if tps else {}
        left = dict.fromkeys(ends, 0)
        while True:
            unread = await thread.unread(ends) if ends else {}
            for tp, end in ends.items():
                left[tp] = _left(tps[tp], tp, end, unread.get(tp))
            if not any(left.values()) or time.monotonic() >= deadline or self._app.should_stop:
                break
            await asyncio.sleep(_LOOK_S)
        owned = {unit.partition for unit in self._units()}
        found = {partition: {"count": 0, "remaining": 0} for partition in owned}
        for tp, end in ends.items():
            if tp.partition in owned:
                found[tp.partition]["count"] += max(0, end - begins[tp] - left[tp])
                found[tp.partition]["remaining"] += left[tp]
        return found

    def _units(self) -> list[Unit[Any]]:
        owned = self._app.ownership.units.values()
        return [one.unit for one in owned if one.unit.table == self._table.name and not one.unit.closed]

    def _own(self) -> dict[int, None]:
        return {unit.partition: None for unit in self._units()}


def _left(unit: Unit[Any], tp: TP, end: int, unread: Unread | None) -> int:
    """How much of a partition lies between what is committed and its end."""
    left = max(0, end - unit.committed_offsets.get(tp.topic, 0))
    if left and unread is not None and not unit.changed and unit.in_flight is None:
        # What is no record, the end of a transaction, is passed without a trace.
        handed_out = unread.handed_out
        return unread.behind + max(0, handed_out - unit.next_offsets.get(tp.topic, handed_out))
    return left
