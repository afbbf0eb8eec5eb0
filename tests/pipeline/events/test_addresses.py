"""Addresses: one normal form, the network that rules count, the mask that outputs show."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.events.addresses import mask_network, parse_address


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_its_own_network(address):
    assert parse_address(str(address)) == (str(address), str(address))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_mapped_into_ipv6_is_the_ipv4_address(address):
    packed = int(address)
    for text in (
        f"::ffff:{address}",
        f"::FFFF:{packed >> 16:x}:{packed & 0xFFFF:x}",
        f"0:0:0:0:0:ffff:{address}",
    ):
        assert parse_address(text) == parse_address(str(address))


@given(st.ip_addresses(v=6).filter(lambda address: address.ipv4_mapped is None))
def test_every_spelling_of_an_ipv6_address_is_one_address(address):
    normal = parse_address(str(address))
    assert parse_address(address.exploded) == parse_address(address.exploded.upper()) == normal
    assert parse_address(normal.normal) == normal


@given(st.ip_addresses(v=6).filter(lambda address: address.ipv4_mapped is None), st.integers(0, 2**64 - 1))
def test_addresses_of_one_64_are_one_network(address, host):
    neighbour = ipaddress.IPv6Address(int(address) >> 64 << 64 | host)
    network = parse_address(str(address)).network
    if neighbour.ipv4_mapped is None:
        assert parse_address(str(neighbour)).network == network
    assert ipaddress.ip_address(address) in ipaddress.ip_network(network)


@pytest.mark.parametrize(
    ("text", "normal", "network"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("0.0.0.0", "0.0.0.0", "0.0.0.0"),
        ("255.255.255.255", "255.255.255.255", "255.255.255.255"),
        ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0:1::8", "2001:db8:0:1::8", "2001:db8:0:1::/64"),
        ("2001:0db8:0000:0001:0:0:0:8", "2001:db8:0:1::8", "2001:db8:0:1::/64"),
        ("::", "::", "::/64"),
        ("::1", "::1", "::/64"),
        # Not mapped, only written with an IPv4 tail.
        ("64:ff9b::192.0.2.7", "64:ff9b::c000:207", "64:ff9b::/64"),
    ],
)
def test_normal_forms(text, normal, network):
    assert parse_address(text) == (normal, network)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10.0.0.01",
        "010.0.0.1",
        "00.0.0.0",
        "10.0.0",
        "10.0.0.1.1",
        "10.0.0.256",
        "10.0.0.-1",
        "10.0.0.+1",
        "10.0.0. 1",
        "10.0.0.1\n",
        " 10.0.0.1",
        "10.0.0.1/32",
        "10.0.0.1:80",
        "0x0a.0.0.1",
        "167772161",
        "10.0.0.\uff11",
        "fe80::1%eth0",
        "fe80::1%",
        "::ffff:10.0.0.01",
        "::ffff:10.0.0.256",
        "::1/128",
        "[::1]",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1::2::3",
        "12345::",
        "g::",
        ":::",
        "localhost",
    ],
)
def test_what_is_not_an_address_is_refused(text):
    with pytest.raises(ValueError, match="must be an IPv4 or IPv6 address"):
        parse_address(text)


@given(st.ip_addresses())
def test_the_mask_keeps_24_bits_of_ipv4_and_48_of_ipv6(address):
    parsed = parse_address(str(address))
    effective = ipaddress.ip_address(parsed.normal)
    bits = 24 if effective.version == 4 else 48
    assert mask_network(parsed.network) == str(ipaddress.ip_network((effective, bits), strict=False))
