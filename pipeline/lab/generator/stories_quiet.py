"""Misuse that stays below every threshold, and the harmless habits that resemble it.

No rule of the rule set fires on the misuse: it keeps to fewer events, networks, regions, streams and failures than
a rule allows. These stories are the data that an anomaly model is trained and measured with. Each story
takes the run, its user and a start, and returns the timelines of its devices, as in `stories_account`.

The stories in the second half of the file are kept for evaluation. Nobody may train or tune a model with
them: they stand for the misuse that nobody has thought of yet.
"""
# ruff: noqa: PLR2004 - the numbers of made-up stories; each is used once

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.lab.generator.population import Device, User
from pipeline.lab.generator.seat import Run, Seat
from pipeline.lab.generator.sessions import Step, watch
from pipeline.lab.generator.wire import CLIENTS
from pipeline.lab.generator.world import MINUTE_MS, PLACES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.lab.generator.catalogue import Title
    from pipeline.lab.generator.stories_account import Timelines

_SECOND_MS = 1000


def _between(run: Run, lowest: float, highest: float) -> float:
    return lowest + run.rng.random() * (highest - lowest)


def _title(run: Run) -> Title:
    return run.catalogue.healthy(run.rng.random())


def _stranger(run: Run, kind: int) -> Device:
    client = CLIENTS[kind % len(CLIENTS)]
    return Device(f"{client.name}-x{int(run.rng.random() * 0xFFFFFFFF):08x}", client)


def _event(run: Run, seat: Seat, kind: str, t: int, title: Title | None = None, error: str = "") -> Step:
    extra = f',"error_code":"{error}"' if error else ""
    return t, run.pen.event(seat.on(title), kind, t, extra), None


# Misuse that a model may be trained with.


def slow_stuffing(run: Run, user: User, start_ms: int) -> Timelines:
    """Stolen passwords are tried at a pace of four in an hour, each from a machine of its own.

    The owner watches meanwhile and notices nothing.
    """

    def attempts() -> Iterator[Step]:
        t = start_ms + int(_between(run, 4, 9) * MINUTE_MS)
        for n in range(12):
            seat = Seat(run, user, _stranger(run, n), run.addresses.fresh())
            yield _event(run, seat, "LOGIN_FAILED", t)
            t += int(_between(run, 15.5, 19) * MINUTE_MS)

    owner = watch(run, Seat(run, user, user.devices[0]), start_ms, 200, login=False)
    return [owner, attempts()]


def rented_by_the_hour(run: Run, user: User, start_ms: int) -> Timelines:
    """An account is rented out: every quarter of an hour another tenant logs in from another home."""

    def tenants() -> Iterator[Step]:
        t = start_ms
        for n in range(9):
            seat = Seat(run, user, _stranger(run, n), run.addresses.fresh())
            leaves = t + int(_between(run, 15.5, 19) * MINUTE_MS)
            yield _event(run, seat, "LOGIN", t)
            title = _title(run)
            t += 9 * _SECOND_MS
            yield _event(run, seat, "PLAY", t, title)
            while (t := t + int(_between(run, 58, 62) * _SECOND_MS)) < leaves - 90 * _SECOND_MS:
                yield _event(run, seat, "HEARTBEAT", t, title)
            yield _event(run, seat, "STOP", t, title)
            t += 5 * _SECOND_MS
            yield _event(run, seat, "LOGOUT", t)
            t += int(_between(run, 20, 70) * _SECOND_MS)

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
            yield _event(run, seat, "PLAY", t, title)
            t += int(_between(run, 8, 14) * _SECOND_MS)
            yield _event(run, seat, "STOP", t, title)
            t += int(_between(run, 14, 24) * _SECOND_MS)

    return [walk()]


def stream_ripper(run: Run, user: User, start_ms: int) -> Timelines:
    """A recorder fetches a film piece by piece: it seeks ahead every 15 to 20 seconds, as exactly as a clock."""
    seat = Seat(run, user, user.devices[0])
    pace = int(_between(run, 15, 20) * _SECOND_MS)

    def pieces() -> Iterator[Step]:
        t = start_ms
        for _ in range(2):
            title = _title(run)
            yield _event(run, seat, "PLAY", t, title)
            for _ in range(110):
                t += pace + int(run.rng.random() * 400)
                yield _event(run, seat, "SEEK", t, title)
            t += pace
            yield _event(run, seat, "STOP", t, title)
            t += 20 * _SECOND_MS

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
            yield _event(run, seat, "LOGIN", t)
            title = _title(run)
            t += 4 * _SECOND_MS
            yield _event(run, seat, "PLAY", t, title)
            for _ in range(2):
                t += int(_between(run, 30, 50) * _SECOND_MS)
                yield _event(run, seat, "HEARTBEAT", t, title)
            t += 20 * _SECOND_MS
            yield _event(run, seat, "STOP", t, title)
            t += 2 * _SECOND_MS
            yield _event(run, seat, "LOGOUT", t)
            t += int(_between(run, 4, 7) * MINUTE_MS)

    return [turns()]


# Harmless habits that resemble them.


def marathon(run: Run, user: User, start_ms: int) -> Timelines:
    """A whole season in one sitting."""
    return [watch(run, Seat(run, user, user.devices[0]), start_ms, _between(run, 240, 420))]


def big_household(run: Run, user: User, start_ms: int) -> Timelines:
    """Five people of one home watch on five devices, which their plan allows."""
    devices = [*user.devices, *(_home_device(user, n) for n in range(5 - len(user.devices)))]
    first, *others = [Seat(run, user, device) for device in devices]
    timelines = [watch(run, first, start_ms, _between(run, 50, 110))]
    for seat in others:
        starts = start_ms + int(_between(run, 1, 25) * MINUTE_MS)
        timelines.append(watch(run, seat, starts, _between(run, 30, 90)))
    return timelines


def _home_device(user: User, number: int) -> Device:
    client = CLIENTS[number % len(CLIENTS)]
    return Device(f"{client.name}-{user.index:07x}-h{number}", client)


def night_worker(run: Run, user: User, start_ms: int) -> Timelines:
    """Comes home from a shift and watches in the middle of the night."""
    nights = [place for place in PLACES if place.local_hour(start_ms) in {1, 2, 3, 4} and place.code != "ZZ"]
    night = nights[user.index % len(nights)] if nights else user.home
    return [watch(run, Seat(run, user.moved(night), user.devices[0]), start_ms, _between(run, 60, 150))]


def zapper(run: Run, user: User, start_ms: int) -> Timelines:
    """Looks into one title after the other for a while, and then stays with one."""
    seat = Seat(run, user, user.devices[0])

    def zaps() -> Iterator[Step]:
        t = start_ms
        for _ in range(12 + int(run.rng.random() * 26)):
            title = _title(run)
            yield _event(run, seat, "PLAY", t, title)
            t += int(min(run.rng.expovariate(1 / 25), 150) * _SECOND_MS) + 2 * _SECOND_MS
            yield _event(run, seat, "STOP", t, title)
            t += int(_between(run, 2, 20) * _SECOND_MS)
        yield from watch(run, seat, t, _between(run, 30, 60), login=False)

    return [zaps()]


def cgnat(run: Run, user: User, start_ms: int) -> Timelines:
    """A telephone company gives the same phone another public address every 16 to 20 minutes."""
    current: Seat | None = None
    until = start_ms

    def seat_at(t_ms: int) -> Seat:
        nonlocal current, until
        if current is None or t_ms >= until:
            current = Seat(run, user, user.devices[0], run.addresses.fresh())
            until = t_ms + int(_between(run, 16, 20) * MINUTE_MS)
        return current

    return [watch(run, seat_at, start_ms, _between(run, 50, 120))]


def child_with_a_remote(run: Run, user: User, start_ms: int) -> Timelines:
    """A child presses whatever there is: bursts of pauses, seeks and starts, then quiet."""
    seat = Seat(run, user, user.devices[0])

    def presses() -> Iterator[Step]:
        t = start_ms
        for _ in range(4 + int(run.rng.random() * 3)):
            title = _title(run)
            yield _event(run, seat, "PLAY", t, title)
            for _ in range(8 + int(run.rng.random() * 14)):
                t += int(run.rng.expovariate(1 / 4) * _SECOND_MS) + 400
                kind = ("PAUSE", "RESUME", "SEEK", "SEEK", "BUFFERING")[int(run.rng.random() * 5)]
                yield _event(run, seat, kind, t, title)
            for _ in range(3 + int(run.rng.random() * 6)):
                t += int(_between(run, 58, 62) * _SECOND_MS)
                yield _event(run, seat, "HEARTBEAT", t, title)
            t += 9 * _SECOND_MS
            yield _event(run, seat, "STOP", t, title)
            t += int(_between(run, 3, 30) * _SECOND_MS)

    return [presses()]


def packer(run: Run, user: User, start_ms: int) -> Timelines:
    """Fills a tablet before a journey: many downloads in a quarter of an hour, then an evening as usual."""
    seat = Seat(run, user, user.devices[0])

    def downloads() -> Iterator[Step]:
        t = start_ms
        for _ in range(8 + int(run.rng.random() * 28)):
            yield _event(run, seat, "DOWNLOAD", t, _title(run))
            t += int(run.rng.expovariate(1 / 30) * _SECOND_MS) + 2 * _SECOND_MS
        yield from watch(run, seat, t, _between(run, 10, 50), login=False)

    return [downloads()]


def new_password(run: Run, user: User, start_ms: int) -> Timelines:
    """The password was changed: two or three devices of one home fail, log in, and go on."""
    seats = [Seat(run, user, device) for device in user.devices[:3]]

    def log_ins() -> Iterator[Step]:
        t, failures = start_ms, 0
        for seat in seats:
            for _ in range(1 + int(run.rng.random() * 2)):
                if failures < 5:
                    yield _event(run, seat, "LOGIN_FAILED", t)
                    failures += 1
                t += int(_between(run, 10, 90) * _SECOND_MS)
            yield _event(run, seat, "LOGIN", t)
            t += int(_between(run, 60, 400) * _SECOND_MS)
        yield _event(run, seats[0], "PROFILE_UPDATE", t)
        yield from watch(run, seats[-1], t + 5000, _between(run, 20, 70), login=False)

    return [log_ins()]


def favourite_clip(run: Run, user: User, start_ms: int) -> Timelines:
    """A small child wants the same clip again, and again."""
    seat = Seat(run, user, user.devices[0])
    title = _title(run)

    def again() -> Iterator[Step]:
        t = start_ms
        for _ in range(12 + int(run.rng.random() * 24)):
            yield _event(run, seat, "PLAY", t, title)
            t += int(_between(run, 40, 130) * _SECOND_MS)
            yield _event(run, seat, "STOP", t, title)
            t += int(run.rng.expovariate(1 / 20) * _SECOND_MS) + _SECOND_MS

    return [again()]


def restless_token(run: Run, user: User, start_ms: int) -> Timelines:
    """A television with a wrong clock renews its token every few minutes while somebody watches."""
    seat = Seat(run, user, user.devices[0])
    length = int(_between(run, 40, 110))

    def renewals() -> Iterator[Step]:
        t = start_ms + MINUTE_MS
        while t < start_ms + length * MINUTE_MS:
            yield _event(run, seat, "TOKEN_REFRESH", t)
            t += int(_between(run, 2, 6) * MINUTE_MS)

    return [watch(run, seat, start_ms, length, login=False), renewals()]


def film_buyer(run: Run, user: User, start_ms: int) -> Timelines:
    """Buys a few films for the week; a payment or two is declined."""
    seat = Seat(run, user, user.devices[0])

    def purchases() -> Iterator[Step]:
        t = start_ms
        for _ in range(2 + int(run.rng.random() * 8)):
            error = "PAYMENT_DECLINED" if run.rng.random() < 0.2 else ""
            yield _event(run, seat, "PURCHASE", t, _title(run), error)
            t += int(run.rng.expovariate(1 / 60) * _SECOND_MS) + 9 * _SECOND_MS
        yield from watch(run, seat, t, _between(run, 30, 110), login=False)

    return [purchases()]


# Kept for evaluation only: misuse that no model has been trained or tuned with.


def card_tester(run: Run, user: User, start_ms: int) -> Timelines:
    """Stolen payment cards are tried with purchases, most of which are refused."""
    seat = Seat(run, user, user.devices[0])

    def purchases() -> Iterator[Step]:
        t = start_ms
        yield _event(run, seat, "LOGIN", t)
        for n in range(26):
            t += int(_between(run, 60, 220) * _SECOND_MS)
            error = "" if n % 9 == 8 else "PAYMENT_DECLINED"
            yield _event(run, seat, "PURCHASE", t, _title(run), error)
            if n % 4 == 0:
                t += 8 * _SECOND_MS
                yield _event(run, seat, "PROFILE_UPDATE", t)

    return [purchases()]


def download_hoarder(run: Run, user: User, start_ms: int) -> Timelines:
    """Downloads the catalogue for offline copies, a title every minute or two."""
    seat = Seat(run, user, user.devices[0])

    def downloads() -> Iterator[Step]:
        t = start_ms
        for _ in range(60):
            yield _event(run, seat, "DOWNLOAD", t, _title(run))
            t += int(_between(run, 50, 110) * _SECOND_MS)

    return [downloads()]


def view_farm(run: Run, user: User, start_ms: int) -> Timelines:
    """Earns royalties by starting one title over and over, for just over half a minute each time."""
    seat = Seat(run, user, user.devices[0])
    title = _title(run)

    def views() -> Iterator[Step]:
        t = start_ms
        for _ in range(150):
            yield _event(run, seat, "PLAY", t, title)
            t += int(_between(run, 31, 34) * _SECOND_MS)
            yield _event(run, seat, "STOP", t, title)
            t += int(_between(run, 2, 6) * _SECOND_MS)

    return [views()]


def stolen_token(run: Run, user: User, start_ms: int) -> Timelines:
    """A copied session token is renewed from two rented machines while its owner watches at home."""
    thieves = [Seat(run, user, _stranger(run, n), run.addresses.fresh()) for n in range(2)]

    def renewals() -> Iterator[Step]:
        t = start_ms + 3 * MINUTE_MS
        for n in range(50):
            yield _event(run, thieves[n % 2], "TOKEN_REFRESH", t)
            t += int(_between(run, 110, 160) * _SECOND_MS)

    return [watch(run, Seat(run, user, user.devices[0]), start_ms, 110, login=False), renewals()]


def two_homes(run: Run, user: User, start_ms: int) -> Timelines:
    """Two homes of one country share a password, each with two screens that take turns by minutes."""
    homes = (user.address, run.addresses.fresh())
    seats = [Seat(run, user, _home_device(user, n), homes[n % 2]) for n in range(4)]

    def turns() -> Iterator[Step]:
        t = start_ms
        for n in range(28):
            seat, title = seats[n % 4], _title(run)
            yield _event(run, seat, "PLAY", t, title)
            for _ in range(2):
                t += int(_between(run, 45, 60) * _SECOND_MS)
                yield _event(run, seat, "HEARTBEAT", t, title)
            t += 12 * _SECOND_MS
            yield _event(run, seat, "STOP", t, title)
            t += int(_between(run, 4, 20) * _SECOND_MS)

    return [turns()]


# Kept for evaluation only: harmless habits.


def trailer_evening(run: Run, user: User, start_ms: int) -> Timelines:
    """Watches trailers and music videos of three or four minutes each."""
    seat = Seat(run, user, user.devices[0])

    def clips() -> Iterator[Step]:
        t = start_ms
        for _ in range(14 + int(run.rng.random() * 8)):
            title = _title(run)
            yield _event(run, seat, "PLAY", t, title)
            for _ in range(3):
                t += int(_between(run, 55, 65) * _SECOND_MS)
                yield _event(run, seat, "HEARTBEAT", t, title)
            yield _event(run, seat, "STOP", t + 2000, title)
            t += int(_between(run, 6, 25) * _SECOND_MS)

    return [clips()]


def weak_signal(run: Run, user: User, start_ms: int) -> Timelines:
    """A tablet at the end of the garden: it buffers often and changes between two networks."""
    seats = [Seat(run, user, user.devices[0]), Seat(run, user, user.devices[0], run.addresses.fresh())]

    def struggles() -> Iterator[Step]:
        t, title = start_ms, _title(run)
        yield _event(run, seats[0], "PLAY", t, title)
        for _ in range(45):
            seat = seats[run.rng.random() < 0.25]
            t += int(_between(run, 50, 65) * _SECOND_MS)
            yield _event(run, seat, "HEARTBEAT", t, title)
            if run.rng.random() < 0.4:
                t += int(_between(run, 2, 30) * _SECOND_MS)
                yield _event(run, seat, "BUFFERING", t, title)
        yield _event(run, seats[0], "STOP", t + 5000, title)

    return [struggles()]


def new_television(run: Run, user: User, start_ms: int) -> Timelines:
    """Sets up a new set: logs in, mistypes once or twice, changes the profile, downloads, and watches."""
    seat = Seat(run, user, _home_device(user, 0))

    def set_up() -> Iterator[Step]:
        t = start_ms
        kinds = ["LOGIN_FAILED"] * (1 + int(run.rng.random() * 2)) + ["LOGIN", "PROFILE_UPDATE"]
        kinds += ["TOKEN_REFRESH", "PROFILE_UPDATE"]
        for kind in kinds:
            yield _event(run, seat, kind, t)
            t += int(_between(run, 10, 50) * _SECOND_MS)
        for _ in range(int(run.rng.random() * 4)):
            yield _event(run, seat, "DOWNLOAD", t, _title(run))
            t += int(_between(run, 5, 20) * _SECOND_MS)
        yield from watch(run, seat, t, _between(run, 25, 60), login=False)

    return [set_up()]


def sports_fan(run: Run, user: User, start_ms: int) -> Timelines:
    """Pauses and rewinds a match again and again, whenever something happens."""
    seat = Seat(run, user, user.devices[0])

    def match() -> Iterator[Step]:
        t, title = start_ms, _title(run)
        yield _event(run, seat, "PLAY", t, title)
        for _ in range(70):
            t += int(run.rng.expovariate(1 / 45) * _SECOND_MS) + 3 * _SECOND_MS
            luck = run.rng.random()
            kind = "SEEK" if luck < 0.35 else "PAUSE" if luck < 0.45 else "HEARTBEAT"
            yield _event(run, seat, kind, t, title)
            if kind == "PAUSE":
                t += int(_between(run, 10, 240) * _SECOND_MS)
                yield _event(run, seat, "RESUME", t, title)
        yield _event(run, seat, "STOP", t + 5000, title)

    return [match()]
