"""Every kind of user there is: what it does, whether that is harmful, and which rules should say so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.lab.generator import stories_account as account
from pipeline.lab.generator import stories_privacy as privacy
from pipeline.lab.generator.population import User, pick_for, reported_region
from pipeline.lab.generator.world import (
    BORDER_TOURS,
    COMMUTES,
    CONSENT_ELSEWHERE,
    EEA_COUNTRIES,
    FAR_APART,
    HOUR_MS,
    JOURNEYS,
    US_STATES,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.lab.generator.seat import Run
    from pipeline.lab.generator.stories_account import Timelines

# Longer than the window and the longest delay of an event: each story finds an empty window.
_REST_MS = HOUR_MS + 5 * 60_000
# Somebody who travelled is back home by then.
_JOURNEY_REST_MS = 30 * HOUR_MS
# Their evenings are short and on one device, so that even several in an hour are nothing odd.
_LETTER_REST_MS = 60_000


def _as_is(user: User) -> User:
    return user


@dataclass(frozen=True, slots=True)
class Persona:
    """One kind of user.

    Attributes:
        kind: its name in the labels.
        play: from the run, the user and a start to the timelines of its devices.
        harmful: whether somebody is wronged (by the user, or by the service).
        note: one sentence for the reader of the labels.
        dress: gives a user of the audience what the story needs (home, plan, age, consent).
        may: rules that may fire besides those that a story proves on its way.
        looks_like: the rules that this harmless kind comes close to, or that flag it wrongly.
        cost: events of one telling, about.
        rest_ms: pause before the same user does it again.
    """

    kind: str
    play: Callable[[Run, User, int], Timelines]
    harmful: bool
    note: str
    dress: Callable[[User], User] = _as_is
    may: tuple[str, ...] = ()
    looks_like: tuple[str, ...] = ()
    cost: int = 20
    rest_ms: int = _REST_MS


def _at(*codes: str) -> Callable[[User], User]:
    """At home in one of these regions, grown up, with consent."""

    def dress(user: User) -> User:
        return replace(user.moved(reported_region(pick_for(user.index, codes))), has_consent=True)

    return dress


def _without_consent(*codes: str) -> Callable[[User], User]:
    def dress(user: User) -> User:
        return replace(_at(*codes)(user), has_consent=False, shared=None)

    return dress


def _aged(
    lowest: int, years: int, dress: Callable[[User], User], shared: str | None = None
) -> Callable[[User], User]:
    def dressed(user: User) -> User:
        return replace(dress(user), age=lowest + user.index // 3 % years, shared=shared)

    return dressed


def _sharing(user: User) -> User:
    shared = ("partial", "full")[user.index // 5 % 2]
    return replace(_without_consent("JP", "US-TX", "US-NY", "AU")(user), shared=shared)


def _plan(*plans: str) -> Callable[[User], User]:
    def dress(user: User) -> User:
        return replace(_at(user.home.code)(user), plan=pick_for(user.index, plans))

    return dress


def _misplaced(user: User) -> User:
    return replace(_at(*EEA_COUNTRIES)(user), is_eu=False)


def _firsts(pairs: tuple[tuple[str, ...], ...]) -> Callable[[User], User]:
    def dress(user: User) -> User:
        return _at(pick_for(user.index, pairs)[0])(user)

    return dress


_CLEAN = (
    Persona("viewer", account.evening, harmful=False, note="watches alone"),
    Persona("household", account.household_evening, harmful=False, note="several devices within the plan"),
    Persona(
        "mobile",
        account.on_the_move,
        harmful=False,
        note="a phone that changes its address, never too often",
        looks_like=("account.multi_ip",),
    ),
)

# In the order in which they are first met: what is short and telling comes early, what is long comes late.
_STORIES = (
    Persona(
        "credential_stuffing",
        account.credential_stuffing,
        harmful=True,
        note="a burst of wrong passwords from rented machines",
    ),
    Persona(
        "no_consent_eea",
        privacy.flagged_throughout("privacy.consent_missing"),
        harmful=True,
        note="in the EEA or the UK without consent",
        dress=_without_consent(*EEA_COUNTRIES, "GB"),
    ),
    Persona(
        "impossible_travel",
        account.impossible_travel,
        harmful=True,
        note="two continents within minutes",
        dress=_at(*FAR_APART),
        rest_ms=_JOURNEY_REST_MS,
    ),
    Persona(
        "traveller",
        account.traveller,
        harmful=False,
        note="flies and watches again, at an airliner's pace",
        dress=_firsts(JOURNEYS),
        looks_like=("account.impossible_travel", "account.multi_region"),
        rest_ms=_JOURNEY_REST_MS,
    ),
    Persona(
        "opt_out_ignored",
        privacy.opt_out_ignored,
        harmful=True,
        note="said do-not-track or GPC once and is tracked on",
        dress=_at("US-CA", "DE", "FR", "BR", "GB", "US-TX"),
    ),
    Persona(
        "shared_over_regions",
        account.shared_over_regions,
        harmful=True,
        note="a password that went round the world",
        dress=_plan("premium", "vip"),
        may=("account.impossible_travel", "account.concurrent_streams", "account.multi_ip"),
        cost=40,
        rest_ms=_JOURNEY_REST_MS,
    ),
    Persona(
        "vpn_toggle",
        account.vpn_toggle,
        harmful=False,
        note="switches a tunnel to another continent on and off: a known false alarm",
        dress=_at("JP", "BR", "ZA", "GB", "MX"),
        looks_like=("account.impossible_travel",),
    ),
    Persona(
        "minor_without_consent",
        privacy.flagged_throughout("privacy.minor", "privacy.consent_missing"),
        harmful=True,
        note="a child in the EEA without consent",
        dress=_aged(6, 7, _without_consent(*EEA_COUNTRIES)),
    ),
    Persona(
        "shared_streams",
        account.shared_streams,
        harmful=True,
        note="more screens than the plan allows",
        dress=_plan("basic", "basic", "standard", "free", "premium"),
        cost=40,
    ),
    Persona(
        "minor_with_consent",
        privacy.short_evening,
        harmful=False,
        note="a child with consent, nothing shared",
        dress=_aged(7, 6, _at(*EEA_COUNTRIES, "US-CA", "US")),
        looks_like=("privacy.minor",),
    ),
    Persona(
        "sharing_without_consent",
        privacy.flagged_throughout("privacy.sharing_without_consent"),
        harmful=True,
        note="data shared without consent where consent is not asked by default",
        dress=_sharing,
    ),
    Persona(
        "forgetful",
        account.forgetful,
        harmful=False,
        note="a few wrong passwords, then the right one",
        looks_like=("account.login_failures",),
    ),
    Persona(
        "faulty_device",
        account.faulty_device,
        harmful=False,
        note="its television fails; the user does nothing",
        cost=65,
    ),
    Persona(
        "vpn_steady",
        account.vpn_steady,
        harmful=False,
        note="a European behind an American exit: a known false alarm",
        dress=_at(*EEA_COUNTRIES),
        looks_like=("privacy.jurisdiction_mismatch",),
    ),
    Persona(
        "region_mismatch",
        privacy.flagged_throughout("privacy.jurisdiction_mismatch"),
        harmful=True,
        note="in the EEA, and the producer does not hold it to be",
        dress=_misplaced,
    ),
    Persona(
        "shared_over_networks",
        account.shared_over_networks,
        harmful=True,
        note="one account wandering through many homes",
        dress=_plan("premium", "family", "vip"),
        cost=40,
    ),
    Persona(
        "deletion_ignored",
        privacy.deletion_ignored,
        harmful=True,
        note="asked for deletion on the device and is collected on",
        dress=_at("US-CA", "IT", "ES", "BR", "KR", "US-NY"),
    ),
    Persona(
        "vpn_exits",
        account.vpn_exits,
        harmful=False,
        note="a tunnel that hops between exits of one country",
        looks_like=("account.multi_ip",),
        cost=30,
    ),
    Persona(
        "coppa_sharing",
        privacy.flagged_throughout("privacy.minor"),
        harmful=True,
        note="a child's data shared in the US, whatever the consent",
        dress=_aged(5, 8, _at("US", *US_STATES), shared="partial"),
    ),
    Persona(
        "bot",
        account.bot,
        harmful=True,
        note="a program that farms plays",
        cost=450,
    ),
    Persona(
        "commuter",
        account.commuter,
        harmful=False,
        note="crosses a border on the way to work",
        dress=_firsts(COMMUTES),
        looks_like=("account.multi_region", "account.impossible_travel"),
    ),
    Persona(
        "no_consent_elsewhere",
        privacy.flagged_throughout("privacy.consent_missing"),
        harmful=True,
        note="without consent where another law asks it",
        dress=_without_consent(*CONSENT_ELSEWHERE),
    ),
    Persona(
        "border_tour",
        account.border_tour,
        harmful=False,
        note="several small countries within the hour: a known false alarm",
        dress=_firsts(BORDER_TOURS),
        looks_like=("account.multi_region",),
        cost=28,
    ),
    Persona(
        "token_storm",
        account.token_storm,
        harmful=False,
        note="renews its token in vain: a nuisance, nobody's attack",
        looks_like=("account.login_failures",),
        cost=28,
    ),
    Persona(
        "rough_device",
        account.rough_device,
        harmful=False,
        note="a bad cable: some errors, below every limit",
        looks_like=("device.error_rate",),
        cost=65,
    ),
    Persona(
        "binge",
        account.binge,
        harmful=False,
        note="skips all the time, below 300 events an hour",
        looks_like=("account.high_frequency",),
        cost=170,
    ),
)

_ASKERS = tuple(
    Persona(
        kind,
        privacy.ask,
        harmful=harmful,
        note="wrote to the privacy office" + ("; is collected on" if harmful else ""),
        dress=_at("NL", "DE", "US-CA", "BR", "FR"),
        looks_like=() if harmful else (privacy.OPT_OUT_IGNORED,),
        cost=9,
        rest_ms=_LETTER_REST_MS,
    )
    for kind, harmful in privacy.ASKED.items()
)

PERSONAS = {persona.kind: persona for persona in (*_CLEAN, *_STORIES, *_ASKERS)}
CAST = tuple(persona.kind for persona in _STORIES)
