"""Errors as problem documents (RFC 9457)."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import rfc9457
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

PROBLEM_JSON: Final = "application/problem+json"


class FieldError(BaseModel):
    """What is wrong with one field."""

    model_config = ConfigDict(frozen=True)

    path: str = Field(description="the field, parts joined by dots; empty for the whole")
    message: str
    type: str = Field(description="a stable name of the kind of error")


class ProblemDocument(BaseModel):
    """A problem document. `errors` stands there where fields are wrong."""

    model_config = ConfigDict(extra="allow", title="Problem")

    type: str = Field(description="about:blank: the status says what kind of problem it is")
    title: str
    status: int
    detail: str | None = None
    instance: str | None = Field(None, description="the path of the request")
    errors: list[FieldError] | None = None


class Problem(rfc9457.Problem):
    """An error that is sent to the caller.

    Args:
        status: the HTTP status; its phrase is the title.
        detail: one sentence that names the thing, its value and the way out.
        errors: of fields.
        retry_after: seconds after which a retry makes sense.
        headers: more headers of the answer.
        extras: more members of the document.
    """

    def __init__(
        self,
        status: int,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
        **extras: Any,  # noqa: ANN401 - members of the document are any JSON
    ) -> None:
        more = dict(headers or {})
        if retry_after is not None:
            more["Retry-After"] = str(max(1, round(retry_after)))
        if errors:
            extras["errors"] = [error.model_dump() for error in errors]
        super().__init__(HTTPStatus(status).phrase, detail=detail, status=status, headers=more, **extras)

    def response(self, instance: str) -> web.Response:
        """The answer to a request for the path `instance`."""
        document = self.marshal(uri="about:blank", strict=True)
        document["instance"] = instance
        members = ProblemDocument.model_validate(document).model_dump(exclude_none=True)
        # The document may quote what a client sent, with bytes that are no text.
        body = json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        return web.Response(body=body, status=self.status, headers=self.headers, content_type=PROBLEM_JSON)


def unauthorized(detail: str) -> Problem:
    """401: there is no token, or it is not valid (RFC 6750)."""
    return Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": 'Bearer realm="ott"'})


def unavailable(detail: str, retry_after: float = 1.0) -> Problem:
    """503: temporarily unavailable; retry shortly."""
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, retry_after=retry_after)


def invalid(error: ValidationError, what: str) -> Problem:
    """400: a query, a form or a body is not valid.

    Args:
        error: from the model.
        what: "query", "form" or "body".
    """
    errors = [
        FieldError(path=".".join(map(str, entry["loc"])), message=entry["msg"], type=entry["type"])
        for entry in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    names = ", ".join(dict.fromkeys(entry.path or what for entry in errors))
    return Problem(HTTPStatus.BAD_REQUEST, f"the {what} is not valid: {names}", errors=errors)
