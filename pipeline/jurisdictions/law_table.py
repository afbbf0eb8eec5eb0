"""The table of laws: read from TOML, validated, and queried by region."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

from pipeline.jurisdictions.codes import ASSIGNED_COUNTRIES, EEA_UNKNOWN, OWN_CODES, REGION_FORM
from pipeline.jurisdictions.packaged import packaged_text

MissingConsent = Literal["MEDIUM", "HIGH"]
"""The severity where a law requires consent and there is none."""

GDPR: Final = "GDPR"
"""The law whose regions are the EEA of the rules."""

MAX_AGE: Final = 130
MAX_DEADLINE_DAYS: Final = 3650

_VALUES: Final = ("asks_consent", "missing_consent", "consent_age", "grants_right", "deadline_days")
_REQUIRED: Final = ("where", "asks_consent", "grants_right")
_KEYS: Final = frozenset({"id", "name", "where", "consent_ages", *_VALUES})


class LawsError(ValueError):
    """A text that is no table of laws. The message says what is wrong, and where."""


@dataclass(frozen=True, slots=True)
class Law:
    """The requirements of a law in one region.

    `missing_consent` is None where the law does not require consent by default, `consent_age` where it has none.
    `deadline_days`, the time to carry out an opt-out or a deletion, is evidence only.
    """

    id: str
    asks_consent: bool
    missing_consent: MissingConsent | None
    consent_age: int | None
    grants_right: bool
    deadline_days: int | None


@dataclass(frozen=True, slots=True)
class LawTable:
    """The laws of every region, as of a day.

    `by_region` has an entry for each region that a law names. The entry of a subdivision includes its country's laws.
    """

    as_of: date
    by_region: Mapping[str, tuple[Law, ...]]
    eea: frozenset[str]
    gdpr_by_claim: Law

    def laws_of(self, region: str) -> tuple[Law, ...]:
        """The laws of a region in normal form, sorted by id; none where no law names the region or its country."""
        laws = self.by_region.get(region)
        return self.by_region.get(region[:2], ()) if laws is None else laws

    def in_eea(self, region: str) -> bool:
        """Whether the GDPR names the region or its country."""
        return region in self.eea or region[:2] in self.eea


def load_laws(text: str) -> LawTable:
    """Read a table of laws, in the layout that the packaged `laws.toml` explains.

    Raises:
        LawsError: the text is no such table.
    """
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise LawsError(f"laws: not TOML: {error}") from None
    as_of = data.pop("as_of", None)
    if not isinstance(as_of, date) or isinstance(as_of, datetime):
        raise LawsError(f"laws: as_of must be a date such as 2026-01-31, not {as_of!r}")
    entries = data.pop("law", None)
    if data:
        raise LawsError(f"laws: unknown key {min(data)!r}; known are as_of and law")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise LawsError("laws: there must be at least one [[law]]")
    at: dict[str, list[Law]] = {}
    bare: dict[str, Law] = {}
    places: dict[str, frozenset[str]] = {}
    for number, entry in enumerate(entries, start=1):
        law, ages, where = _law(number, entry)
        if law.id in bare:
            raise LawsError(f"laws: law {law.id} stands twice")
        bare[law.id] = law
        places[law.id] = where
        for place in where:
            at.setdefault(place, []).append(ages.get(place, law))
    if GDPR not in bare:
        raise LawsError(f"laws: the law {GDPR} is missing; its places are the EEA of the rules")
    return LawTable(as_of, MappingProxyType(_inherited(at)), places[GDPR], bare[GDPR])


def _inherited(at: Mapping[str, list[Law]]) -> dict[str, tuple[Law, ...]]:
    """The laws of every named region, with those of its country. Of two laws with one id the region's own counts."""
    table = {}
    for place, own in at.items():
        laws = {law.id: law for law in (*at.get(place[:2], ()), *own)}
        table[place] = tuple(laws[law_id] for law_id in sorted(laws))
    return table


def _law(number: int, entry: dict[str, Any]) -> tuple[Law, dict[str, Law], frozenset[str]]:
    """One [[law]]: its default values, the values of regions with an age of their own, and its regions."""
    law_id = entry.get("id")
    if not isinstance(law_id, str) or not law_id:
        raise LawsError(f"laws: law number {number}: id must be a text, not {law_id!r}")
    path = f"laws: law {law_id}"
    if unknown := sorted(entry.keys() - _KEYS):
        raise LawsError(f"{path}: unknown key {unknown[0]!r}; known are {', '.join(sorted(_KEYS))}")
    if not isinstance(entry.get("name"), str):
        raise LawsError(f"{path}: name must be a text, not {entry.get('name')!r}")
    for key in _REQUIRED:
        if key not in entry:
            raise LawsError(f"{path}: {key} is missing")
    where = _places(f"{path}: where", entry["where"])
    law = _default(path, law_id, entry)
    ages = entry.get("consent_ages", {})
    if not isinstance(ages, dict):
        raise LawsError(f"{path}: consent_ages must be a table of places")
    by_place = {}
    for place, given in ages.items():
        if place not in where:
            raise LawsError(f"{path}: consent_ages: {place} is not one of the places in where")
        age = _whole(f"{path}: consent_ages: {place}", given, MAX_AGE)
        by_place[place] = replace(law, consent_age=age)
    if by_place and (missing := sorted(where - by_place.keys())):
        # A region that was forgotten would silently have the default age, so refuse the table.
        raise LawsError(f"{path}: consent_ages: {missing[0]} is missing")
    return law, by_place, where


def _default(path: str, law_id: str, entry: dict[str, Any]) -> Law:
    """The default values of a law."""
    asks = _flag(f"{path}: asks_consent", entry["asks_consent"])
    severity: MissingConsent | None = None
    if "missing_consent" in entry:
        severity = _severity(f"{path}: missing_consent", entry["missing_consent"])
    if asks != (severity is not None):
        raise LawsError(f"{path}: missing_consent must be given exactly where asks_consent is true")
    return Law(
        id=law_id,
        asks_consent=asks,
        missing_consent=severity,
        consent_age=_optional_whole(path, entry, "consent_age", MAX_AGE),
        grants_right=_flag(f"{path}: grants_right", entry["grants_right"]),
        deadline_days=_optional_whole(path, entry, "deadline_days", MAX_DEADLINE_DAYS),
    )


def _sourced(path: str, given: object) -> object:
    """The value of `{ value = ..., source = "..." }`."""
    if not isinstance(given, dict) or given.keys() != {"value", "source"}:
        raise LawsError(f'{path}: must be {{ value = ..., source = "..." }}, not {given!r}')
    source = given["source"]
    if not isinstance(source, str) or not source.strip():
        raise LawsError(f"{path}: source must say where the value comes from, not {source!r}")
    value: object = given["value"]
    return value


def _flag(path: str, given: object) -> bool:
    value = _sourced(path, given)
    if not isinstance(value, bool):
        raise LawsError(f"{path}: value must be true or false, not {value!r}")
    return value


def _whole(path: str, given: object, most: int) -> int:
    value = _sourced(path, given)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise LawsError(f"{path}: value must be a whole number from 1 to {most}, not {value!r}")
    return value


def _optional_whole(path: str, entry: dict[str, Any], key: str, most: int) -> int | None:
    return _whole(f"{path}: {key}", entry[key], most) if key in entry else None


def _severity(path: str, given: object) -> MissingConsent:
    value = _sourced(path, given)
    for severity in get_args(MissingConsent):
        if value == severity:
            known: MissingConsent = severity
            return known
    raise LawsError(f"{path}: value must be MEDIUM or HIGH, not {value!r}")


def _places(path: str, given: object) -> frozenset[str]:
    value = _sourced(path, given)
    if not isinstance(value, list) or not value or not all(isinstance(place, str) for place in value):
        raise LawsError(f"{path}: value must be a list of regions, not {value!r}")
    for place in value:
        # Regions of events are in normal form, so one in another form would never match.
        if REGION_FORM.fullmatch(place) is None or place != place.upper() or place in OWN_CODES:
            raise LawsError(f"{path}: {place!r} is not a region in normal form")
        if place[:2] not in ASSIGNED_COUNTRIES and place != EEA_UNKNOWN:
            raise LawsError(f"{path}: {place!r} has no assigned country")
    if len(set(value)) != len(value):
        raise LawsError(f"{path}: a region stands twice")
    return frozenset(value)


PACKAGED_LAWS: Final[LawTable] = load_laws(packaged_text("laws.toml"))
"""The laws that this project ships with."""
