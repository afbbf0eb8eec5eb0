"""The address of a request's client: the connection's, or the one that a trusted proxy names."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

Address = IPv4Address | IPv6Address

_FORWARDED_FOR: Final = "X-Forwarded-For"
_SITE_BITS: Final = 64
"""A customer of an IPv6 provider has at least a /64, and can use any address in it."""


class ClientAddresses:
    """Finds the client's address of a request.

    Args:
        trusted: addresses and networks of proxies whose `X-Forwarded-For` is believed.
    """

    def __init__(self, trusted: Sequence[str] = ()) -> None:
        self._trusted = [ip_network(network, strict=False) for network in trusted]

    def of(self, request: web.Request) -> str | None:
        """The address of the client; None where the connection has none.

        Each proxy appends the address of its own client. Only trusted proxies are believed, so the client's address is
        the right-most one that is not a trusted proxy.
        """
        nearest = _parsed(request.remote)
        if nearest is None:
            return None
        hops = ",".join(request.headers.getall(_FORWARDED_FOR, ())).split(",")
        while self._is_trusted(nearest) and hops:
            before = _parsed(hops.pop().strip())
            if before is None:
                break
            nearest = before
        # If no proxy is trusted, this is the address of the connection.
        return str(nearest)

    def is_proxy(self, address: str) -> bool:
        """Whether this is the address of a trusted proxy, which serves many clients."""
        parsed = _parsed(address)
        return parsed is not None and self._is_trusted(parsed)

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def site_of(address: str | None) -> str:
    """The site that counts as one client: an IPv4 address, or the /64 of an IPv6 address."""
    parsed = _parsed(address)
    if parsed is None:
        return str(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed.packed, _SITE_BITS), strict=False))
    return str(parsed)


def _parsed(text: str | None) -> Address | None:
    try:
        address = ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
