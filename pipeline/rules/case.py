"""What a rule looks at: the event, its laws, and the user after the event was folded in."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final, Literal, Protocol

import msgspec
from pydantic import ConfigDict

from pipeline.events.event import Event
from pipeline.events.instants import format_instant
from pipeline.jurisdictions.laws import GDPR_BY_CLAIM, Law, laws_of
from pipeline.rules.finding import Dimension, Finding
from pipeline.windows.privacy import PrivacyRecord
from pipeline.windows.user import LastPlace
from pipeline.windows.window import WINDOW_MS, Window


@dataclass(frozen=True, slots=True)
class EventLaws:
    """The laws of an event, and what the rules ask of them."""

    laws: tuple[Law, ...]
    names: tuple[str, ...]
    asking_consent: tuple[Law, ...]
    granting: tuple[Law, ...]
    coppa_age: int | None
    """The age of COPPA, where it is one of the laws."""


@lru_cache(maxsize=65_536)
def event_laws(region: str, is_eu: bool) -> EventLaws:
    """The laws of an event: its region's, and the GDPR where the producer holds that it applies."""
    laws = laws_of(region)
    if is_eu and all(law.id != GDPR_BY_CLAIM.id for law in laws):
        laws = tuple(sorted((*laws, GDPR_BY_CLAIM), key=lambda law: law.id))
    return EventLaws(
        laws=laws,
        names=tuple(law.id for law in laws),
        asking_consent=tuple(law for law in laws if law.asks_consent),
        granting=tuple(law for law in laws if law.grants_right),
        coppa_age=next((law.consent_age for law in laws if law.id == "COPPA"), None),
    )


def shown_as_it_is(identifier: str) -> str:
    """The identity: without a pseudonym key, outputs show ids as they are."""
    return identifier


class Case(msgspec.Struct, gc=False):
    """One event before the rules.

    `window` and `privacy` are those after the event; `last_place` and `in_order` speak of the time before it.
    `show` gives the form in which an id may stand in evidence.
    """

    event: Event
    laws: EventLaws
    window: Window
    stream_time: int
    privacy: PrivacyRecord
    last_place: LastPlace | None = None
    in_order: bool = True
    show: Callable[[str], str] = shown_as_it_is

    def window_bounds(self) -> dict[str, object]:
        """The window's bounds as evidence: it is open at its start, closed at its end."""
        return {
            "window_start": format_instant(self.stream_time - WINDOW_MS),
            "window_end": format_instant(self.stream_time),
        }


LooksAt = Literal["profile", "record", "window"]
"""What of a case a rule looks at.

- profile: the event's legal profile only, that is region, is_eu, has_consent, user_age and data_shared. The same
  profile gives the same finding, which is made once and remembered.
- record: the privacy record and the opt-out signals of the event; it says nothing where there is neither.
- window: the window, the last place, and all of the event.
"""


class Rule(Protocol):
    """A rule: a frozen dataclass whose fields are its parameters."""

    rule_id: ClassVar[str]
    dimension: ClassVar[Dimension]
    looks_at: ClassVar[LooksAt]
    runbook: ClassVar[str]
    """What to do when it fires: what to check first, what to do, when to leave it."""

    def judge(self, case: Case) -> Finding | None:
        """The finding, where the rule fires."""
        ...


NO_OTHERS: Final = ConfigDict(extra="forbid")
"""How a rule's parameters are validated when a rule set is read: a misspelt one is an error."""
