"""Network addresses: the normal form, the network that rules count, and the masked form that outputs show."""

import ipaddress
from typing import Final, NamedTuple

IPV6_NETWORK_BITS: Final = 64
"""A household or a phone gets a whole /64, and its addresses change within that (RFC 6177, RFC 7934)."""

_OCTETS: Final = frozenset(str(octet) for octet in range(256))
_IPV4_PARTS: Final = 4


class Address(NamedTuple):
    """An IP address: its `normal` text, and the `network` that rules count (the IPv4 address, or the IPv6 /64)."""

    normal: str
    network: str


def parse_address(text: str) -> Address:
    """Read an IPv4 or IPv6 address. An IPv4-mapped IPv6 address becomes the IPv4 address.

    Raises:
        ValueError: for a zone, a leading zero, or anything else that is not an address.
    """
    octets = text.split(".")
    if len(octets) == _IPV4_PARTS and _OCTETS.issuperset(octets):
        return Address(text, text)
    if "%" in text or ":" not in text:
        raise ValueError("must be an IPv4 or IPv6 address without a zone or leading zeros")
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError("must be an IPv4 or IPv6 address without a zone or leading zeros") from None
    mapped = address.ipv4_mapped
    if mapped is not None:
        return Address(str(mapped), str(mapped))
    prefix = int(address) >> IPV6_NETWORK_BITS << IPV6_NETWORK_BITS
    return Address(str(address), f"{ipaddress.IPv6Address(prefix)}/{IPV6_NETWORK_BITS}")


def mask_network(network: str) -> str:
    """The network as outputs show it: the /24 of IPv4, the /48 of IPv6."""
    if ":" in network:
        return str(ipaddress.ip_network(network.partition("/")[0] + "/48", strict=False))
    return network.rpartition(".")[0] + ".0/24"
