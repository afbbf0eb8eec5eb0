"""Peers for tests of one worker alone."""


class NoPeers:
    """The only worker there is."""

    def check(self, request, proof):
        raise AssertionError(f"{proof} came with {request.path}")

    def take(self, call):
        raise AssertionError(f"{call} was forwarded")

    def sign(self, call, response):
        raise AssertionError(f"{call} was answered with {response}")
