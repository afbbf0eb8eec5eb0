"""The codes of countries and of subdivisions that have a country code of their own."""

import re
import tomllib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from pipeline.jurisdictions.packaged import packaged_text

REGION_FORM: Final = re.compile(r"[A-Za-z]{2}(?:-[A-Za-z0-9]{1,3})?")
"""The form of ISO 3166-1 alpha-2 or ISO 3166-2 codes. `\\w` would also match letters that are not ASCII."""

EEA_UNKNOWN: Final = "EU"
"""The reserved code for "EEA, country unknown". It has laws, but it is no assigned country."""

_DATA: Final[dict[str, Any]] = tomllib.loads(packaged_text("codes.toml"))

ASSIGNED_COUNTRIES: Final[frozenset[str]] = frozenset(
    [*_DATA["assigned"].split(), *_DATA["counted_as_assigned"].split()]
)
"""ISO 3166-1 alpha-2, officially assigned, and XK."""

COUNTRY_ALIASES: Final[Mapping[str, str]] = MappingProxyType(_DATA["country_aliases"])
"""UK and EL, each to the code of ISO 3166-1."""

OWN_CODES: Final[Mapping[str, str]] = MappingProxyType(_DATA["own_codes"])
"""Subdivision to the alpha-2 code that it has of its own, e.g. US-PR to PR."""
