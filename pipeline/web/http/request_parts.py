"""What a request carries: the path parameters, the query and the body, read and checked."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from aiohttp import web
from pydantic import BaseModel, ValidationError

from pipeline.web.cluster.proofs import body_digest
from pipeline.web.http.limits import BODY_S, too_slow
from pipeline.web.http.problems import FieldError, Problem, invalid, unauthorized
from pipeline.web.http.routes import FORM

if TYPE_CHECKING:
    from pipeline.web.cluster.proofs import ForwardedCall
    from pipeline.web.http.limits import Room
    from pipeline.web.http.routes import Route

_MAX_PARAMETER: Final = 255


def read_path(request: web.Request, route: Route) -> dict[str, str]:
    """The parameters of the path.

    Raises:
        Problem: one is empty or too long.
    """
    path = {name: request.match_info[name] for name in route.parameters}
    wrong = [
        FieldError(path=name, message=f"must have 1 to {_MAX_PARAMETER} characters", type="length")
        for name, value in path.items()
        if not 1 <= len(value) <= _MAX_PARAMETER
    ]
    if wrong:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the path is not valid: {wrong[0].path}", errors=wrong)
    return path


def read_query(request: web.Request, route: Route) -> BaseModel | None:
    """The query as the route's model; None if the route has none.

    Raises:
        Problem: it is not valid.
    """
    model = route.query
    if model is None:
        return None
    given = request.query
    twice = sorted({name for name in given if len(given.getall(name)) > 1})
    if twice:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the query is not valid: {twice[0]} is given more than once")
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        raise invalid(error, "query") from None


async def read_body(
    request: web.Request, route: Route, forwarded: ForwardedCall | None, room: Room
) -> BaseModel | bytes | None:
    """The body as the route's model, or as bytes if the route has none; None for a route without a body.

    Args:
        request: that carries it.
        route: of the request.
        forwarded: what another worker has signed, if it forwards the request.
        room: for the body in memory.

    Raises:
        Problem: its type, its size or its content is not valid, or it is not the body that was signed.
    """
    body = route.body
    if body is None:
        if forwarded is not None:
            _check_body(forwarded, await read_at_most(request, 0, room))
        return None
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.strip().lower() != "identity":
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the body has the Content-Encoding {coding[:_MAX_PARAMETER]}; send it as it is",
            headers={"Accept-Encoding": "identity", "Connection": "close"},
        )
    if request.content_type not in body.content or "Content-Type" not in request.headers:
        # A page of another site can send text/plain without a CORS preflight, but no type that is allowed here.
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the body is {request.headers.get('Content-Type') or 'of no type'}; "
            f"it must be {' or '.join(body.content)}",
        )
    data = await read_at_most(request, body.limit, room)
    if forwarded is not None:
        _check_body(forwarded, data)
    if body.model is None:
        return data
    try:
        if request.content_type == FORM:
            return body.model.model_validate(dict(_form(data)))
        return body.model.model_validate_json(data)
    except ValidationError as error:
        raise invalid(error, "form" if request.content_type == FORM else "body") from None


def _check_body(forwarded: ForwardedCall, data: bytes) -> None:
    if body_digest(data) != forwarded.body:
        raise unauthorized("the signature is that of another body")


async def read_at_most(request: web.Request, limit: int, room: Room) -> bytes:
    """All bytes of the body.

    Raises:
        Problem: the body has more than `limit` bytes, takes too long, is malformed, or there is no room for it.
    """
    parts: list[bytes] = []
    size = 0
    if (request.content_length or 0) <= limit:
        try:
            async with asyncio.timeout(BODY_S):
                async for part in request.content.iter_any():
                    size += len(part)
                    if size > limit:
                        break
                    room.hold(size)
                    parts.append(part)
                else:
                    return b"".join(parts)
        except TimeoutError:
            raise too_slow(BODY_S) from None
        except (ConnectionError, web.RequestPayloadError):
            # The client has closed the connection, or the body is malformed.
            raise Problem(
                HTTPStatus.BAD_REQUEST, "the body cannot be read to its end", headers={"Connection": "close"}
            ) from None
    raise Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body has more than {limit} bytes; send less at a time",
        headers={"Connection": "close"},
    )


def _form(data: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=20, errors="strict")
    except ValueError:
        raise Problem(HTTPStatus.BAD_REQUEST, "the form cannot be read") from None
