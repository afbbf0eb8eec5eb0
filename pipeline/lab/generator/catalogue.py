"""The titles, how popular they are, and which of them have errors at which times."""
# ruff: noqa: PLR2004 - ranks and rates of made-up titles

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate

from pipeline.lab.generator.marks import Health
from pipeline.lab.generator.world import HOUR_MS, MINUTE_MS

_TITLES = 300
ERROR_CODES = ("CDN_TIMEOUT", "MANIFEST_404", "DRM_LICENSE_DENIED", "SEGMENT_MISSING", "DECODER_RESET")
# The error rate of any title and device.
BASE_ERROR_RATE = 0.002


@dataclass(slots=True)
class Trouble:
    """Failures of one title or device: a steady share of its playback events, without chance.

    Every event adds `rate` to a sum, and the event with which the sum reaches 1 fails. So of n consecutive events at
    most `rate` n + 1 and at least `rate` n - 1 fail, and a label can promise on which side of a threshold they are.

    Attributes:
        working: the mark of an event that did not fail.
        failing: the mark of an event that failed.
        rate: share of events that fail while it lasts.
        codes: error codes it shows.
        first_ms: when it begins.
        lasts_ms: how long it lasts, None = for ever.
        every_ms: when it comes back, counted from `first_ms`.
    """

    working: Health
    failing: Health
    rate: float
    codes: tuple[str, ...]
    first_ms: int
    lasts_ms: int | None = None
    every_ms: int = 24 * HOUR_MS
    _account: float = 0.0
    _failures: int = 0

    def strikes(self, t_ms: int) -> str | None:
        """The error code with which an event at `t_ms` fails, or None. The event counts in both cases."""
        if t_ms < self.first_ms:
            return None
        if self.lasts_ms is not None and (t_ms - self.first_ms) % self.every_ms >= self.lasts_ms:
            return None
        self._account += self.rate
        if self._account < 1:
            return None
        self._account -= 1
        self._failures += 1
        return self.codes[self._failures % len(self.codes)]


@dataclass(frozen=True, slots=True)
class Title:
    """Something to watch.

    Attributes:
        id: its content_id.
        minutes: how long it runs.
        trouble: how it fails; None for the usual error rate.
    """

    id: str
    minutes: int
    trouble: Trouble | None = None


@dataclass(slots=True)
class Catalogue:
    """All titles by popularity (Zipf), with two outages and one rough title among the popular ones.

    Attributes:
        start_ms: where the simulated stretch begins; the first outage is there already.
    """

    start_ms: int
    titles: tuple[Title, ...] = field(init=False)
    _cumulative: tuple[float, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.titles = tuple(_title(rank, self.start_ms) for rank in range(1, _TITLES + 1))
        self._cumulative = tuple(accumulate(1 / rank for rank in range(1, _TITLES + 1)))

    def pick(self, chance: float) -> Title:
        """The title for a number in [0, 1)."""
        return self.titles[bisect_right(self._cumulative, chance * self._cumulative[-1])]

    def healthy(self, chance: float) -> Title:
        """As above, among the titles without a label. A broken device plays these, so that no title seems broken."""
        title = self.pick(chance)
        return title if title.trouble is None else self.titles[0]


def trouble(
    subject_type: str,
    subject_id: str,
    kind: str,
    rate: float,
    first_ms: int,
    lasts_ms: int | None = None,
    every_ms: int = 24 * HOUR_MS,
) -> Trouble:
    """The failures of one subject with their marks for the labels."""
    codes = ERROR_CODES[:3] if rate < 0.4 else ERROR_CODES[2:]
    working = Health(subject_type, subject_id, kind, failed=False)
    failing = Health(subject_type, subject_id, kind, failed=True)
    return Trouble(working, failing, rate, codes, first_ms, lasts_ms, every_ms)


def _title(rank: int, start_ms: int) -> Title:
    form = ("film", "episode", "episode", "live")[rank % 4]
    minutes = {"film": 95 + rank % 40, "episode": 22 + rank % 30, "live": 60 + rank % 60}[form]
    # Some ids are not ASCII, because ids are any text.
    content_id = f"{form}-{rank:04d}" if rank % 50 else f"película-ñ{rank:04d}-日本"
    return Title(content_id, minutes, _title_trouble(rank, content_id, start_ms))


def _title_trouble(rank: int, content_id: str, start_ms: int) -> Trouble | None:
    """Two popular titles with outages that come back, and a popular one with a few errors all the time."""
    if rank == 2:
        return trouble("content", content_id, "outage", 0.45, start_ms, 150 * MINUTE_MS, 8 * HOUR_MS)
    if rank == 4:
        return trouble("content", content_id, "rough_title", 0.04, start_ms)
    if rank == 6:
        first_ms = start_ms + HOUR_MS
        return trouble("content", content_id, "outage", 0.35, first_ms, 90 * MINUTE_MS, 9 * HOUR_MS)
    return None
