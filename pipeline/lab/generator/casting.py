"""Chooses who becomes active next: somebody who just watches, or the next story."""
# ruff: noqa: PLR2004 - shares of stories and numbers of attempts; each is used once

from __future__ import annotations

from dataclasses import replace
from math import gcd, inf
from typing import TYPE_CHECKING

from pipeline.lab.generator.casts import CASTS, EVERYBODY, Stories
from pipeline.lab.generator.population import Population, User, pick_for
from pipeline.lab.generator.stories_privacy import ASKED, SEQUENCES
from pipeline.lab.generator.world import HOUR_MS

if TYPE_CHECKING:
    from pipeline.lab.generator.personas import Persona
    from pipeline.lab.generator.seat import Run

# So many events a user can send with one evening at a time.
EVENTS_PER_USER_HOUR = 8.0
# Every user who becomes active sends one event at once, however short the stretch is.
_EVENTS_PER_USER = 1.0
FEWEST_USERS = 8


def capacity(users: int, hours: float) -> int:
    """The number of events that an audience can send in a stretch and be realistic."""
    return int(users * max(_EVENTS_PER_USER, EVENTS_PER_USER_HOUR * hours))


class Activation:
    """One user's time of activity.

    Attributes:
        user: the user, with what its story needs.
        persona: its story.
        key: the key of its records.
        partition: of its records; -1 until a sink has computed it.
        open_timelines: timelines that have not ended.
    """

    __slots__ = ("key", "open_timelines", "partition", "persona", "user")

    def __init__(self, user: User, persona: Persona) -> None:
        self.user = user
        self.persona = persona
        self.key = user.user_id.encode()
        self.partition = -1
        self.open_timelines = 0


class Casting:
    """Chooses who comes next, so that nobody comes back too early.

    Args:
        run: the run.
        users: size of the audience.
        seed: the run's seed.
        requests: privacy requests in all.
        risk_share: share of the load that belongs to stories.
        with_topic: whether the destination can tell broken requests from broken events.
        stories: which stories are told.
    """

    def __init__(
        self,
        run: Run,
        users: int,
        seed: int,
        requests: int,
        risk_share: float,
        *,
        with_topic: bool,
        stories: Stories = Stories.USUAL,
    ) -> None:
        self.requests_called = 0
        self._run = run
        self._requests = requests
        self._risk_share = risk_share
        self._cast = CASTS[stories]
        self._actors = max(min(len(self._cast), users // 4), users // 10) if risk_share > 0 else 0
        self._askers = max(1, min(requests, users // 10)) if requests else 0
        self._population = Population(seed, users, self._cast, self._actors)
        self._request_kinds = tuple(kind for kind in ASKED if with_topic or kind != "request_broken")
        self._first_plain = self._actors + self._askers
        self._plain = users - self._first_plain
        self._stride = _coprime(self._plain, seed)
        self._next_actor = 0
        self._next_asker = 0
        self._next_plain = seed % max(1, self._plain)
        self._spent = 0.0
        self._ready_ms: dict[int, float] = {}
        self._next_sweep_ms = 0

    def next(self, at_ms: int, target: int, *, history: bool) -> Activation | None:
        """The user who becomes active at an instant; None if everybody is active or rests.

        Args:
            at_ms: the instant.
            target: the number of records that the schedule wants by now. The share of stories is a share of it.
            history: whether this is the history before a live stretch, which has a higher density.
        """
        if at_ms >= self._next_sweep_ms:
            self._ready_ms = {index: ready for index, ready in self._ready_ms.items() if ready > at_ms}
            self._next_sweep_ms = at_ms + HOUR_MS // 2
        share = self._risk_share
        if share > 0 and history:
            share = max(share, 0.6)
        elif self._next_actor < len(self._cast):
            # Every story comes once in the first half of the stretch.
            share = max(share, min(0.6, 3 * share))
        if self._actors and self._spent < share * target:
            actor = self._actor(at_ms)
            if actor is not None:
                return actor
        return self._watcher(at_ms)

    def asker(self, at_ms: int) -> Activation | None:
        """Somebody who writes to the privacy office; None if everybody has just done so."""
        left = self._requests - self.requests_called
        for _ in range(self._askers):
            index = self._actors + self._next_asker % self._askers
            self._next_asker += 1
            if self._ready_ms.get(index, 0) > at_ms:
                continue
            # A user always sends the same kind of request, so a withdrawal is never followed by its opposite.
            kind = pick_for(index, self._request_kinds)
            if len(SEQUENCES[kind]) > left:
                continue
            self.requests_called += len(SEQUENCES[kind])
            return self._activate(replace(self._population.user(index), kind=kind))
        return None

    def ended(self, who: Activation, event_ms: int) -> None:
        """A timeline of somebody ended with an event at `event_ms`."""
        who.open_timelines -= 1
        if who.open_timelines == 0:
            self._ready_ms[who.user.index] = event_ms + who.persona.rest_ms

    def _activate(self, user: User) -> Activation:
        persona = EVERYBODY[user.kind]
        self._ready_ms[user.index] = inf
        return Activation(persona.dress(user), persona)

    def _actor(self, at_ms: int) -> Activation | None:
        for _ in range(min(4, self._actors)):
            index = self._next_actor % self._actors
            self._next_actor += 1
            if self._ready_ms.get(index, 0) <= at_ms:
                activation = self._activate(self._population.user(index))
                self._spent += activation.persona.cost
                return activation
        return None

    def _watcher(self, at_ms: int) -> Activation | None:
        """The next user who does not rest. Users for whom it is evening come sooner."""
        spare: User | None = None
        awake = 0
        for _ in range(self._plain):
            index = self._first_plain + self._next_plain
            self._next_plain = (self._next_plain + self._stride) % self._plain
            if self._ready_ms.get(index, 0) > at_ms:
                continue
            user = self._population.user(index)
            if self._run.rng.random() < user.home.load(at_ms):
                return self._activate(user)
            spare = spare or user
            awake += 1
            if awake == 12:
                break
        return None if spare is None else self._activate(spare)


def _coprime(size: int, seed: int) -> int:
    """A step size with which all users are visited before one is visited twice."""
    stride = max(1, int(size * 0.618) + seed % 7)
    while gcd(stride, max(1, size)) != 1:
        stride += 1
    return stride
