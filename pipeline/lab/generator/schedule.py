"""How many records are to have been sent by which simulated instant, and when that is on the clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import Protocol

from pipeline.lab.generator.world import HOUR_MS, MINUTE_MS, audience_load

# The live schedule works its history off in at most this many seconds of clock time.
_CATCH_UP_S = 60.0
_GRID_MS = 15 * MINUTE_MS
_LONGEST_STEP_MS = MINUTE_MS
_SHORTEST_STEP_MS = 1_000


class Schedule(Protocol):
    """The load over simulated time; all instants in milliseconds since 1970."""

    @property
    def start_ms(self) -> int:
        """First simulated instant."""

    @property
    def end_ms(self) -> int | None:
        """Last simulated instant, None = it goes on for ever."""

    @property
    def events(self) -> int | None:
        """Records in all, None = without end."""

    @property
    def step_ms(self) -> int:
        """Length of the slices in which the load is steered."""

    def target(self, t_ms: int) -> int:
        """Records that should have been sent before `t_ms`."""

    def clock_ms(self, arrival_ms: int) -> float | None:
        """The instant on the clock before which a record of this arrival is not sent; None = at once."""

    def is_history(self, t_ms: int) -> bool:
        """Whether `t_ms` belongs to the past that is told quickly before a live stretch."""


@dataclass(frozen=True, slots=True)
class PastSchedule:
    """A past stretch [start, end) that holds exactly `events` records, more in the evenings than at night.

    Attributes:
        start_ms: its beginning.
        end_ms: its end.
        events: records in it.
    """

    start_ms: int
    end_ms: int
    events: int
    _grid: tuple[float, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.end_ms <= self.start_ms:
            raise ValueError(f"a stretch from {self.start_ms} to {self.end_ms} has no length")
        cumulative = [0.0]
        for t in range(self.start_ms, self.end_ms, _GRID_MS):
            width = min(_GRID_MS, self.end_ms - t)
            cumulative.append(cumulative[-1] + width * audience_load(t + width // 2))
        object.__setattr__(self, "_grid", tuple(cumulative))

    @property
    def step_ms(self) -> int:
        """Wide enough that long quiet stretches stay cheap."""
        mean_gap = (self.end_ms - self.start_ms) // max(1, self.events)
        return min(_LONGEST_STEP_MS, max(_SHORTEST_STEP_MS, mean_gap))

    def target(self, t_ms: int) -> int:
        """Records before `t_ms`: all of them from the last slice that fits before the end."""
        if t_ms + self.step_ms > self.end_ms:
            return self.events
        cell, rest = divmod(max(0, t_ms - self.start_ms), _GRID_MS)
        below, above = self._grid[cell], self._grid[cell + 1]
        width = min(_GRID_MS, self.end_ms - self.start_ms - cell * _GRID_MS)
        return ceil(self.events * (below + (above - below) * rest / width) / self._grid[-1])

    def clock_ms(self, arrival_ms: int) -> float | None:  # noqa: ARG002 - part of the protocol
        """The past can be sent at any time."""
        return None

    def is_history(self, t_ms: int) -> bool:  # noqa: ARG002 - part of the protocol
        """All of it is simply the stretch that was asked for."""
        return False


@dataclass(frozen=True, slots=True)
class LiveSchedule:
    """A short history told fast, then the present: simulated time catches the clock up and follows it.

    Windows of an hour need an hour behind them. So the stretch starts `history_ms` before now and runs, at
    the same `rate` per second of the clock, faster than the clock until the two meet; then they are one.

    Attributes:
        now_ms: the clock when sending starts.
        rate: records per second of the clock.
        history_ms: how far back it starts.
        events: records in all, None = without end.
    """

    now_ms: int
    rate: float
    history_ms: int = HOUR_MS
    events: int | None = None

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise ValueError(f"a rate of {self.rate} does not follow the clock")

    @property
    def catch_up_ms(self) -> float:
        """How long the history takes on the clock; a short run leaves a third of itself for the present."""
        if self.history_ms == 0:
            return 0.0
        whole_s = _CATCH_UP_S if self.events is None else self.events / self.rate * 0.67
        return max(1.0, min(_CATCH_UP_S, whole_s) * 1000)

    @property
    def start_ms(self) -> int:
        """Where the history begins."""
        return self.now_ms - self.history_ms

    @property
    def end_ms(self) -> int | None:
        """It ends by its count, or never."""
        return None

    @property
    def step_ms(self) -> int:
        """A second: the present is not known any further ahead."""
        return _SHORTEST_STEP_MS

    @property
    def _meeting_ms(self) -> float:
        return self.now_ms + self.catch_up_ms

    def target(self, t_ms: int) -> int:
        """Records before `t_ms`, at the same rate on the clock in both parts."""
        clock = self.clock_ms(t_ms)
        wanted = ceil((clock - self.now_ms) * self.rate / 1000)
        return wanted if self.events is None else min(wanted, self.events)

    def clock_ms(self, arrival_ms: int) -> float:
        """When a record of this arrival may be sent; never before its arrival."""
        if not self.is_history(arrival_ms):
            return float(arrival_ms)
        return self.now_ms + (arrival_ms - self.start_ms) * self.catch_up_ms / (
            self._meeting_ms - self.start_ms
        )

    def is_history(self, t_ms: int) -> bool:
        """Before the meeting of the two times."""
        return t_ms < self._meeting_ms
