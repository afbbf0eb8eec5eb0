"""Users who stayed away are erased, and nobody can tell by the verdicts."""

import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.idle import MARGIN_MS, IdleUsers
from agents.risk import RiskAgent
from pipeline.delivery.flow.rekeying import Misplaced, Origins
from pipeline.delivery.metrics import Metrics
from pipeline.delivery.state.store import PartitionStore, StoreCache, StoreOptions
from pipeline.delivery.state.unit import Unit
from pipeline.evaluation.evaluator import Evaluator
from pipeline.evaluation.model_book import ModelBook
from pipeline.evaluation.rule_book import RuleBook
from pipeline.events.instants import format_instant
from pipeline.rules.ruleset import built_in
from pipeline.windows.requests import RequestHistory
from pipeline.windows.user import IDLE_MS, UserState
from tables.risk import PARTITION_KEY, RiskCodec, requests_key, user_key
from tests.agents.test_risk import TOPICS
from tests.pipeline.evaluation.records import NOW, request
from tests.pipeline.events.messages import encoded

MINUTE, DAY = 60_000, 86_400_000
PRODUCER, BROKER = 0, 1


class Consumed(NamedTuple):
    topic: str
    offset: int
    timestamp: int
    value: bytes
    timestamp_type: int = BROKER
    partition: int = 0
    key: bytes | None = None
    headers: tuple = ()


class OnePlace:
    """A partitioner of one partition."""

    def __call__(self, _):
        return 0

    def learn(self, keys):
        pass


class Worker:
    """The agent with one partition; commits when it is told to."""

    def __init__(self, path, idle=None):
        self.now, self.offset = NOW, 0
        self.uncommitted = []
        store = PartitionStore(Path(path), "app table", StoreCache(StoreOptions()))
        place = OnePlace()
        at_commit = None if idle is None else idle.at_commit
        self.unit = Unit("users-v1", 0, store, RiskCodec(), place, 4, 1 << 20, Metrics(), at_commit)
        misplaced = Misplaced(Metrics(), "user id")
        self.agent = RiskAgent(
            Evaluator(built_in(), "1"),
            RuleBook(built_in()),
            ModelBook(),
            TOPICS,
            place,
            misplaced,
            Origins(bytes(32), Metrics()),
        )

    def event(self, user, after=0, stamps=BROKER, late_by=0, **changes):
        """An event of a user, so long after the one before it; what is published."""
        self.now += after
        value = encoded(
            event_id=f"e{self.offset}",
            user_id=user,
            timestamp=format_instant(self.now - late_by),
            **changes,
        )
        return self._handle(Consumed(TOPICS.raw, self.offset, self.now, value, stamps))

    def request(self, user, kind, after=0):
        self.now += after
        asked = request(kind, user_id=user, request_id=f"r{self.offset}", timestamp=format_instant(self.now))
        return self._handle(Consumed(TOPICS.requests, self.offset, self.now, asked.value))

    def _handle(self, record):
        self.offset += 1
        published = [(out.topic, out.key, out.value) for out in self.agent.handle(self.unit, [record])]
        self.uncommitted.append((record, published))
        return published

    def commit(self):
        *_, snapshot = self.unit.take()
        self.unit.settle(snapshot, None)
        self.unit.evict()
        self.uncommitted.clear()

    def crash(self):
        """Back to the last commit; then everything again, with more commits than before."""
        again = list(self.uncommitted)
        self.unit.back_to_last_commit({})
        for record, published in again:
            outputs = self.agent.handle(self.unit, [record])
            assert [(out.topic, out.key, out.value) for out in outputs] == published
            self.commit()

    def user(self, name):
        return self.unit.peek(user_key(name)) or UserState()

    def stored(self, key):
        return self.unit.store.get(key)

    def history(self, user):
        return self.unit.peek(requests_key(user)) or RequestHistory()


@pytest.fixture
def worker(tmp_path):
    return Worker(tmp_path / "p.db", IdleUsers())


def test_who_stays_away_is_erased_from_the_store(worker):
    worker.event("away")
    worker.commit()
    worker.event("other", IDLE_MS + MARGIN_MS)
    worker.commit()
    assert worker.stored(user_key("away")) is not None
    worker.event("other", 1)
    worker.commit()
    assert worker.stored(user_key("away")) is None
    assert worker.unit.peek(user_key("away")) is None
    assert worker.stored(user_key("other")) is not None
    assert worker.unit.peek(PARTITION_KEY).counts["erased"] == 1


def test_the_privacy_record_stays_and_the_erasure_is_written_down(worker):
    worker.request("away", "delete")
    worker.event("away", MINUTE)
    worker.commit()
    before = worker.unit.peek(user_key("away")).privacy
    worker.event("other", 32 * DAY)
    worker.commit()
    rest = worker.unit.peek(user_key("away"))
    assert (rest.privacy, len(rest.window), rest.last_place) == (before, 0, None)
    assert worker.history("away").erased == (worker.now,)
    (request,) = worker.history("away").requests
    assert request.region == "NL"  # its deadlines are by the law of where the user was last
    worker.event("other", DAY)
    worker.commit()
    assert len(worker.history("away").erased) == 1  # there was nothing more to erase


def test_who_comes_back_before_the_sweep_is_erased_then(worker):
    worker.request("away", "opt_out")
    worker.event("away")
    worker.commit()
    worker.event("away", IDLE_MS + MINUTE, region="JP")
    assert worker.history("away").erased == (worker.now,)
    assert worker.history("away").requests[0].region == "NL"  # as if the sweep had come first
    assert worker.unit.peek(PARTITION_KEY).counts["erased"] == 1


def test_nothing_is_kept_of_an_erased_user_who_never_asked_for_anything(worker):
    worker.event("away")
    worker.event("away", IDLE_MS + MINUTE)
    assert worker.history("away") == RequestHistory()


def test_by_a_producers_clock_nobody_is_erased(worker):
    worker.event("away")
    worker.commit()
    worker.event("other", 400 * DAY, stamps=PRODUCER)
    worker.commit()
    assert worker.stored(user_key("away")) is not None


def test_a_commit_goes_by_the_time_of_what_is_in_it(worker):
    # In a backlog a batch reaches far ahead. Here the part of it that did was lost with a crash, or is not judged yet:
    #   away ......... away ......... other
    #   committed      20 days        40 days, lost
    worker.event("away")
    worker.commit()
    worker.event("other", 40 * DAY)
    worker.unit.back_to_last_commit({})
    worker.now -= 20 * DAY
    worker.event("other")
    worker.commit()
    worker.event("away")
    assert len(worker.user("away").window) == 1
    assert worker.user("away").last_place.region == "NL"
    assert "erased" not in worker.unit.peek(PARTITION_KEY).counts


def test_without_a_record_that_the_broker_stamped_no_time_goes_by(worker):
    worker.event("away")
    worker.commit()
    worker.event("other", 40 * DAY, stamps=PRODUCER)
    worker.request("other", "opt_out", DAY)
    worker.commit()
    assert worker.stored(user_key("away")) is not None


def test_a_record_that_cannot_be_read_stays_and_stops_nothing(worker):
    """Neither a user's of a newer version, nor the requests of one."""
    worker.event("away")
    worker.event("away too")
    worker.commit()
    newer, requests = user_key("newer"), requests_key("away too")
    worker.unit.store.write([(newer, b"U\xffnot known"), (requests, b"Q\xffnot known")], None)
    worker.event("other", 32 * DAY)
    worker.commit()
    assert worker.stored(newer) == b"U\xffnot known"
    assert worker.stored(requests) == b"Q\xffnot known"
    assert worker.stored(user_key("away")) is None
    assert worker.stored(user_key("away too")) is not None
    assert worker.unit.peek(PARTITION_KEY).counts["erased"] == 1


def test_many_are_erased_with_pauses(worker):
    for number in range(50):
        worker.event(f"user-{number}")
    worker.commit()
    worker.event("zz", 32 * DAY)
    pieces = list(worker.unit.take())
    assert pieces[:-1] == [None] * 3  # one after the look, one after each twenty
    worker.unit.settle(pieces[-1], None)
    assert worker.unit.peek(PARTITION_KEY).counts["erased"] == 50
    assert [number for number in range(50) if worker.stored(user_key(f"user-{number}"))] == []


def test_the_value_that_is_not_stored_yet_counts(worker):
    worker.event("away")
    worker.commit()
    worker.event("other", 32 * DAY)
    worker.event("away")
    worker.commit()
    assert len(worker.unit.peek(user_key("away")).window) == 1


def test_all_users_are_looked_at_in_turn(tmp_path):
    worker = Worker(tmp_path / "p.db", IdleUsers(page=3))
    names = [f"user-{number}" for number in range(10)]
    for name in names:
        worker.event(name)
    worker.commit()
    worker.event("zz", 32 * DAY)
    left = []
    for _ in range(5):
        worker.event("zz", 1)
        worker.commit()
        left.append(sum(worker.stored(user_key(name)) is not None for name in names))
    assert left == [7, 4, 1, 0, 0]
    for name in names:  # and again from the beginning
        worker.event(name)
    worker.commit()
    worker.event("zz", 32 * DAY)
    for _ in range(5):
        worker.event("zz", 1)
        worker.commit()
    assert [name for name in names if worker.stored(user_key(name)) is not None] == []


STEPS = st.one_of(
    st.tuples(
        st.just("event"),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([0, MINUTE, 50 * MINUTE, 29 * DAY, IDLE_MS, IDLE_MS + 1, 32 * DAY]),
        st.fixed_dictionaries(
            {},
            optional={
                "late_by": st.sampled_from([MINUTE, 3 * 60 * MINUTE, 31 * DAY]),
                "region": st.sampled_from(["NL", "US-CA", "JP"]),
                "device_id": st.sampled_from(["d1", "d2", "d3"]),
                "do_not_track": st.just(True),
                "has_consent": st.just(False),
                "event_type": st.sampled_from(["PLAY", "LOGIN_FAILED", "ERROR"]),
            },
        ),
    ),
    st.tuples(
        st.just("request"),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([0, MINUTE, 32 * DAY]),
        st.sampled_from(["opt_out", "opt_in", "delete", "reinstate", "consent_given"]),
    ),
    st.just(("commit",)),
    st.just(("crash",)),
)


@given(st.lists(STEPS, max_size=40))
def test_nobody_can_tell_by_what_is_published(steps):
    with tempfile.TemporaryDirectory() as directory:
        swept = Worker(Path(directory) / "swept.db", IdleUsers(page=2))
        kept = Worker(Path(directory) / "kept.db")
        for what, *how in steps:
            if what == "commit":
                swept.commit()
                kept.commit()
            elif what == "crash":
                swept.crash()
                kept.crash()
            elif what == "event":
                user, after, changes = how
                assert swept.event(user, after, **changes) == kept.event(user, after, **changes)
            else:
                user, after, kind = how
                assert swept.request(user, kind, after) == kept.request(user, kind, after)
        for name in "abc":
            asked = [[one.request_id for one in each.history(name).requests] for each in (swept, kept)]
            assert asked[0] == asked[1]
            assert swept.user(name).privacy == kept.user(name).privacy
            if swept.user(name) != kept.user(name):
                # Erased: of a user who starts anew with the next event.
                assert swept.user(name) == UserState(privacy=kept.user(name).privacy)
                assert kept.user(name).idle(swept.now)
