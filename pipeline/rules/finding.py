"""Findings: what a rule returns when it fires."""

from typing import Annotated, Final, Literal

import msgspec
from pydantic import Field

Severity = Literal["LOW", "MEDIUM", "HIGH"]
Dimension = Literal["privacy", "retention", "account", "content", "anomaly"]

POINTS: Final[dict[Severity, int]] = {"LOW": 1, "MEDIUM": 3, "HIGH": 5}
LEGAL: Final = frozenset({"privacy", "retention"})
"""The legal dimensions, whose points no plan adjusts. The others are behavioural."""

MAX_LIMIT: Final = 1_000_000_000
"""The largest limit that a rule set may have. A larger one is a typing error, and limits are evidence in JSON."""

Limit = Annotated[int, Field(ge=0, le=MAX_LIMIT, strict=True)]
"""A limit that a count has to exceed."""

LISTED: Final = 20
"""The most values that evidence lists. The exact count stands beside the list."""


class Finding(msgspec.Struct, frozen=True, gc=False):
    """The result of a rule that fired. The fields are in the order of the verdict's JSON.

    `evidence` has the values, the limits and the bounds of the window. It explains the finding without the code.
    """

    rule_id: str
    dimension: Dimension
    severity: Severity
    regulations: tuple[str, ...]
    summary: str
    evidence: dict[str, object]
    saturated: bool | msgspec.UnsetType = msgspec.UNSET


def graded(count: float, medium_over: float, high_over: float) -> Severity | None:
    """The severity of a count by two limits that it has to exceed; None where it exceeds neither."""
    if count > high_over:
        return "HIGH"
    if count > medium_over:
        return "MEDIUM"
    return None
