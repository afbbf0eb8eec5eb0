"""The laws of a region, as the packaged data file has them.

The values and their sources stand in `laws.toml`; other values, in the same layout, are read by `load_laws`.
"""

from typing import Final

from pipeline.jurisdictions.law_table import PACKAGED_LAWS, Law, LawTable, load_laws

__all__ = ["GDPR_BY_CLAIM", "Law", "LawTable", "laws_of", "load_laws"]

GDPR_BY_CLAIM: Final[Law] = PACKAGED_LAWS.gdpr_by_claim
"""The GDPR where only the producer says that it applies: no member state has lowered its consent age."""


def laws_of(region: str) -> tuple[Law, ...]:
    """The laws of a region in normal form, by id; a subdivision has its country's and its own."""
    return PACKAGED_LAWS.laws_of(region)
