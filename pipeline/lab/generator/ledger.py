"""Counts how the sent records ended, for the summary, and passes them to the labels."""

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
    """Shows no progress."""


@dataclass(slots=True)
class Ledger:
    """Counts records that were written or acknowledged.

    Attributes:
        truth: collects the labels; None for no labels.
        advance: gets every number of events that are done.
        events: accepted events.
        requests: accepted privacy requests.
        refused: broken events that the ingest rightly refused.
        refused_wrongly: valid events that the ingest refused.
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
        """Events that were accepted or refused."""
        return self.events + self.refused + self.refused_wrongly

    def took(self, record: Record, position: Position | None) -> None:
        """Note a record that was written or acknowledged.

        Args:
            record: the record.
            position: its position; None if only the ingest knows it.
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
        """Note a record that the ingest refused for good."""
        if record.fault is not None and record.fault.fate == "failed":
            self.refused += 1
        else:
            self.refused_wrongly += 1

    def summary(self) -> dict[str, object]:
        """The counts. Judged includes late events; failed includes events only, no requests."""
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
