"""Small numbers with names. Open: a number nobody has named yet is kept as it is.

>>> Proto(50), Proto(200)
(<Proto.ESP: 50>, <Proto.200: 200>)
>>> str(Mode.TUNNEL)
'tunnel'

Names in text are those that ``ip xfrm`` prints.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Any

from pyxfrm.abi import xfrm as c

__all__ = [
    "Action",
    "Default",
    "Direction",
    "EncapKind",
    "ExtraFlag",
    "Family",
    "Mode",
    "OffloadFlag",
    "PolicyFlag",
    "PolicyType",
    "Proto",
    "SaDir",
    "Share",
    "StateFlag",
]


class _Open(IntEnum):
    @classmethod
    def _missing_(cls, value: object) -> Any:
        if not isinstance(value, int):
            return None
        made = int.__new__(cls, value)
        made._name_ = str(value)
        made._value_ = value
        return made

    def __str__(self) -> str:
        return self._name_.lower().replace("_", "-")


class Family(_Open):
    """Address family: UNSPEC is a family of its own, "nobody said"."""

    UNSPEC = c.AF_UNSPEC
    INET = c.AF_INET
    INET6 = c.AF_INET6

    @property
    def bits(self) -> int:
        """Bits of an address: 32 for IPv4; 128 else."""
        return 32 if self == c.AF_INET else 128


class Proto(_Open):
    """What an SA does to packets, by IP protocol number."""

    ESP = c.IPPROTO_ESP
    AH = c.IPPROTO_AH
    COMP = c.IPPROTO_COMP
    IPIP = c.IPPROTO_IPIP
    IPV6 = c.IPPROTO_IPV6
    ROUTE2 = c.IPPROTO_ROUTING
    HAO = c.IPPROTO_DSTOPTS
    ANY = c.IPSEC_PROTO_ANY

    @property
    def by_spi(self) -> bool:
        """Whether SAs are found by SPI (else by both addresses: Mobile IPv6's)."""
        return self in (Proto.ESP, Proto.AH, Proto.COMP)


class Mode(_Open):
    """How a packet is wrapped."""

    TRANSPORT = c.XFRM_MODE_TRANSPORT
    TUNNEL = c.XFRM_MODE_TUNNEL
    RO = c.XFRM_MODE_ROUTEOPTIMIZATION
    IN_TRIGGER = c.XFRM_MODE_IN_TRIGGER
    BEET = c.XFRM_MODE_BEET
    IPTFS = c.XFRM_MODE_IPTFS

    @property
    def has_ends(self) -> bool:
        """Whether templates name the ends of its SAs (else a packet's own addresses count)."""
        return self in (Mode.TUNNEL, Mode.BEET, Mode.IPTFS)


class SaDir(_Open):
    """Direction of an SA, where it has one (Linux 6.10 and later)."""

    IN = c.XFRM_SA_DIR_IN
    OUT = c.XFRM_SA_DIR_OUT


class Direction(_Open):
    """Direction of a policy."""

    IN = c.XFRM_POLICY_IN
    OUT = c.XFRM_POLICY_OUT
    FWD = c.XFRM_POLICY_FWD


class Action(_Open):
    """What a policy does with the packets it matches."""

    ALLOW = c.XFRM_POLICY_ALLOW
    BLOCK = c.XFRM_POLICY_BLOCK


class Default(_Open):
    """What becomes of packets that no policy matches."""

    UNSPEC = c.XFRM_USERPOLICY_UNSPEC
    BLOCK = c.XFRM_USERPOLICY_BLOCK
    ACCEPT = c.XFRM_USERPOLICY_ACCEPT


class PolicyType(_Open):
    """Main policies, or sub policies (CONFIG_XFRM_SUB_POLICY)."""

    MAIN = c.XFRM_POLICY_TYPE_MAIN
    SUB = c.XFRM_POLICY_TYPE_SUB
    ANY = c.XFRM_POLICY_TYPE_ANY


class Share(_Open):
    """Who may share an SA (the kernel keeps it and does nothing with it)."""

    ANY = c.XFRM_SHARE_ANY
    SESSION = c.XFRM_SHARE_SESSION
    USER = c.XFRM_SHARE_USER
    UNIQUE = c.XFRM_SHARE_UNIQUE


class EncapKind(_Open):
    """What ESP is carried in."""

    ESPINUDP_NON_IKE = c.UDP_ENCAP_ESPINUDP_NON_IKE
    ESPINUDP = c.UDP_ENCAP_ESPINUDP
    ESPINTCP = c.TCP_ENCAP_ESPINTCP


class StateFlag(IntFlag):
    """Flags of an SA (``XFRM_STATE_*``); ESN is told by :class:`~pyxfrm.model.sa.ReplayState`."""

    NOECN = c.XFRM_STATE_NOECN
    DECAP_DSCP = c.XFRM_STATE_DECAP_DSCP
    NOPMTUDISC = c.XFRM_STATE_NOPMTUDISC
    WILDRECV = c.XFRM_STATE_WILDRECV
    ICMP = c.XFRM_STATE_ICMP
    AF_UNSPEC = c.XFRM_STATE_AF_UNSPEC
    ALIGN4 = c.XFRM_STATE_ALIGN4


class ExtraFlag(IntFlag):
    """More flags of an SA (``XFRM_SA_XFLAG_*``)."""

    DONT_ENCAP_DSCP = c.XFRM_SA_XFLAG_DONT_ENCAP_DSCP
    OSEQ_MAY_WRAP = c.XFRM_SA_XFLAG_OSEQ_MAY_WRAP


class PolicyFlag(IntFlag):
    """Flags of a policy (``XFRM_POLICY_*``)."""

    LOCALOK = c.XFRM_POLICY_LOCALOK
    ICMP = c.XFRM_POLICY_ICMP
    CPU_ACQUIRE = c.XFRM_POLICY_CPU_ACQUIRE


class OffloadFlag(IntFlag):
    """How a device carries an SA (``XFRM_OFFLOAD_*``). Without PACKET: cryptography only."""

    IPV6 = c.XFRM_OFFLOAD_IPV6
    INBOUND = c.XFRM_OFFLOAD_INBOUND
    PACKET = c.XFRM_OFFLOAD_PACKET
