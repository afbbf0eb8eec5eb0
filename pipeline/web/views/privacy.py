"""`/privacy/requests...`: publishes a privacy request, and shows those of one user."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from pipeline.evaluation.source import FUTURE_MS
from pipeline.events.instants import format_instant, parse_instant
from pipeline.events.model import MAX_VALUE_BYTES, PrivacyRequest
from pipeline.jurisdictions.laws import laws_of
from pipeline.web.http.answers import (
    Answer,
    Instant,
)
from pipeline.web.http.problems import FieldError, Problem
from pipeline.web.http.routes import Route, json_body
from pipeline.web.views.ids import unknown_user
from pipeline.web.views.user_state import PrivacyView, privacy_of
from pipeline.windows.requests import RequestHistory
from pipeline.windows.user import UserState
from tables.risk import requests_key, user_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.delivery.table import WriteBehindTable
    from pipeline.web.cluster.peers import Peers
    from pipeline.web.http.calls import Call, Handlers
    from pipeline.web.http.outbox import Outbox
    from pipeline.windows.privacy import PrivacyRecord
    from pipeline.windows.requests import RequestRecord
    from tables.risk import RiskValue


class RequestQueued(Answer):
    """A privacy request that the brokers have."""

    status: Literal["queued"]
    request_id: str
    partition: int
    offset: int


class Deadline(Answer):
    """Until when a law asks that a request is followed."""

    law: str
    days: int
    due: Instant


class RequestView(Answer):
    """One privacy request of a user."""

    request_id: str
    type: str
    timestamp: Instant
    region: str | None
    applied_at: Instant | None = Field(description="the timestamp of its record")
    deadlines: list[Deadline]
    holds: bool = Field(description="whether the requested change is in force")


class RequestList(Answer):
    """The privacy requests of a user that are known, oldest first, and the privacy record that they left."""

    user_id: str
    requests: list[RequestView]
    privacy: PrivacyView
    erased: list[Instant] = Field(
        description=(
            "when the window (regions, networks, devices, streams, events) and the last place were erased, 30 days or "
            "more after the user's last event, by the timestamp of the record at which it was; the newest 100, oldest "
            "first. The privacy record and the requests stay"
        )
    )


ROUTES: Final = (
    Route(
        name="request",
        method="POST",
        path="/privacy/requests",
        role="admin",
        summary="Publish a privacy request",
        answers=(RequestQueued,),
        status=202,
        body=json_body(PrivacyRequest, MAX_VALUE_BYTES),
        subject="user_id",
        tag="privacy",
    ),
    Route(
        name="requests",
        method="GET",
        path="/privacy/requests/{user_id}",
        role="analyst",
        summary="A user's privacy requests, their deadlines, and what was erased when",
        answers=(RequestList,),
        problems=(404,),
        subject="user_id",
        tag="privacy",
    ),
)


_DAY_MS: Final = 86_400_000
# A law sets a deadline for these types. The other types take effect at once.
_WITH_DEADLINE: Final = frozenset({"opt_out", "delete", "consent_withdrawn"})


def privacy_views(
    users: WriteBehindTable[RiskValue], peers: Peers, outbox: Outbox, topic: str, show: Callable[[str], str]
) -> Handlers:
    """The handlers of `POST /privacy/requests` and `GET /privacy/requests/{user_id}`.

    Args:
        users: the risk agent's table.
        peers: the other workers.
        outbox: writes the requests.
        topic: the full name of `privacy-requests`.
        show: the form of user ids in outputs.
    """
    privacy = _Privacy(users, peers, outbox, topic, show)
    return {"request": privacy.request, "requests": privacy.requests}


class _Privacy:
    def __init__(
        self,
        users: WriteBehindTable[RiskValue],
        peers: Peers,
        outbox: Outbox,
        topic: str,
        show: Callable[[str], str],
    ) -> None:
        self._users = users
        self._peers = peers
        self._outbox = outbox
        self._topic = topic
        self._show = show

    async def request(self, call: Call) -> RequestQueued:
        """Publish a privacy request; answered when the brokers have it."""
        asked: PrivacyRequest = call.body
        ahead = parse_instant(asked.timestamp) - time.time_ns() // 1_000_000
        if ahead > FUTURE_MS:
            message = f"lies {ahead / 1000:.0f} s ahead; at most {FUTURE_MS // 1000} s are allowed"
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                f"the body is not valid: timestamp {message}",
                errors=[FieldError(path="timestamp", message=message, type="future_timestamp")],
            )
        value = asked.model_dump_json(by_alias=True, exclude_none=True).encode()
        written = await self._outbox.write(self._topic, asked.user_id.encode(), value)
        return RequestQueued(
            status="queued", request_id=asked.request_id, partition=written.partition, offset=written.offset
        )

    async def requests(self, call: Call) -> RequestList:
        """The user's requests in the order of their arrival. They are kept longer than the user's window."""
        user_id = call.path["user_id"]
        unit = (await self._peers.owned(call, self._users, self._users.partition_of(user_id.encode()))).unit
        state, history = unit.peek(user_key(user_id)), unit.peek(requests_key(user_id))
        if not isinstance(state, UserState):
            if not isinstance(history, RequestHistory):
                raise unknown_user(user_id, self._show)
            state = UserState()
        if not isinstance(history, RequestHistory):
            history = RequestHistory()
        home = None if state.last_place is None else state.last_place.region
        return RequestList(
            user_id=self._show(user_id),
            requests=[_request(one, home, state.privacy) for one in history.requests],
            privacy=privacy_of(state),
            erased=[format_instant(at) for at in history.erased],
        )


def _request(one: RequestRecord, home: str | None, privacy: PrivacyRecord) -> RequestView:
    """One request. Its deadlines follow the laws of the region that it names, or of the user's last region."""
    region = one.region or home
    deadlines = []
    if one.type in _WITH_DEADLINE and region is not None:
        begin = one.time if one.record_time < 0 else one.record_time
        for law in laws_of(region):
            if law.grants_right and law.deadline_days is not None:
                due = format_instant(begin + law.deadline_days * _DAY_MS)
                deadlines.append(Deadline(law=law.id, days=law.deadline_days, due=due))
    return RequestView(
        request_id=one.request_id,
        type=one.type,
        timestamp=format_instant(one.time),
        region=region,
        applied_at=None if one.record_time < 0 else format_instant(one.record_time),
        deadlines=deadlines,
        holds=_holds(one, privacy),
    )


def _holds(one: RequestRecord, privacy: PrivacyRecord) -> bool:
    """Whether the effect of a request is in force."""
    match one.type:
        case "opt_out":
            return privacy.opt_out.since is not None
        case "opt_in":
            return privacy.opt_out.since is None
        case "delete":
            return privacy.deletion.since is not None
        case "reinstate":
            return privacy.deletion.since is None
        case "consent_given":
            return _newer(privacy.consent_given, privacy.consent_withdrawn)
        case _:
            return _newer(privacy.consent_withdrawn, privacy.consent_given)


def _newer(one: int | None, other: int | None) -> bool:
    return one is not None and (other is None or one > other)
