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
    from pipeline.lab.benchmark.running import Running

_SAID: Final = re.compile(
    r"(?:recovered|restored) (?P<keys>[\d,]+) (?:changelog records|records|keys)\b"
    r".* in (?P<seconds>[\d.]+) s\b"
)


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
        return self.keys / max(self.seconds, 1e-3)


def read_recovery(log: str, ready_after_s: float) -> Recovery | None:
    """What a worker's log tells of its recovery, summed where it came in steps; None if it tells nothing."""
    said = list(_SAID.finditer(log))
    if not said:
        return None
    return Recovery(
        keys=sum(int(step["keys"].replace(",", "")) for step in said),
        seconds=sum(float(step["seconds"]) for step in said),
        ready_after_s=ready_after_s,
    )


def measure_recovery(running: Running, events: int) -> Recovery:
    """Wait until a worker that has just been started with an empty state directory has its state back.

    Args:
        running: the worker; its group has committed everything.
        events: that its accounts must know of.

    Raises:
        MissingError: it ended, does not get there, or does not say what it recovered.
    """
    begin = running.look()
    _, ready = running.wait_until(lambda sample: sample.read >= events, "its recovery")
    recovery = read_recovery(running.log.read_text(encoding="utf-8", errors="replace"), ready.at - begin.at)
    if recovery is None:
        raise MissingError(
            f"the worker's log does not tell how many changelog records it recovered in how many seconds: "
            f"{running.log}; leave recovery out with --only throughput,latency"
        )
    return recovery
