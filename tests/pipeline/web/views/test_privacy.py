"""What is shown of a user's requests, whatever else is still known of the user."""

from types import SimpleNamespace

import pytest

from pipeline.delivery.metrics import Metrics
from pipeline.delivery.state.store import PartitionStore, StoreCache, StoreOptions
from pipeline.delivery.state.unit import Unit
from pipeline.web.http.problems import Problem
from pipeline.web.views.privacy import privacy_views
from pipeline.web.views.users import user_views
from pipeline.windows.privacy import NO_RECORD
from pipeline.windows.requests import RequestHistory, RequestRecord
from pipeline.windows.user import LastPlace, UserState
from tables.risk import RiskCodec, requests_key, user_key

DAY = 86_400_000
ASKED = RequestRecord("r1", "delete", 0, "US-CA", 0)


class OnlyWorker:
    """Peers of a worker that has everything."""

    def __init__(self, unit):
        self._owned = SimpleNamespace(unit=unit)

    async def owned(self, call, table, partition):  # noqa: ARG002 - all of it is here
        return self._owned


@pytest.fixture
def unit(tmp_path):
    store = PartitionStore(tmp_path / "p.db", "app table", StoreCache(StoreOptions()))
    return Unit("users-v1", 0, store, RiskCodec(), lambda _: 0, 4, 1 << 20, Metrics())


@pytest.fixture
def views(unit):
    table = SimpleNamespace(partition_of=lambda _: 0)
    peers = OnlyWorker(unit)
    return {
        **privacy_views(table, peers, None, "privacy-requests", lambda identifier: identifier),
        **user_views(table, peers, None, None, None, lambda identifier: identifier),
    }


def asked(user_id):
    return SimpleNamespace(path={"user_id": user_id})


async def test_requests_are_shown_when_nothing_else_is_known_of_a_user(unit, views):
    unit[requests_key("someone")] = RequestHistory((ASKED,), (31 * DAY, 70 * DAY))
    shown = await views["requests"](asked("someone"))
    (request,) = shown.requests
    assert (request.region, request.holds) == ("US-CA", False)
    assert [deadline.due for deadline in request.deadlines] == ["1970-02-15T00:00:00.000Z"]
    assert shown.erased == ["1970-02-01T00:00:00.000Z", "1970-03-12T00:00:00.000Z"]
    assert not shown.privacy.deletion.in_force
    for view in ("user", "segment"):
        with pytest.raises(Problem) as problem:
            await views[view](asked("someone"))
        assert problem.value.status == 404


async def test_a_user_without_requests_has_none(unit, views):
    unit[user_key("someone")] = UserState(0, None, LastPlace("NL", 0), 0, NO_RECORD)
    shown = await views["requests"](asked("someone"))
    assert (shown.requests, shown.erased) == ([], [])


async def test_of_a_user_whom_nobody_knows_nothing_is_shown(views):
    with pytest.raises(Problem) as problem:
        await views["requests"](asked("nobody"))
    assert problem.value.status == 404
