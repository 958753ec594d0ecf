"""Which packets: selectors, and marks.

A selector matches a packet by its addresses, its protocol, its ports (or ICMP type and code, which the kernel looks for in their place),
and the interface. Zero means "any" everywhere.

A mark matches where ``packet & mask == value``. :class:`Mark` ``(0, 0)`` matches everything and is *not* the same as
no mark said: it is sent as it stands.

>>> Selector(network("10.1.0.0/16"), network("10.2.0.0/16"))
Selector(src=10.1.0.0/16, dst=10.2.0.0/16)
>>> Mark(0x100, 0xFF)
Traceback (most recent call last):
    ...
pyxfrm.errors.UsageError: mark 0x100/0xff: bits of the value outside the mask match no packet
"""

from __future__ import annotations

from dataclasses import dataclass

from pyxfrm.errors import UsageError
from pyxfrm.model.address import Address, Network, network
from pyxfrm.model.checks import U8, U16, U32, uint
from pyxfrm.model.kinds import Family

__all__ = ["ANY_PORT", "Mark", "Port", "Selector", "network"]


@dataclass(frozen=True, slots=True)
class Mark:
    """``value`` and ``mask``, 32 bits each. The mask is all ones unless given."""

    value: int
    mask: int = U32

    def __post_init__(self) -> None:
        uint("mark", self.value, U32)
        uint("mark's mask", self.mask, U32)
        if self.value & ~self.mask:
            raise UsageError(f"mark {self}: bits of the value outside the mask match no packet")

    @property
    def key(self) -> int:
        """``value & mask``: what the kernel looks an SA up by (include/net/xfrm.h: xfrm_mark_get)."""
        return self.value & self.mask

    def matches(self, mark: int) -> bool:
        """Whether a packet's mark, or a lookup's key, is one of this mark's."""
        return mark & self.mask == self.value

    @property
    def findable(self) -> bool:
        """False for a mark that matches nothing: such an SA can be installed and never found."""
        return not self.value & ~self.mask

    def __str__(self) -> str:
        return f"{self.value:#x}/{self.mask:#x}"


@dataclass(frozen=True, slots=True)
class Port:
    """A port with a mask, or an ICMP type or code. All ones unless given: just this port."""

    value: int
    mask: int = U16

    def __post_init__(self) -> None:
        uint("port", self.value, U16)
        uint("port's mask", self.mask, U16)
        if self.value & ~self.mask:
            raise UsageError(f"port {self}: bits outside the mask match no packet")

    def __str__(self) -> str:
        return str(self.value) if self.mask == U16 else f"{self.value}/{self.mask:#x}"


ANY_PORT = Port(0, 0)


@dataclass(frozen=True, slots=True, repr=False)
class Selector:
    """The packets of a policy, or of an SA. Both networks are of one family.

    ``proto``    upper-layer protocol number, 0 any
    ``sport``, ``dport``  ports; for ICMP the type and the code
    ``ifindex``  interface, 0 any
    ``user``     user id (the kernel keeps it and does not look at it)
    """

    saddr: Network
    daddr: Network
    proto: int = 0
    sport: Port = ANY_PORT
    dport: Port = ANY_PORT
    ifindex: int = 0
    user: int = 0

    def __post_init__(self) -> None:
        if self.saddr.family != self.daddr.family:
            raise UsageError(f"selector: {self.saddr} and {self.daddr} are of two families")
        uint("selector's protocol", self.proto, U8)
        uint("selector's interface index", self.ifindex, (1 << 31) - 1)
        uint("selector's user", self.user, U32)

    @classmethod
    def any(cls, family: Family) -> Selector:
        """All packets of a family. UNSPEC in an SA: the SA's own family (unless flag AF_UNSPEC is set)."""
        return cls(Network.any(family), Network.any(family))

    @classmethod
    def hosts(cls, saddr: Address, daddr: Address) -> Selector:
        """All packets from one host to another."""
        return cls(Network.host(saddr), Network.host(daddr))

    @property
    def family(self) -> Family:
        """The family of both networks."""
        return self.daddr.family

    def reversed(self) -> Selector:
        """The packets of the other direction."""
        return Selector(
            self.daddr, self.saddr, self.proto, self.dport, self.sport, self.ifindex, self.user
        )

    def __str__(self) -> str:
        text = f"src {self.saddr} dst {self.daddr}"
        if self.proto:
            text += f" proto {self.proto}"
        for name, port in (("sport", self.sport), ("dport", self.dport)):
            if port != ANY_PORT:
                text += f" {name} {port}"
        if self.ifindex:
            text += f" dev {self.ifindex}"
        return text

    def __repr__(self) -> str:
        words = str(self).split(" ")
        fields = [f"{k}={v}" for k, v in zip(words[::2], words[1::2], strict=True)]
        if self.user:
            fields.append(f"user={self.user}")
        return f"Selector({', '.join(fields)})"
