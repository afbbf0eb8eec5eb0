"""Labels, the truth about what was sent: who did what since when, which rules should fire, and what was broken.

Labels follow from how the events were made, and from what was really sent. Nothing is judged for them. If the end of
the run cuts off a story, its labels promise nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.events.instants import format_instant
from pipeline.lab.generator.marks import Health, Proof
from pipeline.lab.generator.world import MINUTE_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.lab.generator.personas import Persona
    from pipeline.lab.generator.stream import Record

Label = dict[str, object]

_HARMFUL_HEALTH = frozenset({"outage", "faulty_device"})
_ROUGH_HEALTH = frozenset({"rough_title", "rough_device"})
_WINDOW_MINUTES = 60
# A label promises a finding from these events and failed shares on. They are well beyond the limits of the rules, which
# are 20 and 0.20, and 50 and 0.10.
_SURE = ((25, 0.25), (60, 0.13))
# A minute is judged a minute after its end at the earliest; two more, because partitions differ.
_UNTIL_JUDGED_MS = 3 * MINUTE_MS


@dataclass(frozen=True, slots=True)
class Position:
    """The position of a record.

    Attributes:
        topic: without the environment's prefix, as verdicts name it; None for a raw line.
        partition: of the topic; 0 for a raw line.
        offset: in the partition; the line index from 0 for a raw line.
    """

    topic: str | None
    partition: int
    offset: int

    def as_source(self) -> Label:
        """As a verdict or a failed event names it."""
        return {"topic": self.topic, "partition": self.partition, "offset": self.offset}


@dataclass(slots=True)
class _UserTruth:
    user_id: str
    persona: Persona
    first_ms: int
    last_ms: int
    events: int = 0
    expect: dict[str, int] = field(default_factory=dict)

    def label(self) -> Label:
        persona = self.persona
        may = [rule for rule in persona.may if rule not in self.expect]
        return {
            "label": "user",
            "id": self.user_id,
            "kind": persona.kind,
            "harmful": persona.harmful,
            "first_event": format_instant(self.first_ms),
            "last_event": format_instant(self.last_ms),
            "events": self.events,
            "expect": {rule: format_instant(since) for rule, since in sorted(self.expect.items())},
            "may": may,
            "expect_not": [rule for rule in persona.looks_like if rule not in self.expect],
            "clean": not self.expect and not may,
            "note": persona.note,
        }


@dataclass(slots=True)
class _HealthTally:
    """The minutes of one title or device in a window."""

    subject: Health
    minutes: dict[int, list[int]] = field(default_factory=dict)
    newest: int = 0
    events: int = 0
    failed: int = 0
    proven_ms: int | None = None

    def count(self, event_ms: int, *, failed: bool) -> None:
        minute = event_ms // MINUTE_MS
        if minute > self.newest:
            self._close_up_to(minute)
        cell = self.minutes.setdefault(minute, [0, 0])
        cell[0] += 1
        cell[1] += failed
        self.events += 1
        self.failed += failed

    def _close_up_to(self, minute: int) -> None:
        if self.proven_ms is None and self.newest and self._is_sure(self.newest):
            self.proven_ms = (self.newest + 1) * MINUTE_MS
        self.newest = minute
        for old in [known for known in self.minutes if known <= minute - _WINDOW_MINUTES]:
            del self.minutes[old]

    def _is_sure(self, minute: int) -> bool:
        cells = [cell for known, cell in self.minutes.items() if minute - _WINDOW_MINUTES < known <= minute]
        events = sum(cell[0] for cell in cells)
        failed = sum(cell[1] for cell in cells)
        return any(events >= fewest and failed >= share * events for fewest, share in _SURE)

    def label(self, last_arrival_ms: int) -> Label:
        self._close_up_to(self.newest + 1)
        subject = self.subject
        rule = f"{subject.subject_type}.error_rate"
        proven = self.proven_ms is not None and self.proven_ms + _UNTIL_JUDGED_MS <= last_arrival_ms
        return {
            "label": subject.subject_type,
            "id": subject.subject_id,
            "kind": subject.kind,
            "harmful": subject.kind in _HARMFUL_HEALTH,
            "events": self.events,
            "failed": self.failed,
            "expect": {rule: format_instant(self.proven_ms)} if proven and self.proven_ms is not None else {},
            "may": [] if proven or subject.kind in _ROUGH_HEALTH else [rule],
            "expect_not": [rule] if subject.kind in _ROUGH_HEALTH else [],
        }


@dataclass(slots=True)
class Truth:
    """Collects labels while records are sent.

    Attributes:
        write: gets each label when it is final: those of messages at once, the others in `finish`.
    """

    write: Callable[[Label], None]
    _users: dict[int, _UserTruth] = field(default_factory=dict)
    _health: dict[tuple[str, str], _HealthTally] = field(default_factory=dict)
    _last_arrival_ms: int = 0

    def note(self, record: Record, position: Position | None) -> None:
        """Note a record that was written or acknowledged. Records of one user come in the order of sending."""
        self._last_arrival_ms = max(self._last_arrival_ms, record.arrival_ms)
        fault, mark = record.fault, record.mark
        if fault is not None:
            self.write(
                {
                    "label": "message",
                    "source": None if position is None else position.as_source(),
                    "user_id": record.who.user.user_id,
                    "fate": fault.fate,
                    "kind": fault.kind,
                    "reason": fault.reason,
                    "opt_out_not_recorded": fault.carries_opt_out,
                }
            )
            if fault.fate != "late":
                return
        if record.is_request:
            return
        user = self._users.get(record.who.user.index)
        event_ms = record.event_ms
        if user is None:
            who = record.who
            user = _UserTruth(who.user.user_id, who.persona, event_ms, event_ms)
            self._users[who.user.index] = user
        user.events += 1
        user.first_ms = min(user.first_ms, event_ms)
        user.last_ms = max(user.last_ms, event_ms)
        if type(mark) is Proof:
            for rule in mark.rules:
                user.expect.setdefault(rule, event_ms)
        elif type(mark) is Health:
            subject = (mark.subject_type, mark.subject_id)
            tally = self._health.get(subject)
            if tally is None:
                tally = self._health[subject] = _HealthTally(mark)
            tally.count(event_ms, failed=mark.failed)

    def finish(self) -> None:
        """Write the labels of users, titles and devices."""
        for user in self._users.values():
            self.write(user.label())
        for tally in self._health.values():
            self.write(tally.label(self._last_arrival_ms))
