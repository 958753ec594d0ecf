"""Addresses that know their family, and networks.

An :class:`Address` is a family and the bytes of that family, no more: cheap enough for a hundred thousand of them. Its text
is made on demand. :mod:`ipaddress` objects are taken and given at the edge (:meth:`Address.of`, :meth:`Address.to_ipaddress`).

The family is never guessed from the bytes. XFRM has addresses of no family (``AF_UNSPEC``, in the selector of an SA): they are
kept as 16 bytes.

>>> a = ip("192.0.2.1")
>>> a.family, a.packed
(<Family.INET: 2>, b'\\xc0\\x00\\x02\\x01')
>>> network("10.1.0.0/16")
network('10.1.0.0/16')
"""

from __future__ import annotations

from dataclasses import dataclass
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import TYPE_CHECKING

from pyxfrm.errors import UsageError
from pyxfrm.model.checks import fits, uint
from pyxfrm.model.kinds import Family

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

__all__ = ["Address", "Network", "ip", "network"]


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """``packed``: 4 bytes for INET; 16 for INET6 and for any other family. Network byte order."""

    family: Family
    packed: bytes

    def __post_init__(self) -> None:
        want = 4 if self.family is Family.INET else 16
        if type(self.packed) is not bytes or len(self.packed) != want:
            raise UsageError(f"address: family {self.family} has {want} bytes")

    @classmethod
    def any(cls, family: Family) -> Address:
        """All zeros: ``0.0.0.0``, ``::``, or the empty address of no family."""
        return _ANY.get(family) or cls(family, bytes(16))

    @classmethod
    def of(cls, address: IPv4Address | IPv6Address) -> Address:
        """From an :mod:`ipaddress` object."""
        return cls(Family.INET if address.version == 4 else Family.INET6, address.packed)

    def to_ipaddress(self) -> IPv4Address | IPv6Address:
        """As an :mod:`ipaddress` object. UsageError for an address of no family."""
        import ipaddress

        if self.family not in (Family.INET, Family.INET6):
            raise UsageError(f"address {self}: family {self.family} is not IPv4 or IPv6")
        return ipaddress.ip_address(self.packed)

    @property
    def bits(self) -> int:
        """32 for IPv4; 128 else."""
        return 8 * len(self.packed)

    @property
    def is_any(self) -> bool:
        """All zeros."""
        return not any(self.packed)

    @property
    def raw(self) -> bytes:
        """The 16 bytes of ``xfrm_address_t``: IPv4 first, then zeros."""
        return self.packed if len(self.packed) == 16 else self.packed + bytes(12)

    def __str__(self) -> str:
        if self.family is Family.INET:
            return inet_ntop(AF_INET, self.packed)
        if self.family is Family.INET6:
            return inet_ntop(AF_INET6, self.packed)
        return "any" if self.is_any else f"family-{int(self.family)}:{self.packed.hex()}"

    def __repr__(self) -> str:
        return f"ip({str(self)!r})"


_ANY = {
    Family.UNSPEC: Address(Family.UNSPEC, bytes(16)),
    Family.INET: Address(Family.INET, bytes(4)),
    Family.INET6: Address(Family.INET6, bytes(16)),
}


def ip(text: str) -> Address:
    """The address written ``text``: an IPv4 dotted quad or IPv6. No names, no zones."""
    family = Family.INET6 if ":" in text else Family.INET
    try:
        return Address(family, inet_pton(int(family), text))
    except (OSError, ValueError):
        raise UsageError(
            f"address {text!r}: not an IPv4 or IPv6 address (no names are looked up)"
        ) from None


@dataclass(frozen=True, slots=True, repr=False)
class Network:
    """The addresses that share the first ``prefix`` bits of ``address``.

    Bits after the prefix are kept as given (:attr:`masked` clears them): the kernel keeps them too, and two
    selectors that differ there only are two selectors.
    """

    address: Address
    prefix: int

    def __post_init__(self) -> None:
        if not fits(self.prefix, self.address.bits):
            uint(f"prefix length of {self.address}", self.prefix, self.address.bits)

    @classmethod
    def host(cls, address: Address) -> Network:
        """Just this one address."""
        return cls(address, address.bits)

    @classmethod
    def any(cls, family: Family) -> Network:
        """All addresses of a family."""
        return cls(Address.any(family), 0)

    @property
    def family(self) -> Family:
        """Its address's family."""
        return self.address.family

    @property
    def is_host(self) -> bool:
        """One address only."""
        return self.prefix == self.address.bits

    @property
    def masked(self) -> Network:
        """The same network with the bits after the prefix cleared."""
        size = len(self.address.packed)
        keep = -1 << max(self.address.bits - self.prefix, 0)
        bits = int.from_bytes(self.address.packed, "big") & keep
        return Network(Address(self.family, bits.to_bytes(size, "big")), self.prefix)

    def __contains__(self, address: Address) -> bool:
        if address.family != self.family:
            return False
        return Network(address, self.prefix).masked == self.masked

    def __str__(self) -> str:
        return f"{self.address}/{self.prefix}"

    def __repr__(self) -> str:
        return f"network({str(self)!r})"


def network(text: str) -> Network:
    """The network written ``text``: ``ADDRESS/PREFIX``, or an address alone for one host."""
    head, slash, tail = text.partition("/")
    address = ip(head)
    if not slash:
        return Network.host(address)
    if not (tail.isascii() and tail.isdigit()):
        raise UsageError(f"network {text!r}: the prefix length must be a whole number")
    return Network(address, int(tail))
