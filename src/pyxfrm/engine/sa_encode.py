"""An SA as bytes: the structure and attributes of NEWSA, UPDSA, DELSA and EXPIRE.

The order of attributes is the kernel's (net/xfrm/xfrm_user.c: copy_to_user_state_extra).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pyxfrm.abi import messages as m
from pyxfrm.abi.structs import LifetimeCfg, ReplayState, ReplayStateEsn, Selector
from pyxfrm.abi.xfrm import XFRM_OFFLOAD_INBOUND, XFRM_OFFLOAD_PACKET
from pyxfrm.engine.replies import attr, attr_u8, attr_u16, attr_u32, attr_u64
from pyxfrm.engine.sa import NO_PCPU, Iptfs
from pyxfrm.wire.codec import codec

if TYPE_CHECKING:
    from pyxfrm.abi.profiles import Profile
    from pyxfrm.engine.sa import Sa

__all__ = [
    "direction_attributes",
    "encap_attribute",
    "lifetime_now",
    "mark_attribute",
    "offload_attribute",
    "replay_attribute",
    "sa_attributes",
    "sa_id",
    "sa_info",
    "sec_ctx_attribute",
    "selector_bytes",
    "smark_attributes",
    "u64_attribute",
]

selector_bytes = codec(Selector).encode
_limits = codec(LifetimeCfg).encode
_replay = codec(ReplayState).encode
_esn = codec(ReplayStateEsn).encode
_counters = struct.Struct("=QQQQ").pack
_tail = struct.Struct("=IIIIIHBBB7x").pack
_id = struct.Struct("=16s4sB3s").pack
_usersa_id = struct.Struct("=16s4sHBx").pack
_pair = struct.Struct("=HHII").pack
_offload = struct.Struct("=iB3x").pack
_sec_ctx = struct.Struct("=HHBBH").pack

_OFFLOAD_SHOWN = XFRM_OFFLOAD_INBOUND | XFRM_OFFLOAD_PACKET


def lifetime_now(sa: Sa) -> bytes:
    """struct xfrm_lifetime_cur (32 bytes)."""
    return _counters(sa.bytes, sa.packets, sa.add_time, sa.use_time)


def sa_info(sa: Sa) -> bytes:
    """struct xfrm_usersa_info (224 bytes)."""
    traits = sa.traits
    return (
        selector_bytes(sa.sel)
        + _id(sa.daddr, sa.spi, sa.proto, traits.id_pad)
        + sa.saddr
        + _limits(traits.lft)
        + lifetime_now(sa)
        + _tail(
            *sa.stats,
            traits.seq,
            sa.reqid,
            sa.family,
            traits.mode,
            traits.replay_window,
            traits.flags,
        )
    )


def sa_id(sa: Sa) -> bytes:
    """struct xfrm_usersa_id (24 bytes)."""
    return _usersa_id(sa.daddr, sa.spi, sa.family, sa.proto)


def u64_attribute(number: int, value: int, at: int, profile: Profile) -> bytes:
    """A 64-bit attribute at offset ``at`` of its datagram, with XFRMA_PAD before it where the kernel aligns it."""
    if profile.align_u64 and at % 8 == 0:
        return attr(m.XFRMA_PAD, b"") + attr_u64(number, value)
    return attr_u64(number, value)


def mark_attribute(mark: tuple[int, int]) -> bytes:
    """XFRMA_MARK, if there is a mark."""
    value, mask = mark
    return _pair(12, m.XFRMA_MARK, value, mask) if value | mask else b""


def smark_attributes(smark: tuple[int, int]) -> bytes:
    """XFRMA_SET_MARK and its mask, if there is one."""
    value, mask = smark
    if not value | mask:
        return b""
    return attr_u32(m.XFRMA_SET_MARK, value) + attr_u32(m.XFRMA_SET_MARK_MASK, mask)


def replay_attribute(sa: Sa) -> bytes:
    """XFRMA_REPLAY_ESN_VAL or XFRMA_REPLAY_VAL."""
    if sa.esn is not None:
        return attr(m.XFRMA_REPLAY_ESN_VAL, _esn(sa.esn))
    return attr(m.XFRMA_REPLAY_VAL, _replay(sa.replay))


def offload_attribute(offload: tuple[int, int] | None) -> bytes:
    """XFRMA_OFFLOAD_DEV, if there is a device: only the flags that say direction and kind."""
    if offload is None:
        return b""
    ifindex, flags = offload
    return attr(m.XFRMA_OFFLOAD_DEV, _offload(ifindex, flags & _OFFLOAD_SHOWN))


def sec_ctx_attribute(sec_ctx: tuple[int, int, bytes] | None) -> bytes:
    """XFRMA_SEC_CTX, if there is a context."""
    if sec_ctx is None:
        return b""
    doi, alg, text = sec_ctx
    size = 8 + len(text)
    return attr(m.XFRMA_SEC_CTX, _sec_ctx(size, m.XFRMA_SEC_CTX, alg, doi, len(text)) + text)


def encap_attribute(encap: bytes) -> bytes:
    """XFRMA_ENCAP, its padding cleared."""
    return attr(m.XFRMA_ENCAP, encap[:6] + b"\0\0" + encap[8:])


def sa_attributes(sa: Sa, at: int, profile: Profile) -> bytes:
    """All attributes of an SA; ``at`` is the offset in the datagram where they begin."""
    traits = sa.traits
    first = b""
    if traits.extra_flags:
        first = attr_u32(m.XFRMA_SA_EXTRA_FLAGS, traits.extra_flags)
    if traits.coaddr is not None:
        first += attr(m.XFRMA_COADDR, traits.coaddr)
    if sa.lastused:
        first += u64_attribute(m.XFRMA_LASTUSED, sa.lastused, at + len(first), profile)
    first += traits.algorithms
    if sa.encap is not None:
        first += encap_attribute(sa.encap)
    if traits.tfcpad:
        first += attr_u32(m.XFRMA_TFCPAD, traits.tfcpad)
    first += mark_attribute(sa.mark) + smark_attributes(sa.smark) + replay_attribute(sa)
    return first + offload_attribute(sa.offload) + _last(sa)


def direction_attributes(sa: Sa) -> bytes:
    """XFRMA_SA_PCPU and XFRMA_SA_DIR, each if there is one."""
    traits = sa.traits
    made = b""
    if traits.pcpu_num != NO_PCPU:
        made = attr_u32(m.XFRMA_SA_PCPU, traits.pcpu_num)
    if traits.dir:
        made += attr_u8(m.XFRMA_SA_DIR, traits.dir)
    return made


def _last(sa: Sa) -> bytes:
    traits = sa.traits
    last = b""
    if traits.if_id:
        last = attr_u32(m.XFRMA_IF_ID, traits.if_id)
    last += sec_ctx_attribute(traits.sec_ctx)
    if traits.iptfs is not None:
        last += _iptfs(traits.iptfs)
    if sa.mapping_maxage:
        last += attr_u32(m.XFRMA_MTIMER_THRESH, sa.mapping_maxage)
    last += direction_attributes(sa)
    if sa.nat_keepalive:
        last += attr_u32(m.XFRMA_NAT_KEEPALIVE_INTERVAL, sa.nat_keepalive)
    return last


def _iptfs(iptfs: Iptfs) -> bytes:
    made = b""
    if iptfs.drop_time is not None:
        made += attr_u32(m.XFRMA_IPTFS_DROP_TIME, iptfs.drop_time)
    if iptfs.reorder_window is not None:
        made += attr_u16(m.XFRMA_IPTFS_REORDER_WINDOW, iptfs.reorder_window)
    if iptfs.dont_frag:
        made += attr(m.XFRMA_IPTFS_DONT_FRAG, b"")
    if iptfs.init_delay is not None:
        made += attr_u32(m.XFRMA_IPTFS_INIT_DELAY, iptfs.init_delay)
    if iptfs.max_qsize is not None:
        made += attr_u32(m.XFRMA_IPTFS_MAX_QSIZE, iptfs.max_qsize)
    if iptfs.pkt_size is not None:
        made += attr_u32(m.XFRMA_IPTFS_PKT_SIZE, iptfs.pkt_size)
    return made
