"""Misuse that stays below every threshold, and the harmless habits that resemble it.

No rule of the rule set fires on the misuse: it keeps to fewer events, networks, regions, streams and failures than
a rule allows. These stories are the data that an anomaly model is trained and measured with. Each story
takes the run, its user and a start, and returns the timelines of its devices, as in `stories_account`.
"""
# ruff: noqa: PLR2004 - the numbers of made-up stories; each is used once

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.lab.generator.population import Device, User
from pipeline.lab.generator.seat import Run, Seat
from pipeline.lab.generator.sessions import Step, watch
from pipeline.lab.generator.story_parts import (
    SECOND_MS,
    any_title,
    between,
    event,
    home_device,
    strange_device,
)
from pipeline.lab.generator.wire import CLIENTS
from pipeline.lab.generator.world import MINUTE_MS, REPORTED_REGIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.lab.generator.stories_account import Timelines

# Misuse that a model may be trained with.


def slow_stuffing(run: Run, user: User, start_ms: int) -> Timelines:
    """Stolen passwords are tried at a pace of four in an hour, each from a machine of its own.

    The owner watches meanwhile and notices nothing.
    """

    def attempts() -> Iterator[Step]:
        t = start_ms + int(between(run, 4, 9) * MINUTE_MS)
        for n in range(12):
            seat = Seat(run, user, strange_device(run, n), run.addresses.fresh())
            yield event(run, seat, "LOGIN_FAILED", t)
            t += int(between(run, 15.5, 19) * MINUTE_MS)

    owner = watch(run, Seat(run, user, user.devices[0]), start_ms, 200, login=False)
    return [owner, attempts()]


def rented_by_the_hour(run: Run, user: User, start_ms: int) -> Timelines:
    """An account is rented out: every quarter of an hour another tenant logs in from another home."""

    def tenants() -> Iterator[Step]:
        t = start_ms
        for n in range(9):
            seat = Seat(run, user, strange_device(run, n), run.addresses.fresh())
            leaves = t + int(between(run, 15.5, 19) * MINUTE_MS)
            yield event(run, seat, "LOGIN", t)
            title = any_title(run)
            t += 9 * SECOND_MS
            yield event(run, seat, "PLAY", t, title)
            while (t := t + int(between(run, 58, 62) * SECOND_MS)) < leaves - 90 * SECOND_MS:
                yield event(run, seat, "HEARTBEAT", t, title)
            yield event(run, seat, "STOP", t, title)
            t += 5 * SECOND_MS
            yield event(run, seat, "LOGOUT", t)
            t += int(between(run, 20, 70) * SECOND_MS)

    return [tenants()]


def catalogue_scraper(run: Run, user: User, start_ms: int) -> Timelines:
    """A program opens one title after the other in the order of the catalogue and leaves each at once."""
    titles = [title for title in run.catalogue.titles if title.trouble is None]
    first = int(run.rng.random() * len(titles))
    seat = Seat(run, user, user.devices[0])

    def walk() -> Iterator[Step]:
        t = start_ms
        for n in range(100 + int(run.rng.random() * 60)):
            title = titles[(first + n) % len(titles)]
            yield event(run, seat, "PLAY", t, title)
            t += int(between(run, 8, 14) * SECOND_MS)
            yield event(run, seat, "STOP", t, title)
            t += int(between(run, 14, 24) * SECOND_MS)

    return [walk()]


def stream_ripper(run: Run, user: User, start_ms: int) -> Timelines:
    """A recorder fetches a film piece by piece: it seeks ahead every 15 to 20 seconds, as exactly as a clock."""
    seat = Seat(run, user, user.devices[0])
    pace = int(between(run, 15, 20) * SECOND_MS)

    def pieces() -> Iterator[Step]:
        t = start_ms
        for _ in range(2):
            title = any_title(run)
            yield event(run, seat, "PLAY", t, title)
            for _ in range(110):
                t += pace + int(run.rng.random() * 400)
                yield event(run, seat, "SEEK", t, title)
            t += pace
            yield event(run, seat, "STOP", t, title)
            t += 20 * SECOND_MS

    return [pieces()]


def account_switcher(run: Run, user: User, start_ms: int) -> Timelines:
    """One device goes round through many accounts; each sees it log in, play for minutes and log out again."""
    # Eight neighbours in the audience see the same machine and the same address.
    farm = user.index // 8
    device = Device(f"tv-farm{farm:06x}", CLIENTS[0])
    seat = Seat(run, user, device, f"100.127.{farm >> 8 & 255}.{farm & 255}")

    def turns() -> Iterator[Step]:
        t = start_ms
        for _ in range(14):
            yield event(run, seat, "LOGIN", t)
            title = any_title(run)
            t += 4 * SECOND_MS
            yield event(run, seat, "PLAY", t, title)
            for _ in range(2):
                t += int(between(run, 30, 50) * SECOND_MS)
                yield event(run, seat, "HEARTBEAT", t, title)
            t += 20 * SECOND_MS
            yield event(run, seat, "STOP", t, title)
            t += 2 * SECOND_MS
            yield event(run, seat, "LOGOUT", t)
            t += int(between(run, 4, 7) * MINUTE_MS)

    return [turns()]


# Harmless habits that resemble them.


def marathon(run: Run, user: User, start_ms: int) -> Timelines:
    """A whole season in one sitting."""
    return [watch(run, Seat(run, user, user.devices[0]), start_ms, between(run, 240, 420))]


def big_household(run: Run, user: User, start_ms: int) -> Timelines:
    """Five people of one home watch on five devices, which their plan allows."""
    devices = [*user.devices, *(home_device(user, n) for n in range(5 - len(user.devices)))]
    first, *others = [Seat(run, user, device) for device in devices]
    timelines = [watch(run, first, start_ms, between(run, 50, 110))]
    for seat in others:
        starts = start_ms + int(between(run, 1, 25) * MINUTE_MS)
        timelines.append(watch(run, seat, starts, between(run, 30, 90)))
    return timelines


def night_worker(run: Run, user: User, start_ms: int) -> Timelines:
    """Comes home from a shift and watches in the middle of the night."""
    nights = [
        place
        for place in REPORTED_REGIONS
        if place.local_hour(start_ms) in {1, 2, 3, 4} and place.code != "ZZ"
    ]
    night = nights[user.index % len(nights)] if nights else user.home
    return [watch(run, Seat(run, user.moved(night), user.devices[0]), start_ms, between(run, 60, 150))]


def zapper(run: Run, user: User, start_ms: int) -> Timelines:
    """Looks into one title after the other for a while, and then stays with one."""
    seat = Seat(run, user, user.devices[0])

    def zaps() -> Iterator[Step]:
        t = start_ms
        for _ in range(12 + int(run.rng.random() * 26)):
            title = any_title(run)
            yield event(run, seat, "PLAY", t, title)
            t += int(min(run.rng.expovariate(1 / 25), 150) * SECOND_MS) + 2 * SECOND_MS
            yield event(run, seat, "STOP", t, title)
            t += int(between(run, 2, 20) * SECOND_MS)
        yield from watch(run, seat, t, between(run, 30, 60), login=False)

    return [zaps()]


def cgnat(run: Run, user: User, start_ms: int) -> Timelines:
    """A telephone company gives the same phone another public address every 16 to 20 minutes."""
    current: Seat | None = None
    until = start_ms

    def seat_at(t_ms: int) -> Seat:
        nonlocal current, until
        if current is None or t_ms >= until:
            current = Seat(run, user, user.devices[0], run.addresses.fresh())
            until = t_ms + int(between(run, 16, 20) * MINUTE_MS)
        return current

    return [watch(run, seat_at, start_ms, between(run, 50, 120))]


def child_with_a_remote(run: Run, user: User, start_ms: int) -> Timelines:
    """A child presses whatever there is: bursts of pauses, seeks and starts, then quiet."""
    seat = Seat(run, user, user.devices[0])

    def presses() -> Iterator[Step]:
        t = start_ms
        for _ in range(4 + int(run.rng.random() * 3)):
            title = any_title(run)
            yield event(run, seat, "PLAY", t, title)
            for _ in range(8 + int(run.rng.random() * 14)):
                t += int(run.rng.expovariate(1 / 4) * SECOND_MS) + 400
                kind = ("PAUSE", "RESUME", "SEEK", "SEEK", "BUFFERING")[int(run.rng.random() * 5)]
                yield event(run, seat, kind, t, title)
            for _ in range(3 + int(run.rng.random() * 6)):
                t += int(between(run, 58, 62) * SECOND_MS)
                yield event(run, seat, "HEARTBEAT", t, title)
            t += 9 * SECOND_MS
            yield event(run, seat, "STOP", t, title)
            t += int(between(run, 3, 30) * SECOND_MS)

    return [presses()]


def packer(run: Run, user: User, start_ms: int) -> Timelines:
    """Fills a tablet before a journey: many downloads in a quarter of an hour, then an evening as usual."""
    seat = Seat(run, user, user.devices[0])

    def downloads() -> Iterator[Step]:
        t = start_ms
        for _ in range(8 + int(run.rng.random() * 28)):
            yield event(run, seat, "DOWNLOAD", t, any_title(run))
            t += int(run.rng.expovariate(1 / 30) * SECOND_MS) + 2 * SECOND_MS
        yield from watch(run, seat, t, between(run, 10, 50), login=False)

    return [downloads()]


def new_password(run: Run, user: User, start_ms: int) -> Timelines:
    """The password was changed: two or three devices of one home fail, log in, and go on."""
    seats = [Seat(run, user, device) for device in user.devices[:3]]

    def log_ins() -> Iterator[Step]:
        t, failures = start_ms, 0
        for seat in seats:
            for _ in range(1 + int(run.rng.random() * 2)):
                if failures < 5:
                    yield event(run, seat, "LOGIN_FAILED", t)
                    failures += 1
                t += int(between(run, 10, 90) * SECOND_MS)
            yield event(run, seat, "LOGIN", t)
            t += int(between(run, 60, 400) * SECOND_MS)
        yield event(run, seats[0], "PROFILE_UPDATE", t)
        yield from watch(run, seats[-1], t + 5000, between(run, 20, 70), login=False)

    return [log_ins()]


def favourite_clip(run: Run, user: User, start_ms: int) -> Timelines:
    """A small child wants the same clip again, and again."""
    seat = Seat(run, user, user.devices[0])
    title = any_title(run)

    def again() -> Iterator[Step]:
        t = start_ms
        for _ in range(12 + int(run.rng.random() * 24)):
            yield event(run, seat, "PLAY", t, title)
            t += int(between(run, 40, 130) * SECOND_MS)
            yield event(run, seat, "STOP", t, title)
            t += int(run.rng.expovariate(1 / 20) * SECOND_MS) + SECOND_MS

    return [again()]


def restless_token(run: Run, user: User, start_ms: int) -> Timelines:
    """A television with a wrong clock renews its token every few minutes while somebody watches."""
    seat = Seat(run, user, user.devices[0])
    length = int(between(run, 40, 110))

    def renewals() -> Iterator[Step]:
        t = start_ms + MINUTE_MS
        while t < start_ms + length * MINUTE_MS:
            yield event(run, seat, "TOKEN_REFRESH", t)
            t += int(between(run, 2, 6) * MINUTE_MS)

    return [watch(run, seat, start_ms, length, login=False), renewals()]


def film_buyer(run: Run, user: User, start_ms: int) -> Timelines:
    """Buys a few films for the week; a payment or two is declined."""
    seat = Seat(run, user, user.devices[0])

    def purchases() -> Iterator[Step]:
        t = start_ms
        for _ in range(2 + int(run.rng.random() * 8)):
            error = "PAYMENT_DECLINED" if run.rng.random() < 0.2 else ""
            yield event(run, seat, "PURCHASE", t, any_title(run), error)
            t += int(run.rng.expovariate(1 / 60) * SECOND_MS) + 9 * SECOND_MS
        yield from watch(run, seat, t, between(run, 30, 110), login=False)

    return [purchases()]
