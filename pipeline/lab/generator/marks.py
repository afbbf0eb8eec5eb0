"""Marks, which say what a record proves, breaks or asks for. Labels are made from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Fate = Literal["judged", "late", "duplicate", "failed"]


@dataclass(frozen=True, slots=True)
class Proof:
    """From this event on, the user has done what these rules look for.

    Attributes:
        rules: ids of rules that must all have fired for the user by now.
    """

    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Health:
    """A playback event of a title or device whose error rate the labels follow.

    Attributes:
        subject_type: content or device.
        subject_id: its id.
        kind: outage, faulty_device, or a harmless rough_title or rough_device.
        failed: whether this event reports a failure.
    """

    subject_type: str
    subject_id: str
    kind: str
    failed: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done to a record on purpose.

    Attributes:
        fate: how the record must end.
        kind: the fault.
        reason: the reason of its failed event; None if it does not fail.
        carries_opt_out: whether its failed event must say that an opt-out was not recorded.
    """

    fate: Fate
    kind: str
    reason: str | None = None
    carries_opt_out: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """This is a privacy request and goes to the topic of requests.

    Attributes:
        type: the request's type, as it was meant.
        fault: the fault of the request, or None.
    """

    type: str
    fault: Fault | None = None


Mark = Proof | Health | Ask
