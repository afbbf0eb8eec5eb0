"""Network addresses: their normal form, the network a rule counts, and the mask that outputs show."""

import ipaddress
from typing import Final, NamedTuple

IPV6_NETWORK_BITS: Final = 64
"""One household or phone gets a /64 (RFC 6177, RFC 7934): its addresses change within it."""

_OCTETS: Final = frozenset(str(octet) for octet in range(256))
_IPV4_PARTS: Final = 4


class Address(NamedTuple):
    """An IP address: `normal` as text, and the `network` that rules count (IPv4 address, IPv6 /64)."""

    normal: str
    network: str


def parse_address(text: str) -> Address:
    """Read an IPv4 or IPv6 address; an IPv4-mapped IPv6 address is the IPv4 address.

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
    """The network as outputs show it: IPv4 by its /24, IPv6 by its /48."""
    if ":" in network:
        return str(ipaddress.ip_network(network.partition("/")[0] + "/48", strict=False))
    return network.rpartition(".")[0] + ".0/24"
