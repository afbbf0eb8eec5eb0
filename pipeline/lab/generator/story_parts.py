"""What the quiet stories are made of: a random length, a title, a device, one event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.lab.generator.population import Device, User
from pipeline.lab.generator.wire import CLIENTS

if TYPE_CHECKING:
    from pipeline.lab.generator.catalogue import Title
    from pipeline.lab.generator.seat import Run, Seat
    from pipeline.lab.generator.sessions import Step

SECOND_MS = 1000


def between(run: Run, lowest: float, highest: float) -> float:
    """A random number of a range."""
    return lowest + run.rng.random() * (highest - lowest)


def any_title(run: Run) -> Title:
    """A random title that plays well."""
    return run.catalogue.healthy(run.rng.random())


def strange_device(run: Run, kind: int) -> Device:
    """A device that the user does not own."""
    client = CLIENTS[kind % len(CLIENTS)]
    return Device(f"{client.name}-x{int(run.rng.random() * 0xFFFFFFFF):08x}", client)


def home_device(user: User, number: int) -> Device:
    """A further device of the user's home; the same number gives the same one."""
    client = CLIENTS[number % len(CLIENTS)]
    return Device(f"{client.name}-{user.index:07x}-h{number}", client)


def event(run: Run, seat: Seat, kind: str, t: int, title: Title | None = None, error: str = "") -> Step:
    """One event; an error is its error code."""
    extra = f',"error_code":"{error}"' if error else ""
    return t, run.pen.event(seat.on(title), kind, t, extra), None
