"""How people watch: the events of one evening on one device, as an iterator that never looks back."""
# ruff: noqa: PLR2004 - shares of a made-up audience are what this file is about; each is used once

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.lab.generator.catalogue import BASE_ERROR_RATE, ERROR_CODES
from pipeline.lab.generator.wire import encode
from pipeline.lab.generator.world import MINUTE_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from pipeline.lab.generator.catalogue import Title, Trouble
    from pipeline.lab.generator.marks import Mark
    from pipeline.lab.generator.seat import Run, Seat

# Event time, the event as JSON, and what it means for the labels.
Step = tuple[int, str, "Mark | None"]

_OTHER_TYPES = ("AD_IMPRESSION", "RATING", "trailer_end", "WATCHLIST_ADD")


def watch(
    run: Run,
    seat: Seat | Callable[[int], Seat],
    start_ms: int,
    minutes: float,
    *,
    login: bool = True,
    trouble: Trouble | None = None,
    beat_ms: int = MINUTE_MS,
) -> Iterator[Step]:
    """One sitting: perhaps a login, titles one after the other, perhaps a logout.

    At most 100 events an hour at the usual pace, and one stream at a time.

    Args:
        run: what the run shares.
        seat: on what; a function gives the seat at an instant, for those who move about meanwhile.
        start_ms: when it begins; every event is later or then.
        minutes: how long it lasts.
        login: whether account events may stand at its beginning and end.
        trouble: of the device, instead of the title's.
        beat_ms: time between heartbeats.
    """
    rnd = run.rng.random
    event = run.pen.event
    seat_at = seat if callable(seat) else lambda _t: seat
    t = start_ms
    end = start_ms + int(minutes * MINUTE_MS)
    pick = run.catalogue.pick if trouble is None else run.catalogue.healthy
    if login and rnd() < 0.3:
        yield t, event(seat_at(t).on(None), "LOGIN" if rnd() < 0.7 else "TOKEN_REFRESH", t), None
        t += 900 + int(rnd() * 8000)
    while True:
        title = pick(rnd())
        at_work = trouble if trouble is not None else title.trouble
        stop = min(end, t + title.minutes * MINUTE_MS)
        yield _played(run, seat_at(t), title, "PLAY", t, at_work)
        t = yield from _beats(run, seat_at, title, t, stop, at_work, beat_ms)
        if rnd() < 0.06:
            return  # Gone without a word: switched off, or out of reach.
        yield _played(run, seat_at(t), title, "STOP", t, at_work)
        t += 2000 + int(rnd() * 90_000)
        if t >= end:
            break
        if rnd() < 0.01:
            yield t, event(seat_at(t).on(title), "DOWNLOAD" if rnd() < 0.7 else "PURCHASE", t), None
            t += 1000
    if login and rnd() < 0.1:
        yield t, event(seat_at(t).on(None), "LOGOUT" if rnd() < 0.8 else "PROFILE_UPDATE", t), None


def _beats(
    run: Run,
    seat_at: Callable[[int], Seat],
    title: Title,
    t: int,
    stop_ms: int,
    trouble: Trouble | None,
    beat_ms: int,
) -> Generator[Step, None, int]:
    """The heartbeats of one title and what happens between them; returns when it stops."""
    rnd = run.rng.random
    while True:
        ahead = t + beat_ms - 250 + int(rnd() * 500)
        if ahead >= stop_ms:
            return max(t, stop_ms)
        habit = rnd()
        if habit < 0.07:
            aside = t + int(rnd() * 0.9 * beat_ms)
            if habit < 0.065:
                event_type = "SEEK" if habit < 0.035 else "BUFFERING" if habit < 0.05 else "PAUSE"
                yield _played(run, seat_at(aside), title, event_type, aside, trouble)
            else:
                other = _OTHER_TYPES[int(rnd() * len(_OTHER_TYPES))]
                yield aside, run.pen.event(seat_at(aside).on(title), other, aside), None
            if 0.05 <= habit < 0.065:
                ahead += int(rnd() * 8 * MINUTE_MS)
                if ahead >= stop_ms:
                    return stop_ms
                t = ahead
                yield _played(run, seat_at(t), title, "RESUME", t, trouble)
                continue
        t = ahead
        yield _played(run, seat_at(t), title, "HEARTBEAT", t, trouble)


def _played(run: Run, seat: Seat, title: Title, event_type: str, t_ms: int, trouble: Trouble | None) -> Step:
    """One playback event, which fails if its title's or device's trouble strikes it."""
    if trouble is None:
        rnd = run.rng.random
        if rnd() >= BASE_ERROR_RATE:
            return t_ms, run.pen.event(seat.on(title), event_type, t_ms), None
        code = ERROR_CODES[int(rnd() * len(ERROR_CODES))]
        return t_ms, _failed(run, seat, title, event_type, t_ms, code), None
    struck = trouble.strikes(t_ms)
    if struck is None:
        return t_ms, run.pen.event(seat.on(title), event_type, t_ms), trouble.working
    return t_ms, _failed(run, seat, title, event_type, t_ms, struck), trouble.failing


def _failed(run: Run, seat: Seat, title: Title, event_type: str, t_ms: int, code: str) -> str:
    # A heartbeat that fails comes as an ERROR event; what a person did keeps its type and carries the code.
    if event_type == "HEARTBEAT":
        event_type = "ERROR"
        if run.rng.random() < 0.1:
            return run.pen.event(seat.on(title), event_type, t_ms)
    return run.pen.event(seat.on(title), event_type, t_ms, f',"error_code":{encode(code)}')
