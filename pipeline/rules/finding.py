"""What a rule says when it fires."""

from typing import Annotated, Final, Literal

import msgspec
from pydantic import Field

Severity = Literal["LOW", "MEDIUM", "HIGH"]
Dimension = Literal["privacy", "retention", "account", "content", "anomaly"]

POINTS: Final[dict[Severity, int]] = {"LOW": 1, "MEDIUM": 3, "HIGH": 5}
LEGAL: Final = frozenset({"privacy", "retention"})
"""The dimensions of the law, which no plan touches; the others are behavioural."""

MAX_LIMIT: Final = 1_000_000_000
"""Limits stand in the evidence: beyond this they are a slip, and beyond 64 bits no JSON of ours."""

Limit = Annotated[int, Field(ge=0, le=MAX_LIMIT, strict=True)]
"""A number that a count has to exceed."""

LISTED: Final = 20
"""Evidence lists at most so many values; the exact count stands beside them."""


class Finding(msgspec.Struct, frozen=True, gc=False):
    """A rule that fired: the fields, in the order in which a verdict shows them.

    `evidence` holds the values, the limits and the window's bounds: enough to explain the finding without
    the code.
    """

    rule_id: str
    dimension: Dimension
    severity: Severity
    regulations: tuple[str, ...]
    summary: str
    evidence: dict[str, object]
    saturated: bool | msgspec.UnsetType = msgspec.UNSET


def graded(count: float, medium_over: float, high_over: float) -> Severity | None:
    """The severity of a count against two limits that it has to exceed."""
    if count > high_over:
        return "HIGH"
    if count > medium_over:
        return "MEDIUM"
    return None
