"""What the packets of one SA need to know about it, as plain values.

An engine or a program fills in an :class:`Association` from whatever it keeps; nothing here knows
netlink, policies or time. Addresses are raw (4 or 16 bytes, network order), numbers are plain
integers, flags are the kernel's bits (``pyxfrm.abi``), algorithm names are the kernel's.

The outer addresses say which family travels outside. In BEET mode the inner addresses (the SA's
selector) are part of the SA, because BEET packets do not carry them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from pyxfrm.abi import xfrm as abi
from pyxfrm.errors import UsageError

__all__ = ["Algorithm", "Association", "Encap", "Mode", "Proto"]


class Mode(IntEnum):
    """``xfrm_usersa_info.mode``: the modes that this room carries."""

    TRANSPORT = abi.XFRM_MODE_TRANSPORT
    TUNNEL = abi.XFRM_MODE_TUNNEL
    BEET = abi.XFRM_MODE_BEET


class Proto(IntEnum):
    """IP protocol numbers that matter to IPsec (IANA "Protocol Numbers")."""

    HOPOPTS = 0
    IPIP = 4
    UDP = 17
    IPV6 = 41
    ROUTING = 43
    FRAGMENT = 44
    ESP = 50
    AH = 51
    NONE = 59
    DSTOPTS = 60
    BEETPH = 94
    COMP = 108


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One algorithm as Linux names it, for example ``rfc4106(gcm(aes))`` with a 36-byte key.

    ``key`` is exactly what XFRMA_ALG_* carries: for GCM, GMAC, ChaCha20 and CTR the last 4 bytes
    are the salt (nonce), for CCM the last 3. ``icv_bits`` 0 means Linux's default truncation
    (``hmac(sha256)``: 96 bits); AEADs must name theirs.
    """

    name: str
    key: bytes = field(default=b"", repr=False)
    icv_bits: int = 0


class Encap(NamedTuple):
    """UDP encapsulation (``UDP_ENCAP_ESPINUDP``, RFC 3948): ports in host order, as sent out."""

    sport: int
    dport: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """One SA, one direction.

    ``proto``         Proto.ESP, AH, COMP, or IPIP / IPV6 (the bare tunnel beside IPComp)
    ``spi``           host order; for IPComp the CPI in the low 16 bits
    ``saddr, daddr``  outer addresses, both 4 or both 16 bytes
    ``aead``, ``crypt``, ``auth``, ``comp``   as XFRMA_ALG_AEAD, _CRYPT, _AUTH(_TRUNC), _COMP
    ``flags``         XFRM_STATE_* (ESN, NOECN, DECAP_DSCP, NOPMTUDISC, ALIGN4)
    ``extra_flags``   XFRM_SA_XFLAG_* (DONT_ENCAP_DSCP, OSEQ_MAY_WRAP)
    ``inner``         BEET: the selector's (saddr, daddr), both 4 or both 16 bytes
    ``comp_gains``    bytes that IPComp must have saved: for what comes in not to be refused, for
                      what goes out not to be left as it is; Linux 7.2 has (1, 4), 6.12 (4, 5)
    ``ttl``           TTL or hop limit of a tunnel's outer header (Linux: the route's, or 64)
    ``tfcpad``        bytes a payload is padded up to (XFRMA_TFCPAD), 0: no TFC padding
    ``mtu``           path MTU outside; TFC padding does not go beyond it
    ``bare``          no outer IP and UDP header at all: packets start with the ESP header, for
                      a socket whose kernel writes them (tunnel mode only)
    """

    proto: int = Proto.ESP
    spi: int
    saddr: bytes
    daddr: bytes
    mode: Mode = Mode.TUNNEL
    aead: Algorithm | None = None
    crypt: Algorithm | None = None
    auth: Algorithm | None = None
    comp: Algorithm | None = None
    flags: int = 0
    extra_flags: int = 0
    encap: Encap | None = None
    inner: tuple[bytes, bytes] | None = None
    comp_gains: tuple[int, int] = (1, 4)
    ttl: int = 64
    tfcpad: int = 0
    mtu: int = 1500
    bare: bool = False

    def __post_init__(self) -> None:
        for wrong, line in self._mistakes():
            if wrong:
                raise UsageError(f"SA spi 0x{self.spi:x}: {line}")

    def _mistakes(self) -> list[tuple[bool, str]]:
        beet = self.mode is Mode.BEET
        return [
            (not 0 <= self.spi <= 0xFFFFFFFF, "the SPI is a 32-bit number"),
            (not _same_family((self.saddr, self.daddr)), "saddr and daddr: both 4 or 16 bytes"),
            (beet and self.inner is None, "BEET mode needs the inner addresses"),
            (
                self.inner is not None and not _same_family(self.inner),
                "inner addresses: both 4 or both 16 bytes",
            ),
            (not 1 <= self.ttl <= 255, "ttl is 1 to 255"),
            (not 0 <= self.tfcpad <= 0xFFFF, "tfcpad is 0 to 65535 bytes"),
            (self.bare and self.mode is not Mode.TUNNEL, "bare packets exist in tunnel mode only"),
            (
                self.encap is not None and self.proto != Proto.ESP,
                "only ESP is encapsulated in UDP",
            ),
        ]

    @property
    def esn(self) -> bool:
        """Are sequence numbers 64 bits (RFC 4303 §2.2.1)?"""
        return bool(self.flags & abi.XFRM_STATE_ESN)

    @property
    def may_wrap(self) -> bool:
        """May 32-bit sequence numbers start again at 0?"""
        return bool(self.extra_flags & abi.XFRM_SA_XFLAG_OSEQ_MAY_WRAP)

    @property
    def family(self) -> int:
        """IP version outside: 4 or 6."""
        return 4 if len(self.daddr) == 4 else 6


def _same_family(pair: tuple[bytes, bytes]) -> bool:
    return len(pair[0]) == len(pair[1]) and len(pair[0]) in (4, 16)
