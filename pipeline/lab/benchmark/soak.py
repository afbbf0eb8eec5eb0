"""Memory and lag of a worker that gets events at an even rate for a long time.

Memory is measured every few seconds. The first fifth of the time is the warm-up, in which caches fill. After it the
trend of the memory (least squares) and its highest value tell whether it is bounded.
"""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass
from statistics import linear_regression
from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import MissingError
from pipeline.kafka.topics import RAW_EVENTS
from pipeline.lab.benchmark.clients import Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pipeline.lab.benchmark.running import Running

_LOOK_EVERY_S: Final = 5.0
_SAY_EVERY_S: Final = 60.0
_WARM_UP_SHARE: Final = 5
_MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Soak:
    """One run.

    Attributes:
        minutes: its length.
        events: the events that were sent. At its end all of them are judged, duplicates or failed events.
        events_per_s: the real rate.
        warm_mb: resident memory at the end of the warm-up, in MiB.
        end_mb: at the end.
        highest_mb: the highest value after the warm-up.
        trend_mb_per_hour: of the memory after the warm-up, by least squares.
        settled_s: from the last event sent until all were accounted for.
    """

    minutes: float
    events: int
    events_per_s: float
    warm_mb: float
    end_mb: float
    highest_mb: float
    trend_mb_per_hour: float
    settled_s: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def measure_soak(
    running: Running,
    records: Iterable[tuple[bytes, bytes]],
    events: int,
    per_second: float,
    say: Callable[[str], None],
) -> Soak:
    """Send records at a rate and measure the worker's memory.

    Args:
        running: the worker; its topics are new and empty.
        records: keys and values.
        events: how many there are.
        per_second: the rate.
        say: gets a message every minute.

    Raises:
        MissingError: it ended, or makes no progress.
    """
    running.wait_until(lambda sample: sample.accounts is not None, "its start")
    sender = Sender(running.settings, running.settings.topic(RAW_EVENTS.name))
    sent: list[float] = []
    failure: list[MissingError] = []

    def send() -> None:
        try:
            sent.append(sender.send_paced(records, per_second)[1])
        except MissingError as error:
            failure.append(error)

    sending = threading.Thread(target=send, name="soak", daemon=True)
    began = said = time.monotonic()
    looks: list[tuple[float, float]] = []
    sending.start()
    while sending.is_alive():
        sending.join(_LOOK_EVERY_S)
        now = time.monotonic()
        looks.append((now - began, running.memory_bytes() / _MEBIBYTE))
        if now - said >= _SAY_EVERY_S:
            said = now
            say(
                f"minute {(now - began) / 60:.0f}: {looks[-1][1]:,.0f} MB, "
                f"{running.look().read:,} of {events:,} events accounted for"
            )
    if failure:
        raise failure[0]
    ended = time.monotonic()
    running.wait_until(lambda sample: sample.read >= events, f"{events} records to be judged")
    settled = time.monotonic() - ended
    looks.append((time.monotonic() - began, running.memory_bytes() / _MEBIBYTE))
    after = looks[len(looks) // _WARM_UP_SHARE :]
    times, memory = [at for at, _ in after], [held for _, held in after]
    trend = linear_regression(times, memory).slope * 3600 if len(after) > 1 else 0.0
    return Soak(
        minutes=round((ended - began) / 60, 1),
        events=events,
        events_per_s=round(sent[0]),
        warm_mb=round(memory[0], 1),
        end_mb=round(memory[-1], 1),
        highest_mb=round(max(memory), 1),
        trend_mb_per_hour=round(trend, 1),
        settled_s=round(settled, 1),
    )


def soak_lines(soak: Soak) -> list[str]:
    """One line for each figure."""
    rows = (
        ("minutes", f"{soak.minutes:,}"),
        ("events", f"{soak.events:,}"),
        ("events/s", f"{soak.events_per_s:,}"),
        ("memory after the warm-up, MB", f"{soak.warm_mb:,}"),
        ("    highest since", f"{soak.highest_mb:,}"),
        ("    at the end", f"{soak.end_mb:,}"),
        ("    trend, MB an hour", f"{soak.trend_mb_per_hour:,}"),
        ("last event to all settled, s", f"{soak.settled_s:,}"),
    )
    return [f"{label:32}{value:>14}" for label, value in rows]
