"""What the web views are asked: the parameters behind the question mark, and forms."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pipeline.events.instants import parse_instant


def _instant(text: str) -> str:
    parse_instant(text)
    return text


AskedInstant = Annotated[str, AfterValidator(_instant), Field(json_schema_extra={"format": "date-time"})]


class Question(BaseModel):
    """Parameters; one that is not known is an error, as it would be missed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Limit(Question):
    """How many, at most."""

    limit: int = Field(50, ge=1, le=500)
