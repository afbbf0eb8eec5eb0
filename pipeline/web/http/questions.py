"""The base of all models of query parameters and forms, and the model that several views share."""

from pydantic import BaseModel, ConfigDict, Field


class Question(BaseModel):
    """Query parameters or a form. An unknown name is an error, because it would have no effect."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Limit(Question):
    """How many, at most."""

    limit: int = Field(50, ge=1, le=500)
