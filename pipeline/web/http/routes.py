"""A route: what it may be asked, by whom, and what it answers. Each view module has the routes that it serves.

From a route come its guard, the checks of what it is given, its line in the audit trail, and its part of
`/openapi.json`. Handlers are bound to it by its name, see `pipeline.web.http.serving`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import BaseModel

Role = Literal["public", "analyst", "admin"]
Method = Literal["GET", "POST", "PUT"]

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
FORM: Final = "application/x-www-form-urlencoded"
HTML: Final = "text/html"
PROMETHEUS: Final = "text/plain"

ROLES: Final[tuple[Role, ...]] = ("public", "analyst", "admin")
"""Each may what the ones before it may."""

KIB: Final = 1 << 10
MANY_EVENTS: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What a request carries.

    Attributes:
        model: what a JSON object or a form is validated against; None: the handler reads the bytes.
        content: per media type the models of which it may be, for the document.
        limit: bytes.
    """

    model: type[BaseModel] | None = None
    content: Mapping[str, tuple[Any, ...]]
    limit: int


def json_body(model: type[BaseModel], limit: int = 64 * KIB) -> Body:
    """A JSON object of a model, of at most `limit` bytes."""
    return Body(model=model, content={JSON: (model,)}, limit=limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route.

    Attributes:
        name: of its handler, and the operation id.
        method: of HTTP; GET answers HEAD too.
        path: a template; a parameter is one part of the path.
        role: the least that may call it.
        summary: one line for the document.
        answers: the models of a good answer; empty for one that is not JSON.
        media_type: of a good answer.
        status: of a good answer.
        query: the parameters behind the question mark.
        body: what the request carries.
        problems: statuses of errors beside those that follow from the rest.
        subject: what the audit trail names: a parameter of the path, or a member of the body.
        tag: its group in the document.
        demo: whether it is there in the demo only.
        snapshot: whether it is about no single subject: its answers come from `pipeline.web.http.snapshot` and have
            `as_of`.
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
        """Find the parameters of the path."""
        names = tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))
        object.__setattr__(self, "parameters", names)

    @property
    def statuses(self) -> tuple[int, ...]:
        """Every status of an error that it may answer with."""
        # The target of any request may have a form that is not served.
        found = {400, 500, *self.problems}
        if self.body is not None:
            found |= {408, 413, 415, 503}
        if self.role != "public":
            found |= {401, 403, 502, 503}
        return tuple(sorted(found))
