"""`/users/...`: what is known of one user, from the worker that owns the user's partition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.evaluation.batch import PartitionState
from pipeline.evaluation.rule_book import InForce
from pipeline.verdict_index.index import IndexUnavailableError
from pipeline.web.http.answers import (
    Verdict,
)
from pipeline.web.http.routes import Route
from pipeline.web.views.ids import unknown_user
from pipeline.web.views.user_state import Segment, UserView, segment_of, view_of
from pipeline.windows.user import UserState
from tables.risk import MODEL_KEY, PARTITION_KEY, RULES_KEY, model_of, user_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.anomaly.artefact import Model
    from pipeline.anomaly.scoring import NotEvaluated
    from pipeline.delivery.state.unit import Unit
    from pipeline.delivery.table import WriteBehindTable
    from pipeline.evaluation.model_book import ModelBook
    from pipeline.evaluation.rule_book import RuleBook
    from pipeline.rules.ruleset import RuleSet
    from pipeline.verdict_index.index import VerdictIndex
    from pipeline.web.cluster.peers import Peers
    from pipeline.web.http.calls import Call, Handlers
    from tables.risk import RiskValue


ROUTES: Final = (
    Route(
        name="user",
        method="GET",
        path="/users/{user_id}",
        role="analyst",
        summary="A user's window as the rules see it, and the level now",
        answers=(UserView,),
        problems=(404,),
        subject="user_id",
        tag="users",
    ),
    Route(
        name="segment",
        method="GET",
        path="/users/{user_id}/segment",
        role="analyst",
        summary="A user's behavioural segment and trend",
        answers=(Segment,),
        problems=(404,),
        subject="user_id",
        tag="users",
    ),
)


def user_views(
    users: WriteBehindTable[RiskValue],
    peers: Peers,
    book: RuleBook,
    models: ModelBook,
    index: VerdictIndex,
    show: Callable[[str], str],
) -> Handlers:
    """The handlers of `/users/{user_id}` and `/users/{user_id}/segment`.

    Args:
        users: the risk agent's table.
        peers: the other workers.
        book: the rule sets.
        models: the anomaly models.
        index: the verdict index.
        show: the form of user and device ids in outputs.
    """
    views = _Users(users, peers, book, models, index, show)
    return {"user": views.user, "segment": views.segment}


class _Users:
    def __init__(
        self,
        users: WriteBehindTable[RiskValue],
        peers: Peers,
        book: RuleBook,
        models: ModelBook,
        index: VerdictIndex,
        show: Callable[[str], str],
    ) -> None:
        self._users = users
        self._peers = peers
        self._book = book
        self._models = models
        self._index = index
        self._show = show

    async def user(self, call: Call) -> UserView:
        """The user's window as the rules see it, and what they find in it now."""
        user_id, unit, state = await self._find(call)
        verdict = self._last_verdict(user_id)
        return view_of(user_id, state, self._rules(unit), self._model(unit), verdict, self._show)

    def _model(self, unit: Unit[RiskValue]) -> Model | NotEvaluated:
        return self._models.model(model_of(unit.peek(MODEL_KEY))) or self._models.without_model

    def _rules(self, unit: Unit[RiskValue]) -> RuleSet:
        in_force = unit.peek(RULES_KEY)
        return self._book.ruleset(in_force if isinstance(in_force, InForce) else None)

    def _last_verdict(self, user_id: str) -> Verdict | None:
        """The newest indexed verdict; None if there is none or it cannot be read."""
        try:
            newest = self._index.newest_of(self._show(user_id))
            return None if newest is None else Verdict.model_validate_json(newest)
        except (IndexUnavailableError, ValueError):
            # A verdict of a foreign producer may have a value that the answer model does not allow.
            return None

    async def segment(self, call: Call) -> Segment:
        """The user's behavioural segment and trend."""
        user_id, unit, state = await self._find(call)
        partition = unit.peek(PARTITION_KEY)
        times = partition.times.values() if isinstance(partition, PartitionState) else ()
        return segment_of(user_id, state, max(times, default=None), self._rules(unit), self._show)

    async def _find(self, call: Call) -> tuple[str, Unit[RiskValue], UserState]:
        user_id = call.path["user_id"]
        unit = (await self._peers.owned(call, self._users, self._users.partition_of(user_id.encode()))).unit
        state = unit.peek(user_key(user_id))
        if not isinstance(state, UserState):
            raise unknown_user(user_id, self._show)
        return user_id, unit, state
