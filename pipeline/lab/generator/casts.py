"""Which stories a run tells: the usual ones, or those that an anomaly model is trained and measured with."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING

from pipeline.lab.generator import stories_quiet as quiet
from pipeline.lab.generator import stories_tuning as tuning
from pipeline.lab.generator import stories_unseen as unseen
from pipeline.lab.generator.personas import CAST, PERSONAS, Persona
from pipeline.lab.generator.population import reported_region

if TYPE_CHECKING:
    from pipeline.lab.generator.population import User

# Night workers live where it is night when their story begins, so they need the time to move.
_MOVING_REST_MS = 30 * 3_600_000


class Stories(StrEnum):
    """The stories of a run, as `ott generate --stories` names them."""

    USUAL = "usual"
    """What the rules find, and what resembles it."""
    QUIET = "quiet"
    """The usual ones, misuse below every threshold, and its harmless twins; misuse as often as habits."""
    EVERYDAY = "everyday"
    """The same, with misuse as rare as it is in life: what a model is trained on."""
    TUNING = "tuning"
    """Misuse and habits that no model is trained with: to choose a model's parameters."""
    UNSEEN = "unseen"
    """Misuse and habits that no model may be trained or tuned with: for evaluation only."""


def _resident(user: User) -> User:
    """Somebody who consented and lives in a place that the map knows."""
    placed = user if user.home.code not in {"ZZ", "EU"} else user.moved(reported_region("NL"))
    return replace(placed, has_consent=True)


def _family(user: User) -> User:
    return replace(_resident(user), plan="family")


_RULES = ("account.login_failures", "account.multi_ip")
_FREQUENCY = "account.high_frequency"
_SEVERAL_SCREENS = {"pooled_plan", "student_away"}

_QUIET_MISUSE = (
    Persona(
        "slow_stuffing",
        quiet.slow_stuffing,
        harmful=True,
        note="stolen passwords, four tries an hour",
        cost=210,
    ),
    Persona(
        "rented_by_the_hour",
        quiet.rented_by_the_hour,
        harmful=True,
        note="one tenant after the other",
        cost=150,
    ),
    Persona(
        "catalogue_scraper",
        quiet.catalogue_scraper,
        harmful=True,
        note="walks through the catalogue",
        cost=260,
    ),
    Persona(
        "stream_ripper", quiet.stream_ripper, harmful=True, note="seeks through films by the clock", cost=224
    ),
    Persona(
        "account_switcher",
        quiet.account_switcher,
        harmful=True,
        note="one device, many accounts in turn",
        cost=84,
    ),
)
_TWINS = (
    Persona("marathon", quiet.marathon, harmful=False, note="a whole season in one sitting", cost=340),
    Persona("big_household", quiet.big_household, harmful=False, note="five screens of one family", cost=320),
    Persona(
        "night_worker",
        quiet.night_worker,
        harmful=False,
        note="watches in the middle of the night",
        cost=110,
        rest_ms=_MOVING_REST_MS,
    ),
    Persona("zapper", quiet.zapper, harmful=False, note="looks into many titles", cost=90),
    Persona("cgnat", quiet.cgnat, harmful=False, note="a phone whose provider changes its address", cost=90),
    Persona(
        "child_with_a_remote", quiet.child_with_a_remote, harmful=False, note="presses every button", cost=110
    ),
    Persona("packer", quiet.packer, harmful=False, note="downloads a lot before a journey", cost=50),
    Persona("new_password", quiet.new_password, harmful=False, note="all devices log in anew", cost=55),
    Persona(
        "favourite_clip", quiet.favourite_clip, harmful=False, note="the same clip again and again", cost=48
    ),
    Persona("restless_token", quiet.restless_token, harmful=False, note="a clock that is wrong", cost=95),
    Persona("film_buyer", quiet.film_buyer, harmful=False, note="buys films for the week", cost=75),
)
_TUNING_MISUSE = (
    Persona("card_tester", tuning.card_tester, harmful=True, note="tries stolen cards", cost=34),
    Persona(
        "download_hoarder", tuning.download_hoarder, harmful=True, note="downloads the catalogue", cost=60
    ),
    Persona("view_farm", tuning.view_farm, harmful=True, note="starts one title over and over", cost=300),
    Persona(
        "stolen_token", tuning.stolen_token, harmful=True, note="renews a copied token elsewhere", cost=165
    ),
    Persona("two_homes", tuning.two_homes, harmful=True, note="two homes take turns by minutes", cost=112),
)
_TUNING_TWINS = (
    Persona("trailer_evening", tuning.trailer_evening, harmful=False, note="watches short clips", cost=90),
    Persona("weak_signal", tuning.weak_signal, harmful=False, note="buffers, and changes networks", cost=65),
    Persona("new_television", tuning.new_television, harmful=False, note="sets up a new device", cost=50),
    Persona("sports_fan", tuning.sports_fan, harmful=False, note="rewinds a match again and again", cost=75),
)
_UNSEEN_MISUSE = (
    Persona(
        "account_takeover", unseen.account_takeover, harmful=True, note="buys on another's account", cost=65
    ),
    Persona("pooled_plan", unseen.pooled_plan, harmful=True, note="three homes, one plan", cost=290),
    Persona("buy_and_copy", unseen.buy_and_copy, harmful=True, note="copies films that it buys", cost=84),
    Persona("rating_mill", unseen.rating_mill, harmful=True, note="rates titles for money", cost=180),
    Persona("cloned_box", unseen.cloned_box, harmful=True, note="one device id in two homes", cost=115),
    Persona("paid_views", unseen.paid_views, harmful=True, note="plays for royalties, at ease", cost=320),
)
_UNSEEN_TWINS = (
    Persona("new_phone", unseen.new_phone, harmful=False, note="sets up a phone", cost=62),
    Persona("student_away", unseen.student_away, harmful=False, note="two homes of one family", cost=160),
    Persona("film_night", unseen.film_night, harmful=False, note="buys a film and watches it", cost=95),
    Persona("choosers", unseen.choosers, harmful=False, note="looks into titles, then watches", cost=90),
    Persona("two_connections", unseen.two_connections, harmful=False, note="a line that fails", cost=90),
    Persona("short_stories", unseen.short_stories, harmful=False, note="short titles at bedtime", cost=60),
)


def _dressed(persona: Persona) -> Persona:
    if persona.kind == "big_household":
        # Five people send up to 320 events an hour: a known false alarm of the rules.
        return replace(persona, dress=_family, may=(_FREQUENCY,), looks_like=_RULES)
    dress = _family if persona.kind in _SEVERAL_SCREENS else _resident
    return replace(persona, dress=dress, looks_like=() if persona.harmful else (*_RULES, _FREQUENCY))


_ADDED = tuple(
    map(
        _dressed,
        (*_QUIET_MISUSE, *_TWINS, *_TUNING_MISUSE, *_TUNING_TWINS, *_UNSEEN_MISUSE, *_UNSEEN_TWINS),
    )
)

EVERYBODY = PERSONAS | {persona.kind: persona for persona in _ADDED}
"""Every persona that any run can meet, by its kind."""


def _kinds(personas: tuple[Persona, ...]) -> tuple[str, ...]:
    return tuple(persona.kind for persona in personas)


QUIET_MISUSE, TUNING_MISUSE, UNSEEN_MISUSE = map(_kinds, (_QUIET_MISUSE, _TUNING_MISUSE, _UNSEEN_MISUSE))

_LOUD = {"credential_stuffing", "impossible_travel", "shared_over_regions", "shared_streams", "bot"}
_LOUD_MISUSE = tuple(kind for kind in CAST if kind in {*_LOUD, "shared_over_networks"})
MISUSE = frozenset((*QUIET_MISUSE, *TUNING_MISUSE, *UNSEEN_MISUSE, *_LOUD_MISUSE))
"""Every kind of story in which somebody misuses an account."""
_PLAIN = tuple(kind for kind in CAST if kind not in _LOUD_MISUSE)
_HABITS = _kinds(_TWINS)
# An everyday run tells so many rounds of the harmless stories before one of misuse.
_ROUNDS = 24
_EVERYDAY = tuple(
    kind for misuse in (*QUIET_MISUSE, *_LOUD_MISUSE) for kind in (*(_HABITS + _PLAIN) * _ROUNDS, misuse)
)

CASTS: dict[Stories, tuple[str, ...]] = {
    Stories.USUAL: CAST,
    Stories.QUIET: (*QUIET_MISUSE, *_HABITS, *CAST),
    Stories.EVERYDAY: _EVERYDAY,
    Stories.TUNING: (*TUNING_MISUSE, *_kinds(_TUNING_TWINS), *_HABITS, *_PLAIN),
    Stories.UNSEEN: (*UNSEEN_MISUSE, *_kinds(_UNSEEN_TWINS), *_HABITS, *_PLAIN),
}
"""The order in which users are given stories, over and over."""
