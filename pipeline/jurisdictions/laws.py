"""The laws of a region by the packaged data file, `laws.toml`, which has each value with its source.

`load_laws` reads other files in the same layout.
"""

from typing import Final

from pipeline.jurisdictions.law_table import PACKAGED_LAWS, Law, LawTable, load_laws

__all__ = ["GDPR_BY_CLAIM", "Law", "LawTable", "laws_of", "load_laws"]

GDPR_BY_CLAIM: Final[Law] = PACKAGED_LAWS.gdpr_by_claim
"""The GDPR for events outside of the EEA whose producer says that it applies, with its default consent age."""


def laws_of(region: str) -> tuple[Law, ...]:
    """The laws of a region in normal form, sorted by id. Those of a subdivision include its country's."""
    return PACKAGED_LAWS.laws_of(region)
