"""The OpenAPI 3.1 document of a worker's routes."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, get_args

from openapi_pydantic import (
    Components,
    Info,
    MediaType,
    OpenAPI,
    Operation,
    Parameter,
    PathItem,
    RequestBody,
    Response,
    Schema,
)
from openapi_pydantic.util import PydanticSchema, construct_open_api_with_schema_class

from pipeline import __version__
from pipeline.web.http.problems import PROBLEM_JSON, ProblemDocument
from pipeline.web.http.routes import JSON

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.web.http.routes import Route

_SECURITY: Final = "password"
_DESCRIPTION: Final = (
    "Any worker answers any request: what it does not have itself it asks the others for. Errors are problem documents "
    "(RFC 9457). An answer gathered from several workers says how many partitions it covers."
)


def document(routes: Sequence[Route]) -> str:
    """The document as JSON.

    Args:
        routes: that are served.
    """
    paths: dict[str, dict[str, Operation]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    api = OpenAPI(
        info=Info(
            title="Risk and compliance judgement on OTT telemetry",
            version=__version__,
            description=_DESCRIPTION,
        ),
        paths={path: PathItem.model_validate(operations) for path, operations in paths.items()},
        components=Components.model_validate({"securitySchemes": {_SECURITY: _security_scheme()}}),
    )
    return construct_open_api_with_schema_class(api).model_dump_json(
        by_alias=True, exclude_none=True, indent=2
    )


def _operation(route: Route) -> Operation:
    good = Response(description=HTTPStatus(route.status).phrase)
    if route.answers:
        good.content = {route.media_type: MediaType(media_type_schema=_any_of(route.answers))}
    elif route.media_type == JSON:
        good.content = {JSON: MediaType(media_type_schema=Schema(type="object"))}
    else:
        good.content = {route.media_type: MediaType(media_type_schema=Schema(type="string"))}
    problem = {PROBLEM_JSON: MediaType(media_type_schema=PydanticSchema(schema_class=ProblemDocument))}
    responses: dict[str, Any] = {str(route.status): good}
    for status in route.statuses:
        responses[str(status)] = Response(description=HTTPStatus(status).phrase, content=problem)
    return Operation(
        operationId=route.name,
        summary=route.summary,
        tags=[route.tag],
        parameters=list(_parameters(route)) or None,
        requestBody=_request_body(route),
        responses=responses,
        security=None if route.role == "public" else [{_SECURITY: [route.role]}],
    )


def _parameters(route: Route) -> Iterator[Parameter]:
    for name in route.parameters:
        schema = Schema(type="string", minLength=1, maxLength=255)
        yield Parameter.model_validate({"name": name, "in": "path", "required": True, "schema": schema})
    if route.query is None:
        return
    schema_of_query = route.query.model_json_schema()
    for name, schema_of_one in schema_of_query["properties"].items():
        yield Parameter.model_validate(
            {
                "name": name,
                "in": "query",
                "required": name in schema_of_query.get("required", ()),
                "description": schema_of_one.get("description"),
                "schema": {
                    key: value for key, value in schema_of_one.items() if key not in {"title", "description"}
                },
            }
        )


def _request_body(route: Route) -> RequestBody | None:
    if route.body is None:
        return None
    content = {
        media: MediaType(
            media_type_schema=_any_of(models) if models else Schema(type="string", schema_format="binary")
        )
        for media, models in route.body.content.items()
    }
    return RequestBody(content=content, required=True)


def _any_of(models: Sequence[Any]) -> Schema:
    schemas = [_schema(model) for model in models]
    return schemas[0] if len(schemas) == 1 else Schema(anyOf=schemas)


def _schema(model: Any) -> Schema:  # noqa: ANN401 - a model, or a list of one
    of_items = get_args(model)
    if of_items:
        return Schema(type="array", items=_schema(of_items[0]))
    return PydanticSchema(schema_class=model)


def _security_scheme() -> dict[str, Any]:
    flow = {
        "tokenUrl": "/token",
        "scopes": {"analyst": "reads", "admin": "reads and acts"},
    }
    return {"type": "oauth2", "flows": {"password": flow}}
