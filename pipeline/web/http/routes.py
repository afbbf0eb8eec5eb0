"""What a route is. Each view module lists its own as `ROUTES`; `pipeline.web.install` joins them.

A route says who may call it and what the request carries. The guard, the checks, the entry in the audit trail and the
part of `/openapi.json` all follow from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import BaseModel

Role = Literal["public", "analyst", "admin"]
Method = Literal["GET", "POST", "PUT", "DELETE"]

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
FORM: Final = "application/x-www-form-urlencoded"
HTML: Final = "text/html"
PROMETHEUS: Final = "text/plain"

ROLES: Final[tuple[Role, ...]] = ("public", "analyst", "admin")
"""In rising order: each role may call whatever the roles before it may call."""

KIB: Final = 1 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The body of a request.

    Attributes:
        model: validates a JSON object or a form; None: the handler gets the bytes.
        content: the models of the body by media type, for the OpenAPI document; none where it is a file. Other media
            types are refused.
        limit: the largest size in bytes.
    """

    model: type[BaseModel] | None = None
    content: Mapping[str, tuple[Any, ...]]
    limit: int


def json_body(model: type[BaseModel], limit: int = 64 * KIB) -> Body:
    """A body that is one JSON object."""
    return Body(model=model, content={JSON: (model,)}, limit=limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route.

    Attributes:
        name: of its handler; also the operation id in the OpenAPI document.
        method: the HTTP method; a GET route also answers HEAD.
        path: a template; a parameter in braces stands for one part of the path.
        role: the lowest role that may call it.
        summary: one line for the OpenAPI document.
        answers: the models of a successful answer; empty if the answer is not JSON.
        media_type: of a successful answer.
        status: of a successful answer.
        query: the model of the query parameters.
        body: the body of the request; None: there is none.
        problems: error statuses beside those that follow from the other attributes.
        subject: the path parameter or body member that names the subject in the audit trail.
        tag: its group in the OpenAPI document.
        demo: whether only the demo serves it.
        snapshot: whether it is about no single subject, so that `pipeline.web.http.snapshot` answers it. Its answer
            has `as_of`.
    """

    name: str
    method: Method
    path: str
    role: Role
    summary: str
    answers: tuple[type[BaseModel], ...] = ()
    media_type: str = JSON
    status: int = 200
    query: type[BaseModel] | None = None
    body: Body | None = None
    problems: tuple[int, ...] = ()
    subject: str | None = None
    tag: str = "worker"
    demo: bool = False
    snapshot: bool = False
    parameters: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Set `parameters` to the names in the path."""
        names = tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))
        object.__setattr__(self, "parameters", names)

    @property
    def statuses(self) -> tuple[int, ...]:
        """All error statuses that the route may answer with."""
        # 400: the target of any request may have a form that is not served. 500: any handler may have a bug.
        found = {400, 500, *self.problems}
        if self.body is not None:
            found |= {408, 413, 415, 503}
        if self.role != "public":
            found |= {401, 403, 502, 503}
        return tuple(sorted(found))
