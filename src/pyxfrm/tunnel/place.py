"""Where packets leave and arrive: local addresses, and pairs of a local and a remote one."""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_ntop
from typing import NamedTuple

from pyxfrm.abi.xfrm import IPPROTO_AH, IPPROTO_ESP

__all__ = ["Place", "UDP", "Via"]

UDP = 17
_NAMES = {UDP: "udp", IPPROTO_ESP: "esp", IPPROTO_AH: "ah"}


class Place(NamedTuple):
    """A local address that an SA uses; a socket of ours is bound there.

    ``address``  4 or 16 bytes
    ``proto``    UDP: encapsulated ESP; else the IP protocol itself: ESP, AH
    ``port``     of UDP, in host order; else 0
    """

    address: bytes
    proto: int
    port: int = 0

    @property
    def family(self) -> int:
        """AF_INET or AF_INET6."""
        return AF_INET if len(self.address) == 4 else AF_INET6

    @property
    def host(self) -> str:
        """The address as text."""
        return inet_ntop(self.family, self.address)

    def __str__(self) -> str:
        return f"{_end(self.address, self.port)} {_NAMES.get(self.proto, str(self.proto))}"


class Via(NamedTuple):
    """A way through the network: our place, and the address (4 or 16 bytes) and UDP port (or 0) of the other side."""

    place: Place
    address: bytes
    port: int = 0

    @property
    def host(self) -> str:
        """The other side's address as text."""
        return inet_ntop(self.place.family, self.address)

    def __str__(self) -> str:
        return f"{self.place} to {_end(self.address, self.port)}"


def _end(address: bytes, port: int) -> str:
    text = inet_ntop(AF_INET if len(address) == 4 else AF_INET6, address)
    if not port:
        return text
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"
