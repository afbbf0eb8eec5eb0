"""Misuse and harmless habits that a model's parameters are chosen with.

No model is trained on them, so they show whether a choice also finds what training did not contain. The figures of
docs/models.md are not taken on them, because the choices were made in their view. For that there is `stories_unseen`.
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


def card_tester(run: Run, user: User, start_ms: int) -> Timelines:
    """Stolen payment cards are tried with purchases, most of which are refused."""
    seat = Seat(run, user, user.devices[0])

    def purchases() -> Iterator[Step]:
        t = start_ms
        yield event(run, seat, "LOGIN", t)
        for n in range(26):
            t += int(between(run, 60, 220) * SECOND_MS)
            error = "" if n % 9 == 8 else "PAYMENT_DECLINED"
            yield event(run, seat, "PURCHASE", t, any_title(run), error)
            if n % 4 == 0:
                t += 8 * SECOND_MS
                yield event(run, seat, "PROFILE_UPDATE", t)

    return [purchases()]


def download_hoarder(run: Run, user: User, start_ms: int) -> Timelines:
    """Downloads the catalogue for offline copies, a title every minute or two."""
    seat = Seat(run, user, user.devices[0])

    def downloads() -> Iterator[Step]:
        t = start_ms
        for _ in range(60):
            yield event(run, seat, "DOWNLOAD", t, any_title(run))
            t += int(between(run, 50, 110) * SECOND_MS)

    return [downloads()]


def view_farm(run: Run, user: User, start_ms: int) -> Timelines:
    """Earns royalties by starting one title over and over, for just over half a minute each time."""
    seat = Seat(run, user, user.devices[0])
    title = any_title(run)

    def views() -> Iterator[Step]:
        t = start_ms
        for _ in range(150):
            yield event(run, seat, "PLAY", t, title)
            t += int(between(run, 31, 34) * SECOND_MS)
            yield event(run, seat, "STOP", t, title)
            t += int(between(run, 2, 6) * SECOND_MS)

    return [views()]


def stolen_token(run: Run, user: User, start_ms: int) -> Timelines:
    """A copied session token is renewed from two rented machines while its owner watches at home."""
    thieves = [Seat(run, user, strange_device(run, n), run.addresses.fresh()) for n in range(2)]

    def renewals() -> Iterator[Step]:
        t = start_ms + 3 * MINUTE_MS
        for n in range(50):
            yield event(run, thieves[n % 2], "TOKEN_REFRESH", t)
            t += int(between(run, 110, 160) * SECOND_MS)

    return [watch(run, Seat(run, user, user.devices[0]), start_ms, 110, login=False), renewals()]


def two_homes(run: Run, user: User, start_ms: int) -> Timelines:
    """Two homes of one country share a password, each with two screens that take turns by minutes."""
    homes = (user.address, run.addresses.fresh())
    seats = [Seat(run, user, home_device(user, n), homes[n % 2]) for n in range(4)]

    def turns() -> Iterator[Step]:
        t = start_ms
        for n in range(28):
            seat, title = seats[n % 4], any_title(run)
            yield event(run, seat, "PLAY", t, title)
            for _ in range(2):
                t += int(between(run, 45, 60) * SECOND_MS)
                yield event(run, seat, "HEARTBEAT", t, title)
            t += 12 * SECOND_MS
            yield event(run, seat, "STOP", t, title)
            t += int(between(run, 4, 20) * SECOND_MS)

    return [turns()]


# Harmless habits.


def trailer_evening(run: Run, user: User, start_ms: int) -> Timelines:
    """Watches trailers and music videos of three or four minutes each."""
    seat = Seat(run, user, user.devices[0])

    def clips() -> Iterator[Step]:
        t = start_ms
        for _ in range(14 + int(run.rng.random() * 8)):
            title = any_title(run)
            yield event(run, seat, "PLAY", t, title)
            for _ in range(3):
                t += int(between(run, 55, 65) * SECOND_MS)
                yield event(run, seat, "HEARTBEAT", t, title)
            yield event(run, seat, "STOP", t + 2000, title)
            t += int(between(run, 6, 25) * SECOND_MS)

    return [clips()]


def weak_signal(run: Run, user: User, start_ms: int) -> Timelines:
    """A tablet at the end of the garden: it buffers often and changes between two networks."""
    seats = [Seat(run, user, user.devices[0]), Seat(run, user, user.devices[0], run.addresses.fresh())]

    def struggles() -> Iterator[Step]:
        t, title = start_ms, any_title(run)
        yield event(run, seats[0], "PLAY", t, title)
        for _ in range(45):
            seat = seats[run.rng.random() < 0.25]
            t += int(between(run, 50, 65) * SECOND_MS)
            yield event(run, seat, "HEARTBEAT", t, title)
            if run.rng.random() < 0.4:
                t += int(between(run, 2, 30) * SECOND_MS)
                yield event(run, seat, "BUFFERING", t, title)
        yield event(run, seats[0], "STOP", t + 5000, title)

    return [struggles()]


def new_television(run: Run, user: User, start_ms: int) -> Timelines:
    """Sets up a new set: logs in, mistypes once or twice, changes the profile, downloads, and watches."""
    seat = Seat(run, user, home_device(user, 0))

    def set_up() -> Iterator[Step]:
        t = start_ms
        kinds = ["LOGIN_FAILED"] * (1 + int(run.rng.random() * 2)) + ["LOGIN", "PROFILE_UPDATE"]
        kinds += ["TOKEN_REFRESH", "PROFILE_UPDATE"]
        for kind in kinds:
            yield event(run, seat, kind, t)
            t += int(between(run, 10, 50) * SECOND_MS)
        for _ in range(int(run.rng.random() * 4)):
            yield event(run, seat, "DOWNLOAD", t, any_title(run))
            t += int(between(run, 5, 20) * SECOND_MS)
        yield from watch(run, seat, t, between(run, 25, 60), login=False)

    return [set_up()]


def sports_fan(run: Run, user: User, start_ms: int) -> Timelines:
    """Pauses and rewinds a match again and again, whenever something happens."""
    seat = Seat(run, user, user.devices[0])

    def match() -> Iterator[Step]:
        t, title = start_ms, any_title(run)
        yield event(run, seat, "PLAY", t, title)
        for _ in range(70):
            t += int(run.rng.expovariate(1 / 45) * SECOND_MS) + 3 * SECOND_MS
            luck = run.rng.random()
            kind = "SEEK" if luck < 0.35 else "PAUSE" if luck < 0.45 else "HEARTBEAT"
            yield event(run, seat, kind, t, title)
            if kind == "PAUSE":
                t += int(between(run, 10, 240) * SECOND_MS)
                yield event(run, seat, "RESUME", t, title)
        yield event(run, seat, "STOP", t + 5000, title)

    return [match()]
