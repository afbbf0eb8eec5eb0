"""The inputs of rules: an event's legal profile, its opt-out signals, the user's activity, or a score."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final, Literal, NamedTuple, Protocol

import msgspec
from pydantic import ConfigDict

from pipeline.anomaly.artefact import Model
from pipeline.events.instants import format_instant
from pipeline.jurisdictions.laws import GDPR_BY_CLAIM, Law, laws_of
from pipeline.rules.finding import Dimension, Finding
from pipeline.windows.privacy import PrivacyRecord
from pipeline.windows.score import Score
from pipeline.windows.user import LastPlace
from pipeline.windows.window import WINDOW_MS, Window


@dataclass(frozen=True, slots=True)
class EventLaws:
    """The laws of an event, grouped as the rules need them."""

    laws: tuple[Law, ...]
    names: tuple[str, ...]
    asking_consent: tuple[Law, ...]
    granting: tuple[Law, ...]
    coppa_age: int | None
    """The consent age of COPPA; None where it is not one of the laws."""


@lru_cache(maxsize=65_536)
def event_laws(region: str, is_eu: bool) -> EventLaws:
    """The laws of an event: those of its region, and the GDPR if the producer says that it applies."""
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
    """The form of ids in outputs without a pseudonym key: they stay as they are."""
    return identifier


class Profile(NamedTuple):
    """The legal profile of an event. The same profile always gives the same findings, so they are remembered."""

    region: str
    is_eu: bool
    has_consent: bool
    user_age: int | None
    data_shared: str

    @property
    def laws(self) -> EventLaws:
        """The laws that apply."""
        return event_laws(self.region, self.is_eu)


class OptOuts(msgspec.Struct, frozen=True, gc=False):
    """The opt-out and deletion signals of an event, and the user's privacy record after it.

    It is made only for events that have a signal or whose user has a privacy record.
    """

    profile: Profile
    time: int
    do_not_track: bool
    gpc: bool
    deletion_requested: bool
    privacy: PrivacyRecord


class Activity(msgspec.Struct, gc=False):
    """The activity of a user as of one event.

    Attributes:
        window: the user's window, with the event in it.
        stream_time: the end of the window, in milliseconds since 1970.
        region: the region of the event.
        time: the event time, in milliseconds since 1970.
        plan: the subscription plan that the event names.
        last_place: the last place before the event.
        in_order: whether no earlier arrival has a later event time.
        show: gives the form of ids in evidence.
    """

    window: Window
    stream_time: int
    region: str
    time: int
    plan: str | None = None
    last_place: LastPlace | None = None
    in_order: bool = True
    show: Callable[[str], str] = shown_as_it_is

    def window_bounds(self) -> dict[str, object]:
        """The bounds of the window as evidence."""
        return bounds_of(self.stream_time)


def bounds_of(stream_time: int) -> dict[str, object]:
    """The bounds of the window at a stream time as evidence. The start is not in the window, the end is."""
    return {
        "window_start": format_instant(stream_time - WINDOW_MS),
        "window_end": format_instant(stream_time),
    }


class ScoredHour(NamedTuple):
    """A user's hour that the anomaly model scored as an anomaly, and the model."""

    model: Model
    score: Score


class _Rule(Protocol):
    """A rule: a frozen dataclass whose fields are its parameters. It is pure: it depends on its input only."""

    rule_id: ClassVar[str]
    dimension: ClassVar[Dimension]
    runbook: ClassVar[str]
    """What to do when the rule fires: what to check first, what to do, and when to leave it."""


class ProfileRule(_Rule, Protocol):
    """A rule that looks at the legal profile of an event."""

    looks_at: ClassVar[Literal["profile"]]

    def judge(self, profile: Profile, /) -> Finding | None:
        """The finding, where the rule fires."""
        ...


class OptOutRule(_Rule, Protocol):
    """A rule that looks at opt-out signals and the privacy record. It is not called where there is neither."""

    looks_at: ClassVar[Literal["opt_outs"]]

    def judge(self, opt_outs: OptOuts, /) -> Finding | None:
        """The finding, where the rule fires."""
        ...


class ActivityRule(_Rule, Protocol):
    """A rule that looks at the window, the last place and the plan."""

    looks_at: ClassVar[Literal["activity"]]

    def judge(self, activity: Activity, /) -> Finding | None:
        """The finding, where the rule fires."""
        ...


class ScoreRule(_Rule, Protocol):
    """A rule that looks at the score of the anomaly model. It is called for anomalies only."""

    looks_at: ClassVar[Literal["score"]]

    def judge(self, scored: ScoredHour, /) -> Finding | None:
        """The finding, where the rule fires."""
        ...


Rule = ProfileRule | OptOutRule | ActivityRule | ScoreRule


NO_OTHERS: Final = ConfigDict(extra="forbid")
"""The pydantic configuration of every rule: a parameter that the rule does not have is an error."""
