"""Stories about accounts: shared ones, stolen ones, attacked ones, and people who travel.

Each story takes the run, its user and a start, and returns the timelines of its devices. The steps of a timeline are in
the order of their event times. The first step of the first timeline is at the start.
"""
# ruff: noqa: PLR2004 - numbers of made-up stories; those that meet a limit of the rules say so

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.lab.generator.catalogue import trouble
from pipeline.lab.generator.marks import Proof
from pipeline.lab.generator.population import Device, User, pick_for, reported_region
from pipeline.lab.generator.seat import Run, Seat
from pipeline.lab.generator.sessions import Step, watch
from pipeline.lab.generator.wire import CLIENTS
from pipeline.lab.generator.world import (
    BORDER_TOURS,
    COMMUTES,
    FAR_APART,
    HOUR_MS,
    JOURNEYS,
    MINUTE_MS,
    US_STATES,
    distance_km,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Timelines = list["Iterator[Step]"]

_SECOND_MS = 1000


def steady(
    run: Run,
    seat: Seat,
    start_ms: int,
    beats: int,
    beat_ms: int = MINUTE_MS,
    *,
    proof: Proof | None = None,
    stop: bool = True,
) -> Iterator[Step]:
    """PLAY, regular heartbeats, STOP. The proof is on the first event."""
    on = seat.on(run.catalogue.healthy(run.rng.random()))
    yield start_ms, run.pen.event(on, "PLAY", start_ms), proof
    t = start_ms
    for _ in range(beats):
        t += beat_ms
        yield t, run.pen.event(on, "HEARTBEAT", t), None
    if stop:
        t += 5 * _SECOND_MS
        yield t, run.pen.event(on, "STOP", t), None


def evening(run: Run, user: User, start_ms: int) -> Timelines:
    """One person watches for a while."""
    device = user.devices[int(run.rng.random() * len(user.devices))]
    return [watch(run, Seat(run, user, device), start_ms, _minutes(run))]


def household_evening(run: Run, user: User, start_ms: int) -> Timelines:
    """Two or three devices of one home at once: fewer than the plan allows, one address."""
    devices = user.devices[: min(len(user.devices), 3, user.streams)]
    starts = [start_ms + n * int(run.rng.random() * 12 * MINUTE_MS) for n in range(len(devices))]
    return [
        watch(run, Seat(run, user, device), start, _minutes(run))
        for device, start in zip(devices, starts, strict=True)
    ]


def on_the_move(run: Run, user: User, start_ms: int) -> Timelines:
    """A phone that changes its address every 16 to 25 minutes: at most five networks in an hour."""
    device = user.devices[0]
    current: Seat | None = None
    until = start_ms

    def seat_at(t_ms: int) -> Seat:
        nonlocal current, until
        if current is None or t_ms >= until:
            current = Seat(run, user, device, run.addresses.fresh())
            until = t_ms + 16 * MINUTE_MS + int(run.rng.random() * 9 * MINUTE_MS)
        return current

    return [watch(run, seat_at, start_ms, _minutes(run))]


def binge(run: Run, user: User, start_ms: int) -> Timelines:
    """Somebody who skips through a film all the time, and stays below 300 events an hour."""

    def skips() -> Iterator[Step]:
        on = Seat(run, user, user.devices[0]).on(run.catalogue.healthy(run.rng.random()))
        yield start_ms, run.pen.event(on, "PLAY", start_ms), None
        t = start_ms
        for n in range(120 + int(run.rng.random() * 100)):
            t += 8 * _SECOND_MS + int(run.rng.random() * 7 * _SECOND_MS)
            yield t, run.pen.event(on, "HEARTBEAT" if n % 6 == 5 else "SEEK", t), None
        yield t + 1, run.pen.event(on, "STOP", t + 1), None

    return [skips()]


def forgetful(run: Run, user: User, start_ms: int) -> Timelines:
    """A few wrong passwords (five at most), then the right one."""
    seat = Seat(run, user, user.devices[0])
    tries = 2 + int(run.rng.random() * 4)
    failures = _account(run, seat, start_ms, ["LOGIN_FAILED"] * tries + ["LOGIN"], 15 * _SECOND_MS)
    return [_chain(failures, steady(run, seat, start_ms + 3 * MINUTE_MS, 8))]


def token_storm(run: Run, user: User, start_ms: int) -> Timelines:
    """A television with an expired certificate that renews its token in vain: a nuisance, nobody's attack."""
    count = 22 + int(run.rng.random() * 12)
    seat = Seat(run, user, user.devices[0])
    storm = _account(run, seat, start_ms, ["TOKEN_REFRESH_FAILED"] * count, 30 * _SECOND_MS)
    return [proving(storm, {5: ("account.login_failures",)})]


def credential_stuffing(run: Run, user: User, start_ms: int) -> Timelines:
    """A burst of wrong passwords from rented machines; sometimes one is right."""
    rnd = run.rng.random
    attempts = 8 + int(rnd() * 34)
    addresses = [run.addresses.fresh() for _ in range(2 + int(rnd() * 10))]
    bots = [Device(f"bot-{int(rnd() * 0xFFFFFF):06x}", CLIENTS[0]) for _ in range(3)]
    seats = [Seat(run, user, bots[n % 3], address) for n, address in enumerate(addresses)]

    def burst() -> Iterator[Step]:
        t = start_ms
        for n in range(attempts):
            on = seats[n % len(seats)].on(None)
            # Six failures are one too many; so are six networks.
            rules = ("account.login_failures", "account.multi_ip")[: 2 if len(seats) > 5 else 1]
            yield t, run.pen.event(on, "LOGIN_FAILED", t), Proof(rules) if n == 5 else None
            t += 300 + int(rnd() * 6000)
        if rnd() < 0.25:
            yield t, run.pen.event(seats[0].on(None), "LOGIN", t), None
            yield from steady(run, seats[0], t + 2000, 4)

    return [burst()]


def shared_over_regions(run: Run, user: User, start_ms: int) -> Timelines:
    """A password that went round: one account in three to six regions at the same time."""
    places = [*FAR_APART, *US_STATES]
    run.rng.shuffle(places)
    timelines = []
    for n, code in enumerate(places[: 3 + int(run.rng.random() * 4)]):
        device = Device(f"tv-{user.index:07x}-s{n}", CLIENTS[n % 2])
        seat = Seat(run, user.moved(reported_region(code)), device, run.addresses.fresh())
        proof = Proof(("account.multi_region",)) if n == 2 else None
        timelines.append(steady(run, seat, start_ms + n * 90 * _SECOND_MS, 6, proof=proof))
    return timelines


def shared_over_networks(run: Run, user: User, start_ms: int) -> Timelines:
    """One account in one country that wanders through seven to thirteen homes, one after the other."""
    homes = 7 + int(run.rng.random() * 7)

    def rounds() -> Iterator[Step]:
        for n in range(homes):
            seat = Seat(run, user, user.devices[n % len(user.devices)], run.addresses.fresh())
            proof = Proof(("account.multi_ip",)) if n == 5 else None
            yield from steady(run, seat, start_ms + n * 3 * MINUTE_MS, 2, proof=proof)

    return [rounds()]


def shared_streams(run: Run, user: User, start_ms: int) -> Timelines:
    """More devices at once than the plan allows; every third time more than twice as many."""
    screens = user.streams + 1 if run.rng.random() < 0.67 else 2 * user.streams + 1
    timelines = []
    for n in range(screens):
        seat = Seat(run, user, Device(f"tv-{user.index:07x}-p{n}", CLIENTS[0]))
        proof = Proof(("account.concurrent_streams",)) if n == user.streams else None
        timelines.append(steady(run, seat, start_ms + n * 20 * _SECOND_MS, 10, proof=proof))
    return timelines


def impossible_travel(run: Run, user: User, start_ms: int) -> Timelines:
    """A stolen login: minutes after the owner another continent plays."""
    away = reported_region(_other(run, FAR_APART, user.home.code))
    thief = Device(f"pc-{int(run.rng.random() * 0xFFFFFF):06x}", CLIENTS[5])
    leaves = start_ms + 5 * MINUTE_MS
    seat = Seat(run, user.moved(away), thief, run.addresses.fresh())
    arrives = leaves + 5 * MINUTE_MS + int(run.rng.random() * 15 * MINUTE_MS)
    proof = Proof(("account.impossible_travel",))
    home = steady(run, Seat(run, user, user.devices[0]), start_ms, 4)
    return [_chain(home, steady(run, seat, arrives, 8, proof=proof))]


def vpn_toggle(run: Run, user: User, start_ms: int) -> Timelines:
    """The same picture without a crime: the owner switches a tunnel to another continent on and off."""
    exit_place = reported_region(_other(run, FAR_APART, user.home.code))
    device = user.devices[0]
    through = Seat(run, user.moved(exit_place), device, run.addresses.fresh())
    proof = Proof(("account.impossible_travel",))
    return [
        _chain(
            steady(run, Seat(run, user, device), start_ms, 4),
            steady(run, through, start_ms + 7 * MINUTE_MS, 8, proof=proof),
            steady(run, Seat(run, user, device), start_ms + 18 * MINUTE_MS, 4),
        )
    ]


def vpn_exits(run: Run, user: User, start_ms: int) -> Timelines:
    """A tunnel that hops between three to five exits of one country: as many networks as one may have."""
    exits = [run.addresses.fresh() for _ in range(3 + int(run.rng.random() * 3))]
    seats = [Seat(run, user, user.devices[0], address) for address in exits]
    return [_chain(*(steady(run, seat, start_ms + n * 8 * MINUTE_MS, 5) for n, seat in enumerate(seats)))]


def vpn_steady(run: Run, user: User, start_ms: int) -> Timelines:
    """Somebody from Europe behind an American exit, always: consent given, region odd."""
    seat = Seat(run, user, user.devices[0], run.addresses.fresh(), region="US")
    return [proving(watch(run, seat, start_ms, 20), {0: ("privacy.jurisdiction_mismatch",)})]


def traveller(run: Run, user: User, start_ms: int) -> Timelines:
    """Watches, flies at an airliner's pace with an hour at the airports, and watches again elsewhere."""
    there = reported_region(pick_for(user.index, JOURNEYS)[1])
    flight_h = distance_km(user.home, there) / 700 + 1
    lands = start_ms + 8 * MINUTE_MS + int(flight_h * HOUR_MS)
    seat = Seat(run, user.moved(there), user.devices[0], run.addresses.fresh())
    return [
        _chain(steady(run, Seat(run, user, user.devices[0]), start_ms, 6), steady(run, seat, lands, 8)),
    ]


def commuter(run: Run, user: User, start_ms: int) -> Timelines:
    """Crosses the border on the train: two regions next to each other within the hour."""
    there = reported_region(pick_for(user.index, COMMUTES)[1])
    seat = Seat(run, user.moved(there), user.devices[0], run.addresses.fresh())
    return [
        _chain(
            steady(run, Seat(run, user, user.devices[0], run.addresses.fresh()), start_ms, 6),
            steady(run, seat, start_ms + 18 * MINUTE_MS, 8),
        )
    ]


def border_tour(run: Run, user: User, start_ms: int) -> Timelines:
    """A lorry driver where countries are small: three or four of them within the hour, all in the EEA."""
    tour = pick_for(user.index, BORDER_TOURS)
    legs = []
    for n, code in enumerate(tour):
        seat = Seat(run, user.moved(reported_region(code)), user.devices[0], run.addresses.fresh())
        proof = Proof(("account.multi_region",)) if n == 2 else None
        legs.append(steady(run, seat, start_ms + n * 12 * MINUTE_MS, 5, proof=proof))
    return [_chain(*legs)]


def bot(run: Run, user: User, start_ms: int) -> Timelines:
    """A program that farms plays: over 300 events an hour, every fifth time over 1,000."""
    rapid = run.rng.random() < 0.2
    count, gap_ms = (1010, 2800) if rapid else (310, 7000)
    on = Seat(run, user, user.devices[0]).on(run.catalogue.healthy(run.rng.random()))

    def farm() -> Iterator[Step]:
        for n in range(count):
            t = start_ms + n * gap_ms
            yield t, run.pen.event(on, ("PLAY", "SEEK", "STOP")[n % 3], t), None

    return [proving(farm(), {300: ("account.high_frequency",)})]


def faulty_device(run: Run, user: User, start_ms: int) -> Timelines:
    """A television whose decoder dies: two of five playback events fail, whatever it plays."""
    return [_ailing(run, user, start_ms, "faulty_device", 0.4)]


def rough_device(run: Run, user: User, start_ms: int) -> Timelines:
    """A television with a bad cable: one event in twenty fails, which is below every limit."""
    return [_ailing(run, user, start_ms, "rough_device", 0.05)]


def _ailing(run: Run, user: User, start_ms: int, kind: str, rate: float) -> Iterator[Step]:
    device = user.devices[0]
    ailment = trouble("device", device.id, kind, rate, start_ms)
    return watch(run, Seat(run, user, device), start_ms, 25, login=False, trouble=ailment, beat_ms=25_000)


def proving(steps: Iterable[Step], proofs: dict[int, tuple[str, ...]]) -> Iterator[Step]:
    """The same steps, with proofs on some of them by their number from 0."""
    for n, (t, value, mark) in enumerate(steps):
        rules = proofs.get(n)
        yield t, value, mark if rules is None else Proof(rules)


def _account(run: Run, seat: Seat, start_ms: int, types: list[str], gap_ms: int) -> Iterator[Step]:
    on = seat.on(None)
    for n, event_type in enumerate(types):
        t = start_ms + n * gap_ms
        yield t, run.pen.event(on, event_type, t), None


def _chain(*legs: Iterator[Step]) -> Iterator[Step]:
    for leg in legs:
        yield from leg


def _minutes(run: Run) -> float:
    """Most sittings are an episode or two, some an evening; 30 minutes in the mean."""
    return 4 + min(run.rng.expovariate(1 / 26), 240)


def _other(run: Run, codes: tuple[str, ...], code: str) -> str:
    others = [other for other in codes if other != code]
    return others[int(run.rng.random() * len(others))]
