"""Messages and attributes: each number in one row with what it carries.

A message row names the structure that opens it (``None``: nothing does) and the attribute space it uses: SA and
policy messages share ``XFRMA_*``, the two info messages have small spaces of their own. A dump request of
GETSA or GETPOLICY carries no structure: its attributes follow the header at once (net/xfrm/xfrm_user.c: xfrm_dump_sa).

An attribute row names its payload: a structure, an integer, or one of the shapes below. Sizes are those of
``xfrma_policy`` in net/xfrm/xfrm_user.c; what a kernel makes of an attribute is the engine's matter.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pyxfrm.abi import structs as s

__all__ = [
    "ATTRIBUTES",
    "Array",
    "Flag",
    "Int",
    "MESSAGES",
    "MessageRow",
    "Payload",
    "Raw",
    "SAD_ATTRIBUTES",
    "SPD_ATTRIBUTES",
]


class Int(NamedTuple):
    """A host-order unsigned integer of ``size`` bytes."""

    size: int


class Raw(NamedTuple):
    """``size`` bytes that stay bytes."""

    size: int


class Flag(NamedTuple):
    """No payload: its being there is the value."""


class Array(NamedTuple):
    """One or more of a structure, end to end."""

    of: type[Any]


Payload = type[Any] | Int | Raw | Flag | Array


class MessageRow(NamedTuple):
    """``body``: the structure that opens the message; ``space``: its attributes by number."""

    name: str
    body: type[Any] | Int | None
    space: dict[int, tuple[str, Payload]]


ATTRIBUTES: dict[int, tuple[str, Payload]] = {}
SAD_ATTRIBUTES: dict[int, tuple[str, Payload]] = {}
SPD_ATTRIBUTES: dict[int, tuple[str, Payload]] = {}
MESSAGES: dict[int, MessageRow] = {}

_ADDR = Raw(16)
_U8, _U16, _U32, _U64 = Int(1), Int(2), Int(4), Int(8)


def _attr(number: int, name: str, payload: Payload) -> int:
    ATTRIBUTES[number] = (name, payload)
    return number


XFRMA_UNSPEC = 0
XFRMA_ALG_AUTH = _attr(1, "XFRMA_ALG_AUTH", s.Algo)
XFRMA_ALG_CRYPT = _attr(2, "XFRMA_ALG_CRYPT", s.Algo)
XFRMA_ALG_COMP = _attr(3, "XFRMA_ALG_COMP", s.Algo)
XFRMA_ENCAP = _attr(4, "XFRMA_ENCAP", s.EncapTmpl)
XFRMA_TMPL = _attr(5, "XFRMA_TMPL", Array(s.UserTmpl))
XFRMA_SA = _attr(6, "XFRMA_SA", s.UserSaInfo)
XFRMA_POLICY = _attr(7, "XFRMA_POLICY", s.UserPolicyInfo)
XFRMA_SEC_CTX = _attr(8, "XFRMA_SEC_CTX", s.UserSecCtx)
XFRMA_LTIME_VAL = _attr(9, "XFRMA_LTIME_VAL", s.LifetimeCur)
XFRMA_REPLAY_VAL = _attr(10, "XFRMA_REPLAY_VAL", s.ReplayState)
XFRMA_REPLAY_THRESH = _attr(11, "XFRMA_REPLAY_THRESH", _U32)
XFRMA_ETIMER_THRESH = _attr(12, "XFRMA_ETIMER_THRESH", _U32)
XFRMA_SRCADDR = _attr(13, "XFRMA_SRCADDR", _ADDR)
XFRMA_COADDR = _attr(14, "XFRMA_COADDR", _ADDR)
XFRMA_LASTUSED = _attr(15, "XFRMA_LASTUSED", _U64)
XFRMA_POLICY_TYPE = _attr(16, "XFRMA_POLICY_TYPE", s.UserPolicyType)
XFRMA_MIGRATE = _attr(17, "XFRMA_MIGRATE", Array(s.UserMigrate))
XFRMA_ALG_AEAD = _attr(18, "XFRMA_ALG_AEAD", s.AlgoAead)
XFRMA_KMADDRESS = _attr(19, "XFRMA_KMADDRESS", s.KmAddress)
XFRMA_ALG_AUTH_TRUNC = _attr(20, "XFRMA_ALG_AUTH_TRUNC", s.AlgoAuth)
XFRMA_MARK = _attr(21, "XFRMA_MARK", s.MarkVM)
XFRMA_TFCPAD = _attr(22, "XFRMA_TFCPAD", _U32)
XFRMA_REPLAY_ESN_VAL = _attr(23, "XFRMA_REPLAY_ESN_VAL", s.ReplayStateEsn)
XFRMA_SA_EXTRA_FLAGS = _attr(24, "XFRMA_SA_EXTRA_FLAGS", _U32)
XFRMA_PROTO = _attr(25, "XFRMA_PROTO", _U8)
XFRMA_ADDRESS_FILTER = _attr(26, "XFRMA_ADDRESS_FILTER", s.AddressFilter)
XFRMA_PAD = _attr(27, "XFRMA_PAD", Flag())
XFRMA_OFFLOAD_DEV = _attr(28, "XFRMA_OFFLOAD_DEV", s.UserOffload)
XFRMA_SET_MARK = _attr(29, "XFRMA_SET_MARK", _U32)
XFRMA_OUTPUT_MARK = XFRMA_SET_MARK  # its older name
XFRMA_SET_MARK_MASK = _attr(30, "XFRMA_SET_MARK_MASK", _U32)
XFRMA_IF_ID = _attr(31, "XFRMA_IF_ID", _U32)
XFRMA_MTIMER_THRESH = _attr(32, "XFRMA_MTIMER_THRESH", _U32)
XFRMA_SA_DIR = _attr(33, "XFRMA_SA_DIR", _U8)
XFRMA_NAT_KEEPALIVE_INTERVAL = _attr(34, "XFRMA_NAT_KEEPALIVE_INTERVAL", _U32)
XFRMA_SA_PCPU = _attr(35, "XFRMA_SA_PCPU", _U32)
XFRMA_IPTFS_DROP_TIME = _attr(36, "XFRMA_IPTFS_DROP_TIME", _U32)
XFRMA_IPTFS_REORDER_WINDOW = _attr(37, "XFRMA_IPTFS_REORDER_WINDOW", _U16)
XFRMA_IPTFS_DONT_FRAG = _attr(38, "XFRMA_IPTFS_DONT_FRAG", Flag())
XFRMA_IPTFS_INIT_DELAY = _attr(39, "XFRMA_IPTFS_INIT_DELAY", _U32)
XFRMA_IPTFS_MAX_QSIZE = _attr(40, "XFRMA_IPTFS_MAX_QSIZE", _U32)
XFRMA_IPTFS_PKT_SIZE = _attr(41, "XFRMA_IPTFS_PKT_SIZE", _U32)
XFRMA_MAX = 41


def _sad(number: int, name: str, payload: Payload) -> int:
    SAD_ATTRIBUTES[number] = (name, payload)
    return number


XFRMA_SAD_UNSPEC = 0
XFRMA_SAD_CNT = _sad(1, "XFRMA_SAD_CNT", _U32)
XFRMA_SAD_HINFO = _sad(2, "XFRMA_SAD_HINFO", s.SadHinfo)
XFRMA_SAD_MAX = 2


def _spd(number: int, name: str, payload: Payload) -> int:
    SPD_ATTRIBUTES[number] = (name, payload)
    return number


XFRMA_SPD_UNSPEC = 0
XFRMA_SPD_INFO = _spd(1, "XFRMA_SPD_INFO", s.SpdInfo)
XFRMA_SPD_HINFO = _spd(2, "XFRMA_SPD_HINFO", s.SpdHinfo)
XFRMA_SPD_IPV4_HTHRESH = _spd(3, "XFRMA_SPD_IPV4_HTHRESH", s.SpdHthresh)
XFRMA_SPD_IPV6_HTHRESH = _spd(4, "XFRMA_SPD_IPV6_HTHRESH", s.SpdHthresh)
XFRMA_SPD_MAX = 4


def _msg(
    number: int,
    name: str,
    body: type[Any] | Int | None,
    space: dict[int, tuple[str, Payload]] = ATTRIBUTES,
) -> int:
    MESSAGES[number] = MessageRow(name, body, space)
    return number


XFRM_MSG_BASE = 0x10
XFRM_MSG_NEWSA = _msg(0x10, "XFRM_MSG_NEWSA", s.UserSaInfo)
XFRM_MSG_DELSA = _msg(0x11, "XFRM_MSG_DELSA", s.UserSaId)
XFRM_MSG_GETSA = _msg(0x12, "XFRM_MSG_GETSA", s.UserSaId)
XFRM_MSG_NEWPOLICY = _msg(0x13, "XFRM_MSG_NEWPOLICY", s.UserPolicyInfo)
XFRM_MSG_DELPOLICY = _msg(0x14, "XFRM_MSG_DELPOLICY", s.UserPolicyId)
XFRM_MSG_GETPOLICY = _msg(0x15, "XFRM_MSG_GETPOLICY", s.UserPolicyId)
XFRM_MSG_ALLOCSPI = _msg(0x16, "XFRM_MSG_ALLOCSPI", s.UserSpiInfo)
XFRM_MSG_ACQUIRE = _msg(0x17, "XFRM_MSG_ACQUIRE", s.UserAcquire)
XFRM_MSG_EXPIRE = _msg(0x18, "XFRM_MSG_EXPIRE", s.UserExpire)
XFRM_MSG_UPDPOLICY = _msg(0x19, "XFRM_MSG_UPDPOLICY", s.UserPolicyInfo)
XFRM_MSG_UPDSA = _msg(0x1A, "XFRM_MSG_UPDSA", s.UserSaInfo)
XFRM_MSG_POLEXPIRE = _msg(0x1B, "XFRM_MSG_POLEXPIRE", s.UserPolExpire)
XFRM_MSG_FLUSHSA = _msg(0x1C, "XFRM_MSG_FLUSHSA", s.UserSaFlush)
XFRM_MSG_FLUSHPOLICY = _msg(0x1D, "XFRM_MSG_FLUSHPOLICY", None)
XFRM_MSG_NEWAE = _msg(0x1E, "XFRM_MSG_NEWAE", s.AeventId)
XFRM_MSG_GETAE = _msg(0x1F, "XFRM_MSG_GETAE", s.AeventId)
XFRM_MSG_REPORT = _msg(0x20, "XFRM_MSG_REPORT", s.UserReport)
XFRM_MSG_MIGRATE = _msg(0x21, "XFRM_MSG_MIGRATE", s.UserPolicyId)
XFRM_MSG_NEWSADINFO = _msg(0x22, "XFRM_MSG_NEWSADINFO", _U32, SAD_ATTRIBUTES)
XFRM_MSG_GETSADINFO = _msg(0x23, "XFRM_MSG_GETSADINFO", _U32, SAD_ATTRIBUTES)
XFRM_MSG_NEWSPDINFO = _msg(0x24, "XFRM_MSG_NEWSPDINFO", _U32, SPD_ATTRIBUTES)
XFRM_MSG_GETSPDINFO = _msg(0x25, "XFRM_MSG_GETSPDINFO", _U32, SPD_ATTRIBUTES)
XFRM_MSG_MAPPING = _msg(0x26, "XFRM_MSG_MAPPING", s.UserMapping)
XFRM_MSG_SETDEFAULT = _msg(0x27, "XFRM_MSG_SETDEFAULT", s.UserPolicyDefault)
XFRM_MSG_GETDEFAULT = _msg(0x28, "XFRM_MSG_GETDEFAULT", s.UserPolicyDefault)
XFRM_MSG_MIGRATE_STATE = _msg(0x29, "XFRM_MSG_MIGRATE_STATE", s.UserMigrateState)
XFRM_MSG_MAX = 0x29
XFRM_NR_MSGTYPES = XFRM_MSG_MAX + 1 - XFRM_MSG_BASE
