"""Addresses and networks, held to the standard library's slow and obvious ones."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.errors import UsageError
from pyxfrm.model import Address, Family, Network, ip, network

oracles = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@given(oracles)
def test_text_and_bytes_are_those_of_ipaddress(oracle: ipaddress.IPv4Address) -> None:
    made = ip(str(oracle))
    assert made == Address.of(oracle)
    assert made.packed == oracle.packed
    assert made.bits == oracle.max_prefixlen
    assert made.to_ipaddress() == oracle
    assert ip(str(made)) == made
    assert made.raw[: len(oracle.packed)] == oracle.packed
    assert len(made.raw) == 16


@given(oracles, st.data())
def test_a_network_holds_what_ipaddress_says(
    oracle: ipaddress.IPv4Address, data: st.DataObject
) -> None:
    prefix = data.draw(st.integers(0, oracle.max_prefixlen))
    wide = ipaddress.ip_network((oracle, prefix), strict=False)
    made = network(f"{oracle}/{prefix}")
    assert str(made.masked) == str(Network(Address.of(wide.network_address), prefix))
    flip = data.draw(st.integers(0, oracle.max_prefixlen - 1))
    other = type(oracle)(int(oracle) ^ (1 << flip))
    assert (Address.of(other) in made) == (other in wide)


def test_an_address_is_of_its_family_only() -> None:
    assert ip("::ffff:1.2.3.4") != ip("1.2.3.4")
    assert ip("::").family is Family.INET6
    assert ip("0.0.0.0").is_any
    assert ip("::1") not in network("0.0.0.0/0")
    nobody = Address.any(Family.UNSPEC)
    assert nobody not in {ip("::"), ip("0.0.0.0")}
    assert str(nobody) == "any"
    assert str(Address(Family.UNSPEC, b"\1" + bytes(15))).startswith("family-0:01")
    with pytest.raises(UsageError, match="is not IPv4 or IPv6"):
        nobody.to_ipaddress()


@pytest.mark.parametrize(
    "text",
    ["", "1.2.3", "1.2.3.4.5", "example.org", "1.2.3.256", "fe80::1%eth0", ":::", "1.2.3.4\0"],
)
def test_text_that_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="not an IPv4 or IPv6 address"):
        ip(text)


@pytest.mark.parametrize("text", ["1.2.3.4/33", "::/129", "1.2.3.4/", "1.2.3.4/-1", "1.2.3.4/²"])
def test_text_that_is_no_network(text: str) -> None:
    with pytest.raises(UsageError, match="prefix"):
        network(text)


def test_bytes_must_be_those_of_the_family() -> None:
    for family, size in ((Family.INET, 16), (Family.INET6, 4), (Family.UNSPEC, 4)):
        with pytest.raises(UsageError, match="bytes"):
            Address(family, bytes(size))


def test_repr_can_be_typed_in() -> None:
    for value in (ip("192.0.2.1"), network("2001:db8::/32")):
        assert eval(repr(value)) == value
