"""What the web views are asked: the parameters behind the question mark, and forms."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pipeline.coordination.pauses import MAX_REASON
from pipeline.events.instants import parse_instant


def _instant(text: str) -> str:
    parse_instant(text)
    return text


Instant = Annotated[str, AfterValidator(_instant), Field(json_schema_extra={"format": "date-time"})]


class Question(BaseModel):
    """Parameters; one that is not known is an error, as it would be missed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Limit(Question):
    """How many, at most."""

    limit: int = Field(50, ge=1, le=500)


class VerdictFilter(Limit):
    """Which verdicts."""

    level: Literal["HIGH", "MEDIUM", "LOW", "NONE"] | None = None
    rule: str | None = Field(None, max_length=100)
    region: str | None = Field(None, max_length=10)
    user_id: str | None = Field(None, max_length=255)
    since: Instant | None = Field(None, description="event time, inclusive")
    until: Instant | None = Field(None, description="event time, exclusive")
    cursor: str | None = Field(None, max_length=500, description="next_cursor of the page before")


class DryRun(Question):
    """Whether to say only what would change."""

    dry_run: bool = False


class PauseReason(Question):
    """Why consuming is paused."""

    reason: str | None = Field(
        None, min_length=1, max_length=MAX_REASON, description="shown until somebody resumes"
    )


class Timeout(Question):
    """How long to wait."""

    timeout: float = Field(30.0, gt=0, le=300, description="seconds")


class TokenForm(Question):
    """The password grant of OAuth 2 (RFC 6749, 4.3.2)."""

    grant_type: Literal["password"] = "password"
    username: str = Field(min_length=1, max_length=100)
    password: str = Field(min_length=1, max_length=1000, json_schema_extra={"format": "password"})
    scope: str | None = Field(None, max_length=1000, description="not used")
