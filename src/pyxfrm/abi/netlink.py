"""Of ``<linux/netlink.h>``: what an XFRM socket sees."""

from typing import NamedTuple

from pyxfrm.abi.ctypes import I32, NETLINK_H, U16, U32, c_struct

__all__ = [
    "NETLINK_ADD_MEMBERSHIP",
    "NETLINK_BROADCAST_ERROR",
    "NETLINK_CAP_ACK",
    "NETLINK_DROP_MEMBERSHIP",
    "NETLINK_EXT_ACK",
    "NETLINK_GET_STRICT_CHK",
    "NETLINK_LISTEN_ALL_NSID",
    "NETLINK_LIST_MEMBERSHIPS",
    "NETLINK_NO_ENOBUFS",
    "NETLINK_PKTINFO",
    "NETLINK_RX_RING",
    "NETLINK_TX_RING",
    "NETLINK_XFRM",
    "NLA_F_NESTED",
    "NLA_F_NET_BYTEORDER",
    "NLA_TYPE_MASK",
    "NLMSGERR_ATTR_COOKIE",
    "NLMSGERR_ATTR_MAX",
    "NLMSGERR_ATTR_MISS_NEST",
    "NLMSGERR_ATTR_MISS_TYPE",
    "NLMSGERR_ATTR_MSG",
    "NLMSGERR_ATTR_OFFS",
    "NLMSGERR_ATTR_POLICY",
    "NLMSGERR_ATTR_UNUSED",
    "NLMSG_DONE",
    "NLMSG_ERROR",
    "NLMSG_MIN_TYPE",
    "NLMSG_NOOP",
    "NLMSG_OVERRUN",
    "NLM_F_ACK",
    "NLM_F_ACK_TLVS",
    "NLM_F_APPEND",
    "NLM_F_ATOMIC",
    "NLM_F_BULK",
    "NLM_F_CAPPED",
    "NLM_F_CREATE",
    "NLM_F_DUMP",
    "NLM_F_DUMP_FILTERED",
    "NLM_F_DUMP_INTR",
    "NLM_F_ECHO",
    "NLM_F_EXCL",
    "NLM_F_MATCH",
    "NLM_F_MULTI",
    "NLM_F_NONREC",
    "NLM_F_REPLACE",
    "NLM_F_REQUEST",
    "NLM_F_ROOT",
    "NlAttr",
    "NlMsgErr",
    "NlMsgHdr",
    "SOL_NETLINK",
]

NETLINK_XFRM = 6
SOL_NETLINK = 270  # <linux/socket.h>

NLMSG_NOOP = 1
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLMSG_OVERRUN = 4
NLMSG_MIN_TYPE = 0x10

NLM_F_REQUEST = 0x01
NLM_F_MULTI = 0x02
NLM_F_ACK = 0x04
NLM_F_ECHO = 0x08
NLM_F_DUMP_INTR = 0x10
NLM_F_DUMP_FILTERED = 0x20
# Modifiers of a GET
NLM_F_ROOT = 0x100
NLM_F_MATCH = 0x200
NLM_F_ATOMIC = 0x400
NLM_F_DUMP = NLM_F_ROOT | NLM_F_MATCH
# Modifiers of a NEW
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800
# Modifiers of a DELETE
NLM_F_NONREC = 0x100
NLM_F_BULK = 0x200
# Flags of an NLMSG_ERROR
NLM_F_CAPPED = 0x100
NLM_F_ACK_TLVS = 0x200

NLMSGERR_ATTR_UNUSED = 0
NLMSGERR_ATTR_MSG = 1
NLMSGERR_ATTR_OFFS = 2
NLMSGERR_ATTR_COOKIE = 3
NLMSGERR_ATTR_POLICY = 4
NLMSGERR_ATTR_MISS_TYPE = 5
NLMSGERR_ATTR_MISS_NEST = 6
NLMSGERR_ATTR_MAX = 6

NLA_F_NESTED = 1 << 15
NLA_F_NET_BYTEORDER = 1 << 14
NLA_TYPE_MASK = ~(NLA_F_NESTED | NLA_F_NET_BYTEORDER) & 0xFFFF

# Socket options, level SOL_NETLINK
NETLINK_ADD_MEMBERSHIP = 1
NETLINK_DROP_MEMBERSHIP = 2
NETLINK_PKTINFO = 3
NETLINK_BROADCAST_ERROR = 4
NETLINK_NO_ENOBUFS = 5
NETLINK_RX_RING = 6
NETLINK_TX_RING = 7
NETLINK_LISTEN_ALL_NSID = 8
NETLINK_LIST_MEMBERSHIPS = 9
NETLINK_CAP_ACK = 10
NETLINK_EXT_ACK = 11
NETLINK_GET_STRICT_CHK = 12


@c_struct("nlmsghdr", NETLINK_H)
class NlMsgHdr(NamedTuple):
    """Opens every message (16 bytes); ``nlmsg_len`` counts it too."""

    nlmsg_len: U32
    nlmsg_type: U16
    nlmsg_flags: U16
    nlmsg_seq: U32
    nlmsg_pid: U32


@c_struct("nlmsgerr", NETLINK_H)
class NlMsgErr(NamedTuple):
    """Opens an NLMSG_ERROR (20 bytes): 0 (an ACK) or a negative errno, and the header answered."""

    error: I32
    msg: NlMsgHdr


@c_struct("nlattr", NETLINK_H)
class NlAttr(NamedTuple):
    """Opens every attribute (4 bytes); ``nla_len`` counts it but not the padding after it."""

    nla_len: U16
    nla_type: U16
