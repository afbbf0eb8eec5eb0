"""Misuse and harmless habits for the figures of docs/models.md, which no model is trained or tuned with.

They stand for the misuse that nobody has thought of yet. Whoever chooses anything of a model with a look at them
replaces them by new ones. Most values of the misuse are ordinary ones; odd is that they come together, in
this order or at this pace. Each harmless habit resembles the misuse of the same place in the file.
"""
# ruff: noqa: PLR2004 - the numbers of made-up stories; each is used once

from __future__ import annotations

from typing import TYPE_CHECKING

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
from pipeline.lab.generator.world import MINUTE_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.lab.generator.population import User
    from pipeline.lab.generator.stories_account import Timelines


def account_takeover(run: Run, user: User, start_ms: int) -> Timelines:
    """A thief logs in from elsewhere while the owner watches, changes the contact address and buys gift cards."""
    thief = Seat(run, user, strange_device(run, user.index), run.addresses.fresh())

    def theft() -> Iterator[Step]:
        t = start_ms + int(between(run, 2, 6) * MINUTE_MS)
        kinds = [
            "LOGIN",
            "PROFILE_UPDATE",
            "TOKEN_REFRESH",
            "PURCHASE",
            "PURCHASE",
            "PROFILE_UPDATE",
            "LOGOUT",
        ]
        if run.rng.random() < 0.5:
            kinds.insert(0, "LOGIN_FAILED")
        for kind in kinds:
            yield event(run, thief, kind, t, any_title(run) if kind == "PURCHASE" else None)
            t += int(between(run, 20, 150) * SECOND_MS)

    owner = watch(run, Seat(run, user, user.devices[0]), start_ms, between(run, 45, 60), login=False)
    return [owner, theft()]


def pooled_plan(run: Run, user: User, start_ms: int) -> Timelines:
    """Three strangers share the price of a plan; each watches at home on an own device."""
    timelines = []
    for number in range(3):
        address = user.address if number == 0 else run.addresses.fresh()
        starts = start_ms + (int(between(run, 1, 12) * MINUTE_MS) if number else 0)
        seat = Seat(run, user, home_device(user, number), address)
        timelines.append(watch(run, seat, starts, between(run, 60, 120)))
    return timelines


def buy_and_copy(run: Run, user: User, start_ms: int) -> Timelines:
    """Buys a film, downloads it, and tests the copy at some places; a new film three times in an hour."""
    seat = Seat(run, user, user.devices[0])

    def films() -> Iterator[Step]:
        t = start_ms
        for _ in range(6):
            title = any_title(run)
            yield event(run, seat, "PURCHASE", t, title)
            t += int(between(run, 10, 25) * SECOND_MS)
            yield event(run, seat, "DOWNLOAD", t, title)
            t += int(between(run, 4, 7) * MINUTE_MS)
            yield event(run, seat, "PLAY", t, title)
            for _ in range(5):
                t += int(between(run, 50, 70) * SECOND_MS)
                yield event(run, seat, "HEARTBEAT", t, title)
                t += int(between(run, 20, 40) * SECOND_MS)
                yield event(run, seat, "SEEK", t, title)
            t += int(between(run, 30, 60) * SECOND_MS)
            yield event(run, seat, "STOP", t, title)
            t += int(between(run, 4, 7) * MINUTE_MS)

    return [films()]


def rating_mill(run: Run, user: User, start_ms: int) -> Timelines:
    """Rates titles for money: a look of a good minute at each, a rating, and the next."""
    seat = Seat(run, user, user.devices[0])

    def ratings() -> Iterator[Step]:
        t = start_ms
        for _ in range(45):
            title = any_title(run)
            yield event(run, seat, "PLAY", t, title)
            t += int(between(run, 59, 61) * SECOND_MS)
            yield event(run, seat, "HEARTBEAT", t, title)
            t += int(between(run, 18, 26) * SECOND_MS)
            yield event(run, seat, "RATING", t, title)
            t += 3 * SECOND_MS
            yield event(run, seat, "STOP", t, title)
            t += int(between(run, 90, 140) * SECOND_MS)

    return [ratings()]


def cloned_box(run: Run, user: User, start_ms: int) -> Timelines:
    """A copied set-top box has the owner's device id and plays a few minutes elsewhere, again and again."""
    box = user.devices[0]
    copy = Seat(run, user, box, run.addresses.fresh())
    timelines = [watch(run, Seat(run, user, box), start_ms, between(run, 70, 110), login=False)]
    for number in range(3):
        starts = start_ms + int((3 + 30 * number + between(run, 0, 6)) * MINUTE_MS)
        timelines.append(watch(run, copy, starts, between(run, 4, 6), login=False))
    return timelines


def paid_views(run: Run, user: User, start_ms: int) -> Timelines:
    """A program earns royalties without hurry: title after title is played for the same six minutes, for hours."""
    seat = Seat(run, user, user.devices[0])

    def views() -> Iterator[Step]:
        t = start_ms
        for _ in range(40):
            title = any_title(run)
            yield event(run, seat, "PLAY", t, title)
            for _ in range(6):
                t += int(between(run, 59.9, 60.1) * SECOND_MS)
                yield event(run, seat, "HEARTBEAT", t, title)
            t += 10 * SECOND_MS
            yield event(run, seat, "STOP", t, title)
            t += int(between(run, 4, 6) * SECOND_MS)

    return [views()]


# Harmless habits.


def new_phone(run: Run, user: User, start_ms: int) -> Timelines:
    """Sets up a new phone on a mobile network while the television plays: logs in and downloads something."""
    phone = Seat(run, user, home_device(user, 4), run.addresses.fresh())

    def set_up() -> Iterator[Step]:
        t = start_ms + int(between(run, 2, 6) * MINUTE_MS)
        kinds = ["LOGIN", "TOKEN_REFRESH", "DOWNLOAD"]
        if run.rng.random() < 0.5:
            kinds.insert(0, "LOGIN_FAILED")
        if run.rng.random() < 0.3:
            kinds.append("PROFILE_UPDATE")
        for kind in kinds:
            yield event(run, phone, kind, t, any_title(run) if kind == "DOWNLOAD" else None)
            t += int(between(run, 20, 150) * SECOND_MS)

    return [
        watch(run, Seat(run, user, user.devices[0]), start_ms, between(run, 45, 60), login=False),
        set_up(),
    ]


def student_away(run: Run, user: User, start_ms: int) -> Timelines:
    """The parents watch at home, and the daughter where she studies."""
    away = Seat(run, user, home_device(user, 1), run.addresses.fresh())
    starts = start_ms + int(between(run, 1, 12) * MINUTE_MS)
    parents = watch(run, Seat(run, user, home_device(user, 0)), start_ms, between(run, 60, 120))
    return [parents, watch(run, away, starts, between(run, 40, 90))]


def film_night(run: Run, user: User, start_ms: int) -> Timelines:
    """Buys a film, downloads it, seeks for the place where it was left, and watches it to its end."""
    seat = Seat(run, user, user.devices[0])

    def night() -> Iterator[Step]:
        t, title = start_ms, any_title(run)
        yield event(run, seat, "PURCHASE", t, title)
        t += int(between(run, 10, 90) * SECOND_MS)
        yield event(run, seat, "DOWNLOAD", t, title)
        t += int(between(run, 1, 9) * MINUTE_MS)
        yield event(run, seat, "PLAY", t, title)
        for _ in range(3 + int(run.rng.random() * 6)):
            t += int(run.rng.expovariate(1 / 20) * SECOND_MS) + 2 * SECOND_MS
            yield event(run, seat, "SEEK", t, title)
        for _ in range(60 + int(run.rng.random() * 40)):
            t += int(between(run, 58, 62) * SECOND_MS)
            yield event(run, seat, "HEARTBEAT", t, title)
        yield event(run, seat, "STOP", t + 5 * SECOND_MS, title)

    return [night()]


def choosers(run: Run, user: User, start_ms: int) -> Timelines:
    """Two people cannot agree: they look a minute at one title after the other, rate some, and then watch one."""
    seat = Seat(run, user, user.devices[0])

    def looks() -> Iterator[Step]:
        t = start_ms
        for _ in range(5 + int(run.rng.random() * 7)):
            title = any_title(run)
            yield event(run, seat, "PLAY", t, title)
            t += int(between(run, 40, 62) * SECOND_MS)
            if run.rng.random() < 0.6:
                yield event(run, seat, "HEARTBEAT", t, title)
            if run.rng.random() < 0.3:
                t += int(between(run, 3, 40) * SECOND_MS)
                yield event(run, seat, "RATING" if run.rng.random() < 0.5 else "WATCHLIST_ADD", t, title)
            t += int(between(run, 2, 20) * SECOND_MS)
            yield event(run, seat, "STOP", t, title)
            t += int(run.rng.expovariate(1 / 30) * SECOND_MS) + 2 * SECOND_MS
        yield from watch(run, seat, t, between(run, 40, 80), login=False)

    return [looks()]


def two_connections(run: Run, user: User, start_ms: int) -> Timelines:
    """The line at home fails for minutes, and the television goes on over the mobile network meanwhile."""
    home, mobile = Seat(run, user, user.devices[0]), Seat(run, user, user.devices[0], run.addresses.fresh())
    current, until = mobile, start_ms

    def seat_at(t_ms: int) -> Seat:
        nonlocal current, until
        if t_ms >= until:
            current = home if current is mobile else mobile
            until = t_ms + int((between(run, 4, 14) if current is home else between(run, 1, 5)) * MINUTE_MS)
        return current

    return [watch(run, seat_at, start_ms, between(run, 60, 110), login=False)]


def short_stories(run: Run, user: User, start_ms: int) -> Timelines:
    """A parent plays short stories at bedtime, one after the other, and stops some of them in between."""
    seat = Seat(run, user, user.devices[0])

    def stories() -> Iterator[Step]:
        t = start_ms
        for _ in range(4 + int(run.rng.random() * 5)):
            title = any_title(run)
            yield event(run, seat, "PLAY", t, title)
            for _ in range(5 + int(run.rng.random() * 5)):
                t += int(between(run, 58, 62) * SECOND_MS)
                yield event(run, seat, "HEARTBEAT", t, title)
                if run.rng.random() < 0.08:
                    t += 8 * SECOND_MS
                    yield event(run, seat, "PAUSE", t, title)
                    t += int(between(run, 10, 120) * SECOND_MS)
                    yield event(run, seat, "RESUME", t, title)
            t += int(between(run, 5, 50) * SECOND_MS)
            yield event(run, seat, "STOP", t, title)
            t += int(between(run, 4, 60) * SECOND_MS)

    return [stories()]
