"""Regions of the event contract: ISO 3166-1 alpha-2 or ISO 3166-2, in one normal form.

`normalise` makes the normal form. The other functions expect it and do not check it.
"""

from pipeline.jurisdictions.codes import ASSIGNED_COUNTRIES, COUNTRY_ALIASES, OWN_CODES, REGION_FORM
from pipeline.jurisdictions.law_table import PACKAGED_LAWS


def normalise(raw: str) -> str | None:
    """The normal form of a region; None where the text does not have the form of one.

    The text becomes upper case. The country part UK becomes GB and EL becomes GR. Then a subdivision with an alpha-2
    code of its own becomes that code. The code need not be assigned.
    """
    if REGION_FORM.fullmatch(raw) is None:
        return None
    upper = raw.upper()
    alias = COUNTRY_ALIASES.get(upper[:2])
    region = upper if alias is None else alias + upper[2:]
    return OWN_CODES.get(region, region)


def country_of(region: str) -> str:
    """The country part of a region."""
    return region[:2]


def is_assigned_country(code: str) -> bool:
    """Whether a code is an officially assigned alpha-2 code of ISO 3166-1, or XK. EU is not."""
    return code in ASSIGNED_COUNTRIES


def is_own_subdivision(country: str, region: str) -> bool:
    """Whether `country` is a country without subdivision, and `region` one of its subdivisions."""
    return len(country) == 2 and len(region) > 2 and region[:2] == country  # noqa: PLR2004 - a bare alpha-2 code


def in_eea(region: str) -> bool:
    """Whether a region lies in the EEA, which is where the GDPR applies. A subdivision lies where its country lies."""
    return PACKAGED_LAWS.in_eea(region)
