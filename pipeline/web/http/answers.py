"""The base of all answer models, and the models that several views share.

The models are what the OpenAPI document shows and what is sent. Times are ISO 8601 in UTC with milliseconds, as in
events. `null` means that a value is not known, or not known yet.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

RiskLevel = Literal["HIGH", "MEDIUM", "LOW", "NONE"]
Severity = Literal["HIGH", "MEDIUM", "LOW"]

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Share = Annotated[float, Field(ge=0, le=1)]


class Answer(BaseModel):
    """An answer. It has no member that its schema does not name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Document(BaseModel):
    """A message of the contract (docs/contract): its main members, and whatever else it carries."""

    model_config = ConfigDict(extra="allow", frozen=True)


AsOf = Annotated[
    str,
    Field(
        description="when this answer was made; the same question gets the same answer for a second",
        json_schema_extra={"format": "date-time"},
    ),
]


class Coverage(Answer):
    """From how many partitions an answer is. What is missing was not counted, and comes back after the rebalance."""

    partitions: int
    answered: int
    missing: list[int]


class Finding(Document):
    """A rule that fired, with its evidence (docs/contract, risk-verdict/1)."""

    rule_id: str
    dimension: str
    severity: Severity
    regulations: list[str]
    summary: str
    evidence: dict[str, Any]


class Subject(Answer):
    """Whom a verdict is about."""

    type: Literal["user", "content", "device"]
    id: str


class Verdict(Document):
    """A verdict (docs/contract, risk-verdict/1)."""

    verdict_id: str
    subject: Subject
    event_id: str | None
    user_id: str | None
    device_id: str | None
    content_id: str | None
    region: str | None
    event_type: str | None
    event_time: Instant
    risk_level: RiskLevel
    score: int
    dimensions: dict[str, str]
    findings: list[Finding]
    regulations: list[str]
    late: bool
