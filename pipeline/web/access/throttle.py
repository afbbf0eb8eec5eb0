"""Slows log-ins after failures, without ever locking an account.

Three counts of failures are kept:

- By account and site (an address, see `client_address.site_of`): after five failures each further one doubles the
  pause, up to a minute. The pause holds for this account from this site only, so nobody can lock out somebody else.
- By account, and for the worker as a whole: many failures there mean that somebody guesses from many addresses, or
  tries many accounts. Then each attempt from a site where the account has not signed in before is delayed by half a
  second.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from pipeline.bounded import BoundedDict

if TYPE_CHECKING:
    from collections.abc import Callable

FREE_FAILURES: Final = 5
"""This many failures may be typing errors. After them each failure doubles the pause."""
LONGEST_PAUSE_S: Final = 60.0
MANY_OF_ACCOUNT: Final = 20
MANY_OF_WORKER: Final = 100
"""More failures than this in a quarter of an hour are no typing errors."""
DELAY_S: Final = 0.5
"""Short enough that the right password still works within two seconds."""
_FORGET_S: Final = 900.0
_KEPT: Final = 10_000
_WORKER: Final = ""

Pair = tuple[str, str]
"""An account and a site."""


class Throttle:
    """Counts failures. Each count keeps a bounded number of keys, and drops the oldest first.

    Args:
        clock: in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: BoundedDict[Pair, tuple[int, float]] = BoundedDict(_KEPT)
        self._sites: BoundedDict[str, float] = BoundedDict(_KEPT)
        self._totals: BoundedDict[str, tuple[float, float]] = BoundedDict(_KEPT)
        self._known: BoundedDict[Pair, None] = BoundedDict(_KEPT)

    def pause_s(self, account: str, site: str) -> float:
        """How long this account must wait at this site, in seconds; 0: it need not wait."""
        count, last = self._failures.get((account, site), (0, 0.0))
        if count < FREE_FAILURES:
            return 0.0
        pause = min(LONGEST_PAUSE_S, 2.0 ** min(count - FREE_FAILURES, 10))
        return max(0.0, last + pause - self._clock())

    def delay_s(self, account: str, site: str) -> float:
        """How long an attempt is delayed because of failures elsewhere, in seconds."""
        if self.is_known(account, site):
            return 0.0
        many = self._total(account) >= MANY_OF_ACCOUNT or self._total(_WORKER) >= MANY_OF_WORKER
        return DELAY_S if many else 0.0

    def is_known(self, account: str, site: str) -> bool:
        """Whether the account has signed in from this site before."""
        return (account, site) in self._known

    def has_failed(self, site: str) -> bool:
        """Whether any log-in from this site failed within the last quarter of an hour."""
        failed = self._sites.get(site)
        return failed is not None and self._clock() - failed < _FORGET_S

    def failed(self, account: str, site: str) -> None:
        """Count a failed attempt."""
        now = self._clock()
        count, last = self._failures.get((account, site), (0, now))
        self._failures[account, site] = ((count if now - last < _FORGET_S else 0) + 1, now)
        self._sites[site] = now
        for total in (account, _WORKER):
            self._totals[total] = (self._total(total) + 1, now)

    def succeeded(self, account: str, site: str) -> None:
        """Note a successful attempt, and clear the failures before it: they were typing errors."""
        self._failures.pop((account, site), None)
        self._known[account, site] = None

    def _total(self, key: str) -> float:
        """The failures of an account or of the worker. The count falls by its limit in a quarter of an hour."""
        count, last = self._totals.get(key, (0.0, 0.0))
        limit = MANY_OF_WORKER if key == _WORKER else MANY_OF_ACCOUNT
        return max(0.0, count - limit * (self._clock() - last) / _FORGET_S)
