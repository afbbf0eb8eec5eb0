"""Regions of the event contract: ISO 3166-1 alpha-2 or ISO 3166-2, in one normal form.

`normalise` makes the normal form; the other functions take it and ask nothing about where it came from.
"""

from pipeline.jurisdictions.codes import ASSIGNED_COUNTRIES, COUNTRY_ALIASES, OWN_CODES, REGION_FORM
from pipeline.jurisdictions.law_table import PACKAGED_LAWS


def normalise(raw: str) -> str | None:
    """The normal form of a region, or None where it has not the form.

    ASCII and upper case; the country part UK becomes GB and EL becomes GR, and then a subdivision with an
    alpha-2 code of its own becomes that code. Whether the code is assigned is not asked.
    """
    if REGION_FORM.fullmatch(raw) is None:
        return None
    upper = raw.upper()
    alias = COUNTRY_ALIASES.get(upper[:2])
    region = upper if alias is None else alias + upper[2:]
    return OWN_CODES.get(region, region)


def country_of(region: str) -> str:
    """The country part of a region: itself, where it is a bare country."""
    return region[:2]


def is_assigned_country(code: str) -> bool:
    """Whether a code is an officially assigned alpha-2 code of ISO 3166-1, or XK. EU is not."""
    return code in ASSIGNED_COUNTRIES


def is_own_subdivision(country: str, region: str) -> bool:
    """Whether the first is a bare country and the second one of its own subdivisions."""
    return len(country) == 2 and len(region) > 2 and region[:2] == country  # noqa: PLR2004 - a bare alpha-2 code


def in_eea(region: str) -> bool:
    """Whether a region lies in the EEA, i.e. in a place of the GDPR; a subdivision as its country."""
    return PACKAGED_LAWS.in_eea(region)
