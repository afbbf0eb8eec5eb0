"""The dashboard's files and the OpenAPI document: read once, served from memory."""

from __future__ import annotations

import mimetypes
from hashlib import blake2b
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohttp import web

from pipeline.web.http.openapi import document
from pipeline.web.http.problems import Problem
from pipeline.web.http.routes import HTML, JSON, Route

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.web.http.serving import Call, Handlers

FILES: Final = Path(__file__).parents[1] / "static"
"""What lies here, not in a directory below, is served under /static/; index.html is the page."""

_PAGE: Final = "index.html"
_TEXT: Final = ("text/", "application/javascript", "application/json", "image/svg+xml")


ROUTES: Final = (
    Route(
        name="dashboard",
        method="GET",
        path="/",
        role="public",
        summary="The dashboard",
        media_type=HTML,
        tag="page",
    ),
    Route(
        name="static_file",
        method="GET",
        path="/static/{name}",
        role="public",
        summary="A file of the dashboard",
        media_type="*/*",
        problems=(404,),
        tag="page",
    ),
    Route(
        name="openapi",
        method="GET",
        path="/openapi.json",
        role="public",
        summary="This document",
        tag="page",
    ),
)


class _File(NamedTuple):
    data: bytes
    media_type: str
    tag: str


def page_views(routes: Sequence[Route], directory: Path = FILES) -> Handlers:
    """The handlers of `/`, `/static/{name}` and `/openapi.json`.

    Args:
        routes: all that are served, for the document.
        directory: of the page's files.
    """
    page = _Page({path.name: _read(path) for path in sorted(directory.iterdir()) if path.is_file()}, routes)
    return {"dashboard": page.dashboard, "static_file": page.static_file, "openapi": page.openapi}


def _read(path: Path) -> _File:
    data = path.read_bytes()
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _File(data, media_type, blake2b(data, digest_size=12).hexdigest())


class _Page:
    def __init__(self, files: dict[str, _File], routes: Sequence[Route]) -> None:
        self._files = files
        self._routes = routes
        self._document: bytes | None = None

    async def dashboard(self, call: Call) -> web.Response:
        return self._serve(call, _PAGE)

    async def static_file(self, call: Call) -> web.Response:
        return self._serve(call, call.path["name"])

    async def openapi(self, call: Call) -> web.Response:  # noqa: ARG002 - the same for everybody
        if self._document is None:
            self._document = document(self._routes).encode()
        return web.Response(body=self._document, content_type=JSON)

    def _serve(self, call: Call, name: str) -> web.Response:
        file = self._files.get(name)
        if file is None:
            raise Problem(HTTPStatus.NOT_FOUND, f"the dashboard has no file {name}")
        headers = {"ETag": f'"{file.tag}"', "Cache-Control": "no-cache"}
        if any(etag.value in {file.tag, "*"} for etag in call.request.if_none_match or ()):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        charset = "utf-8" if file.media_type.startswith(_TEXT) or file.media_type == HTML else None
        return web.Response(body=file.data, content_type=file.media_type, charset=charset, headers=headers)
