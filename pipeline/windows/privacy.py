"""The privacy record: which opt-outs and deletions a user asked for, by signals on events and by requests."""

from dataclasses import dataclass, replace
from typing import Final

from pipeline.events.event import Event


@dataclass(frozen=True, slots=True)
class Mark:
    """An opt-out or a deletion.

    Attributes:
        since: the event time from which the mark holds, in milliseconds since 1970; None where it does not hold.
        last: the event time of its newest signal; None where there is none since the newest withdrawal.
        until: the event time of its newest withdrawal; None where there was none.
    """

    since: int | None = None
    last: int | None = None
    until: int | None = None

    def signalled(self, at: int) -> "Mark":
        """The mark after a signal at `at`. A signal that is not later than the newest withdrawal changes nothing."""
        if self.until is not None and at <= self.until:
            return self
        since = at if self.since is None else min(self.since, at)
        last = at if self.last is None else max(self.last, at)
        if since == self.since and last == self.last:
            return self
        return Mark(since, last, self.until)

    def withdrawn(self, at: int) -> "Mark":
        """The mark after a withdrawal at `at`. It ends, or it holds from the newest signal if that is later."""
        if self.until is not None and at <= self.until:
            return self
        if self.since is None or self.last is None or self.last <= at:
            return Mark(None, None, at)
        return Mark(self.last if self.since <= at else self.since, self.last, at)

    def in_force(self, at: int) -> bool:
        """Whether the mark holds for an event at `at`, which must be later than `since`."""
        return self.since is not None and at > self.since


UNMARKED: Final = Mark()


@dataclass(frozen=True, slots=True)
class PrivacyRecord:
    """The two marks, and the times of the newest consent and its newest withdrawal, which no rule reads."""

    opt_out: Mark = UNMARKED
    deletion: Mark = UNMARKED
    consent_given: int | None = None
    consent_withdrawn: int | None = None

    def observe(self, event: Event) -> "PrivacyRecord":
        """The record after the signals of a judged event."""
        at = event.time
        return replace(
            self,
            opt_out=self.opt_out.signalled(at) if event.do_not_track or event.gpc else self.opt_out,
            deletion=self.deletion.signalled(at) if event.deletion_requested else self.deletion,
        )

    def apply(self, kind: str, at: int) -> "PrivacyRecord":
        """The record after a privacy request of type `kind` at event time `at`."""
        match kind:
            case "opt_out":
                return replace(self, opt_out=self.opt_out.signalled(at))
            case "opt_in":
                return replace(self, opt_out=self.opt_out.withdrawn(at))
            case "delete":
                return replace(self, deletion=self.deletion.signalled(at))
            case "reinstate":
                return replace(self, deletion=self.deletion.withdrawn(at))
            case "consent_given":
                return replace(self, consent_given=_later(self.consent_given, at))
            case "consent_withdrawn":
                return replace(self, consent_withdrawn=_later(self.consent_withdrawn, at))
            case _:
                raise ValueError(f"no such privacy request: {kind}")


NO_RECORD: Final = PrivacyRecord()


def _later(known: int | None, at: int) -> int:
    return at if known is None else max(known, at)
