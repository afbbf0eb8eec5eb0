"""Serves some views over HTTP, without the rest of a worker: no other workers, no audit trail."""

from contextlib import asynccontextmanager
from types import SimpleNamespace

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from pipeline.web.access.client_address import ClientAddresses
from pipeline.web.http.serving import install


class NoPeers:
    """The only worker there is."""

    def check(self, request, proof):
        raise AssertionError(f"{proof} came with {request.path}")

    def take(self, call):
        raise AssertionError(f"{call} was forwarded")

    def sign(self, call, response):
        raise AssertionError(f"{call} was answered with {response}")


class _NoTrail:
    """Takes note of nothing."""

    async def note(self, *_, **__):
        pass


@asynccontextmanager
async def serving(routes, views, tokens, peers=None):
    """An HTTP client of these routes, whose handlers are in `views`."""
    # Serving needs only this of Faust's application.
    app = SimpleNamespace(web=SimpleNamespace(web_app=web.Application()))
    install(app, routes, [views], tokens, peers or NoPeers(), _NoTrail(), addresses=ClientAddresses())
    async with TestClient(TestServer(app.web.web_app)) as client:
        yield client
