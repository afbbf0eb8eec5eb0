"""What became of every record that was sent: the counts for the summary, and the labels."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.events.instants import format_instant

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.lab.generator.labels import Position, Truth
    from pipeline.lab.generator.stream import Record


def _nothing(_count: int) -> None:
    """Nobody watches."""


@dataclass(slots=True)
class Ledger:
    """Counts what has been written, or acknowledged by whoever took it.

    Attributes:
        truth: collects the labels, None = nobody wants them.
        advance: is told of every number of events that are done.
        events: events taken.
        requests: privacy requests taken.
        refused: broken events that the other side rightly did not take.
        refused_wrongly: valid ones that it did not take.
    """

    truth: Truth | None = None
    advance: Callable[[int], None] = _nothing
    events: int = 0
    requests: int = 0
    refused: int = 0
    refused_wrongly: int = 0
    _fates: Counter[str] = field(default_factory=Counter)
    _reasons: Counter[str] = field(default_factory=Counter)
    _failed_requests: int = 0
    _users: set[int] = field(default_factory=set)
    _first_ms: int | None = None
    _last_ms: int | None = None

    @property
    def done(self) -> int:
        """Events of which it is known what became of them."""
        return self.events + self.refused + self.refused_wrongly

    def took(self, record: Record, position: Position | None) -> None:
        """A record was written or acknowledged.

        Args:
            record: the record.
            position: where it stands, None where only the other side knows.
        """
        fault = record.fault
        if record.is_request:
            self.requests += 1
            self._failed_requests += fault is not None
        else:
            self.events += 1
            self._fates["judged" if fault is None else fault.fate] += 1
            if fault is not None and fault.reason is not None:
                self._reasons[fault.reason] += 1
        self._users.add(record.who.user.index)
        if self._first_ms is None or record.arrival_ms < self._first_ms:
            self._first_ms = record.arrival_ms
        if self._last_ms is None or record.arrival_ms > self._last_ms:
            self._last_ms = record.arrival_ms
        if self.truth is not None:
            self.truth.note(record, position)

    def refuse(self, record: Record) -> None:
        """The other side did not take a record, and never will."""
        if record.fault is not None and record.fault.fate == "failed":
            self.refused += 1
        else:
            self.refused_wrongly += 1

    def summary(self) -> dict[str, object]:
        """The counts; judged counts late events too, failed only events, not requests."""
        return {
            "events": self.events,
            "requests": self.requests,
            "judged": self._fates["judged"] + self._fates["late"],
            "late": self._fates["late"],
            "duplicate": self._fates["duplicate"],
            "failed": self._fates["failed"],
            "failed_by_reason": dict(sorted(self._reasons.items())),
            "failed_requests": self._failed_requests,
            "refused": self.refused,
            "refused_wrongly": self.refused_wrongly,
            "users": len(self._users),
            "from": None if self._first_ms is None else format_instant(self._first_ms),
            "until": None if self._last_ms is None else format_instant(self._last_ms),
        }
