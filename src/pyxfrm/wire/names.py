"""What the numbers of a message mean, for people: ``50 esp``, ``0x605 REQUEST ACK EXCL CREATE``, ``198.51.100.1``.

An address is shown as one if the structure around it says of which family it is, and as its 16 bytes otherwise: nothing is guessed.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from pyxfrm.abi import netlink as n
from pyxfrm.abi import xfrm as c
from pyxfrm.abi.structs import UserSaId
from pyxfrm.errors import errno_name
from pyxfrm.wire.messages import message_name

__all__ = ["error_text", "family_of", "number_text", "plain_address"]

_FLAGS = {
    n.NLM_F_REQUEST: "REQUEST",
    n.NLM_F_MULTI: "MULTI",
    n.NLM_F_ACK: "ACK",
    n.NLM_F_ECHO: "ECHO",
    n.NLM_F_DUMP_INTR: "DUMP_INTR",
    n.NLM_F_DUMP_FILTERED: "DUMP_FILTERED",
}
_OF_AN_ERROR = {n.NLM_F_CAPPED: "CAPPED", n.NLM_F_ACK_TLVS: "ACK_TLVS"}
_OF_A_GET = {n.NLM_F_ROOT: "ROOT", n.NLM_F_MATCH: "MATCH", n.NLM_F_ATOMIC: "ATOMIC"}
_OF_A_NEW = {
    n.NLM_F_REPLACE: "REPLACE",
    n.NLM_F_EXCL: "EXCL",
    n.NLM_F_CREATE: "CREATE",
    n.NLM_F_APPEND: "APPEND",
}
_OF_A_DELETE = {n.NLM_F_NONREC: "NONREC", n.NLM_F_BULK: "BULK"}
_MODIFIERS = {"GET": _OF_A_GET, "NEW": _OF_A_NEW, "DEL": _OF_A_DELETE}

_AF = {2: "inet", 10: "inet6"}
_NAMED = {
    "family": _AF,
    "old_family": _AF,
    "new_family": _AF,
    "mode": {
        c.XFRM_MODE_TRANSPORT: "transport",
        c.XFRM_MODE_TUNNEL: "tunnel",
        c.XFRM_MODE_ROUTEOPTIMIZATION: "ro",
        c.XFRM_MODE_IN_TRIGGER: "in_trigger",
        c.XFRM_MODE_BEET: "beet",
        c.XFRM_MODE_IPTFS: "iptfs",
    },
    "proto": {
        1: "icmp",
        6: "tcp",
        17: "udp",
        c.IPPROTO_ESP: "esp",
        c.IPPROTO_AH: "ah",
        58: "icmpv6",
        c.IPPROTO_COMP: "comp",
    },
}


def number_text(field: str, item: int, record: Any) -> str:
    """A number of ``record`` as text."""
    if field == "nlmsg_type":
        return f"{item} {message_name(item)}"
    if field == "nlmsg_flags":
        return _flags(item, record.nlmsg_type)
    if field == "spi":
        return f"0x{item:08x}"
    name = _NAMED.get(field, {}).get(item)
    return f"{item} {name}" if name else str(item)


def _flags(flags: int, kind: int) -> str:
    name = message_name(kind)
    control = name in ("NLMSG_ERROR", "NLMSG_DONE")
    more = _OF_AN_ERROR if control else _MODIFIERS.get(name.removeprefix("XFRM_MSG_")[:3], {})
    known = [text for bit, text in (_FLAGS | more).items() if flags & bit]
    return " ".join([hex(flags), *known])


def error_text(error: int) -> str:
    """``-22 EINVAL``; ``0``."""
    name = errno_name(-error)
    return f"{error} {name}" if name.startswith("E") else str(error)


def family_of(record: Any, field: str, around: int) -> int:
    """The family of the address (or of the structure with one) in ``field``; ``around``: that of the structure around ``record``. 0: none is said."""
    for name in (f"{field[:4]}family", "family"):
        if hasattr(record, name):
            return int(getattr(record, name))
    for item in record:
        if isinstance(item, UserSaId):
            return int(item.family)
    return around


def plain_address(address: bytes, family: int) -> str | None:
    """16 bytes as an address of the family; None if they are not just that."""
    if family == c.AF_INET6:
        return str(IPv6Address(address))
    if family == c.AF_INET and not any(address[4:]):
        return str(IPv4Address(address[:4]))
    return None
