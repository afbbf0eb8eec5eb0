"""Who is in the audience. A user is a function of (seed, index): nobody has to be kept in memory."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING, TypeVar

from pipeline.lab.generator.wire import CLIENT_WEIGHTS, CLIENTS, Client
from pipeline.lab.generator.world import BY_CODE, CUMULATIVE, REPORTED_REGIONS, ReportedRegion, home_address

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

# Parallel streams that each plan allows; a plan that is not known is given four.
STREAMS = {"free": 1, "trial": 1, "basic": 1, "standard": 2, "premium": 4, "vip": 4, "family": 6}
_UNKNOWN_PLAN_STREAMS = 4

_SINGLE_PLANS = ("free", "trial", "basic", "basic", "standard", "standard", "premium", "vip", None, "gold")
_HOUSEHOLD_PLANS = ("premium", "family", "family", "vip")
# Old enough everywhere: the highest consent age is 20.
_ADULT = 20
_OLDEST = 88


@dataclass(frozen=True, slots=True)
class Device:
    """Something a user watches on."""

    id: str
    client: Client


@dataclass(frozen=True, slots=True)
class User:
    """One account, as its events show it.

    Attributes:
        index: its number in the audience.
        user_id: its id; the record's key.
        kind: viewer, household or mobile for the clean majority, else the story it lives.
        home: where it is when nothing special happens.
        address: its network at home.
        is_eu: what the producer holds it to be.
        has_consent: whether it consented.
        plan: its subscription, None = not sent.
        age: its age, None = not sent.
        shared: what was shared of it, None = not sent.
        devices: its devices, at least one.
        metadata: whether its clients send extra_metadata.
        session_ids: whether its clients send session_id.
    """

    index: int
    user_id: str
    kind: str
    home: ReportedRegion
    address: str
    is_eu: bool
    has_consent: bool
    plan: str | None
    age: int | None
    shared: str | None
    devices: tuple[Device, ...]
    metadata: bool
    session_ids: bool

    @property
    def streams(self) -> int:
        """Streams that its plan allows at once."""
        return STREAMS.get(self.plan or "", _UNKNOWN_PLAN_STREAMS)

    def moved(self, place: ReportedRegion) -> User:
        """The same user, at home in another place, with the flags of that place."""
        return replace(self, home=place, is_eu=place.eea)


@dataclass(frozen=True, slots=True)
class Population:
    """Everybody there is.

    Attributes:
        seed: the run's seed.
        size: number of users; indices run from 0.
        cast: story kinds in the order in which the first `actors` users live them, over and over.
        actors: users 0..actors-1 live stories, the rest just watch.
    """

    seed: int
    size: int
    cast: Sequence[str]
    actors: int

    def user(self, index: int) -> User:
        """The user of a number; the same number is always the same user.

        Everybody is clean here: consent where a law wants it, no sharing without it, grown up. Stories
        change what they need.
        """
        # Not for cryptography: the point of this generator is that it repeats itself.
        rng = Random(self.seed * 1_000_003 + index)  # noqa: S311
        rnd = rng.random
        if index < self.actors:
            kind = self.cast[index % len(self.cast)]
        else:
            share = rnd()
            kind = "viewer" if share < 0.62 else "household" if share < 0.84 else "mobile"  # noqa: PLR2004
        home = REPORTED_REGIONS[
            min(bisect_right(CUMULATIVE, rnd() * CUMULATIVE[-1]), len(REPORTED_REGIONS) - 1)
        ]
        has_consent = home.asks_consent or rnd() < 0.8  # noqa: PLR2004
        plans = _HOUSEHOLD_PLANS if kind == "household" else _SINGLE_PLANS
        plan = plans[int(rnd() * len(plans))]
        return User(
            index=index,
            user_id=_user_id(index),
            kind=kind,
            home=home,
            address=home_address(index),
            is_eu=home.eea,
            has_consent=has_consent,
            plan=plan,
            age=_ADULT + int(rnd() * (_OLDEST - _ADULT)) if rnd() < 0.4 else None,  # noqa: PLR2004
            shared=_shared(rnd()) if has_consent else None,
            devices=tuple(_device(index, n, rng) for n in range(2 + int(rnd() * 3))),
            metadata=rnd() < 0.5,  # noqa: PLR2004
            session_ids=rnd() < 0.8,  # noqa: PLR2004
        )


def reported_region(code: str) -> ReportedRegion:
    """A region of the generator by its code."""
    return BY_CODE[code]


def pick_for(index: int, options: Sequence[T]) -> T:
    """Always the same one of some options for a user."""
    # Knuth's multiplier spreads neighbours; without it the step of the cast would miss some options.
    return options[(index * 2_654_435_761 >> 16) % len(options)]


def _shared(chance: float) -> str | None:
    return "full" if chance < 0.05 else "partial" if chance < 0.15 else "none" if chance < 0.3 else None  # noqa: PLR2004


def _user_id(index: int) -> str:
    # Ids are opaque text; some are in other scripts, to be met early.
    if index % 211 == 17:  # noqa: PLR2004
        return f"zoë-{index:07d}"
    if index % 211 == 101:  # noqa: PLR2004
        return f"利用者-{index:07d}"
    return f"user-{index:07d}"


_CLIENT_BOUNDS = tuple(accumulate(CLIENT_WEIGHTS, max))


def _device(index: int, number: int, rng: Random) -> Device:
    client = CLIENTS[bisect_right(_CLIENT_BOUNDS, rng.random())]
    return Device(f"{client.name}-{index:07x}-{number}{int(rng.random() * 256):02x}", client)
