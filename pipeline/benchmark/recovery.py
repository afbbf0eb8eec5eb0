"""How soon a new machine is ready: a restart with an empty state directory, from the changelog alone.

The figure is the worker's own: changelog records applied, and the seconds from the beginning of the recovery
to its end, as it logs them. Older values of a key count too, as they have to be read; the group's join does
not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.errors import MissingError

if TYPE_CHECKING:
    from pipeline.benchmark.running import Running

_SAID: Final = re.compile(r"recovered (?P<keys>[\d,]+) changelog records .* in (?P<seconds>[\d.]+) s")


@dataclass(frozen=True, slots=True)
class Recovery:
    """One recovery.

    Attributes:
        keys: changelog records applied.
        seconds: that they took.
        ready_after_s: from the start of the process until it answers, the group's join included.
    """

    keys: int
    seconds: float
    ready_after_s: float

    @property
    def keys_per_s(self) -> float:
        """Changelog records applied a second."""
        return self.keys / self.seconds


def measure_recovery(running: Running, events: int) -> Recovery:
    """Wait until a worker that has just been started with an empty state directory has its state back.

    Args:
        running: the worker; its group has committed everything.
        events: that its accounts must know of.

    Raises:
        MissingError: it ended, does not get there, or does not say what it restored.
    """
    begin = running.look()
    _, ready = running.wait_until(lambda sample: sample.read >= events, "its recovery")
    said = _SAID.search(running.log.read_text(encoding="utf-8", errors="replace"))
    if said is None:
        raise MissingError(f"the worker does not say what it restored; its log: {running.log}")
    return Recovery(
        keys=int(said["keys"].replace(",", "")),
        seconds=float(said["seconds"]),
        ready_after_s=ready.at - begin.at,
    )
