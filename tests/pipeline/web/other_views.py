"""Handlers for the routes that a test does not ask."""

from pipeline.web.install import ROUTES


def other_views(handlers):
    """A handler for each route that has none among `handlers`."""
    bound = {name for group in handlers for name in group}
    return {route.name: _not_asked for route in ROUTES if route.name not in bound}


async def _not_asked(call):
    raise AssertionError(f"{call.route.path} was asked")


class NoPeers:
    """The only worker there is."""

    def check(self, request, proof):
        raise AssertionError(f"{proof} came with {request.path}")

    def take(self, call):
        raise AssertionError(f"{call} was forwarded")

    def sign(self, call, response):
        raise AssertionError(f"{call} was answered with {response}")
