"""`/` and `/static/{name}`: the files of the dashboard, read once at the start and served from memory."""

from __future__ import annotations

import mimetypes
from hashlib import blake2b
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohttp import web

from pipeline.web.http.problems import Problem
from pipeline.web.http.routes import HTML, Route

if TYPE_CHECKING:
    from pipeline.web.http.calls import Call, Handlers


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
)


FILES: Final = Path(__file__).parents[1] / "static"
"""The files of this directory, without its subdirectories, are served under /static/; `/` is index.html."""

_PAGE: Final = "index.html"
_TEXT: Final = ("text/", "application/javascript", "application/json", "image/svg+xml")


class _File(NamedTuple):
    data: bytes
    media_type: str
    tag: str


def page_views(directory: Path = FILES) -> Handlers:
    """The handlers of `/` and `/static/{name}`."""
    files = {path.name: _read(path) for path in sorted(directory.iterdir()) if path.is_file()}

    def serve(call: Call, name: str) -> web.Response:
        file = files.get(name)
        if file is None:
            raise Problem(HTTPStatus.NOT_FOUND, f"the dashboard has no file {name}")
        headers = {"ETag": f'"{file.tag}"', "Cache-Control": "no-cache"}
        if any(etag.value in {file.tag, "*"} for etag in call.request.if_none_match or ()):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        charset = "utf-8" if file.media_type.startswith(_TEXT) or file.media_type == HTML else None
        return web.Response(body=file.data, content_type=file.media_type, charset=charset, headers=headers)

    async def dashboard(call: Call) -> web.Response:
        return serve(call, _PAGE)

    async def static_file(call: Call) -> web.Response:
        return serve(call, call.path["name"])

    return {"dashboard": dashboard, "static_file": static_file}


def _read(path: Path) -> _File:
    data = path.read_bytes()
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _File(data, media_type, blake2b(data, digest_size=12).hexdigest())
