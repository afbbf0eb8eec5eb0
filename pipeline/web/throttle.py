"""Slows down whoever fails to log in again and again: by account, and by address."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

FREE_FAILURES: Final = 5
"""Typing errors; after them each failure doubles the pause."""
LONGEST_PAUSE_S: Final = 60.0
"""Short enough that nobody can lock another one out for long by failing in their name."""
_FORGET_S: Final = 900.0
_KEPT: Final = 10_000


class Throttle:
    """Failures by key, of a bounded number of keys: the oldest are forgotten first.

    Args:
        clock: in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[Hashable, tuple[int, float]] = OrderedDict()

    def wait_s(self, keys: Sequence[Hashable]) -> float:
        """How long the next attempt has to wait, in seconds; 0 for none."""
        return max((self._wait_s(key) for key in keys), default=0.0)

    def failed(self, keys: Sequence[Hashable]) -> None:
        """An attempt failed."""
        now = self._clock()
        for key in keys:
            count, last = self._failures.pop(key, (0, now))
            self._failures[key] = ((count if now - last < _FORGET_S else 0) + 1, now)
        while len(self._failures) > _KEPT:
            self._failures.popitem(last=False)

    def succeeded(self, key: Hashable) -> None:
        """An attempt went well: what failed before were typing errors."""
        self._failures.pop(key, None)

    def _wait_s(self, key: Hashable) -> float:
        count, last = self._failures.get(key, (0, 0.0))
        if count < FREE_FAILURES:
            return 0.0
        pause = min(LONGEST_PAUSE_S, 2.0 ** min(count - FREE_FAILURES, 10))
        return max(0.0, last + pause - self._clock())
