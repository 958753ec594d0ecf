"""Structures of ``<linux/xfrm.h>`` (Linux 7.3), one row a field, in the header's order.

Integers are in host byte order unless their type says ``Be``. Names are C's; only ``in`` of
``struct xfrm_userpolicy_default`` had to become ``in_``, a word Python keeps for itself.
"""

from typing import Annotated, NamedTuple

from pyxfrm.abi.ctypes import (
    I32,
    U8,
    U16,
    U32,
    U64,
    Addr,
    AlgName,
    Be16,
    Be32,
    Blob,
    Padding,
    Secret,
    c_struct,
)

__all__ = [
    "AddressFilter",
    "AeventId",
    "Algo",
    "AlgoAead",
    "AlgoAuth",
    "EncapTmpl",
    "Id",
    "KmAddress",
    "LifetimeCfg",
    "LifetimeCur",
    "MarkVM",
    "ReplayState",
    "ReplayStateEsn",
    "SadHinfo",
    "SecCtx",
    "Selector",
    "SpdHinfo",
    "SpdHthresh",
    "SpdInfo",
    "Stats",
    "UserAcquire",
    "UserExpire",
    "UserMapping",
    "UserMigrate",
    "UserMigrateState",
    "UserOffload",
    "UserPolExpire",
    "UserPolicyDefault",
    "UserPolicyId",
    "UserPolicyInfo",
    "UserPolicyType",
    "UserReport",
    "UserSaFlush",
    "UserSaId",
    "UserSaInfo",
    "UserSecCtx",
    "UserSpiInfo",
    "UserTmpl",
]


@c_struct("xfrm_id")
class Id(NamedTuple):
    """Names an SA on input: destination, SPI, protocol (24 bytes)."""

    daddr: Addr
    spi: Be32
    proto: U8
    pad: Annotated[bytes, Padding(3)] = bytes(3)


@c_struct("xfrm_sec_ctx")
class SecCtx(NamedTuple):
    """A security context as the kernel keeps it (8 bytes and the text)."""

    ctx_doi: U8
    ctx_alg: U8
    ctx_len: U16
    ctx_sid: U32
    ctx_str: Blob = b""


@c_struct("xfrm_selector")
class Selector(NamedTuple):
    """Which packets: of a policy, or of an SA (56 bytes). Prefix lengths in bits."""

    daddr: Addr
    saddr: Addr
    dport: Be16
    dport_mask: Be16
    sport: Be16
    sport_mask: Be16
    family: U16
    prefixlen_d: U8
    prefixlen_s: U8
    proto: U8
    ifindex: I32
    user: U32
    pad: Annotated[bytes, Padding(3)] = bytes(3)


@c_struct("xfrm_lifetime_cfg")
class LifetimeCfg(NamedTuple):
    """Limits (64 bytes). For bytes and packets XFRM_INF means none; for seconds 0 means none."""

    soft_byte_limit: U64
    hard_byte_limit: U64
    soft_packet_limit: U64
    hard_packet_limit: U64
    soft_add_expires_seconds: U64
    hard_add_expires_seconds: U64
    soft_use_expires_seconds: U64
    hard_use_expires_seconds: U64


@c_struct("xfrm_lifetime_cur")
class LifetimeCur(NamedTuple):
    """Counters (32 bytes). Times are seconds since the epoch."""

    bytes: U64
    packets: U64
    add_time: U64
    use_time: U64


@c_struct("xfrm_replay_state")
class ReplayState(NamedTuple):
    """Sequence numbers of an SA with the legacy 32-packet window (12 bytes)."""

    oseq: U32
    seq: U32
    bitmap: U32


@c_struct("xfrm_replay_state_esn")
class ReplayStateEsn(NamedTuple):
    """Sequence numbers with a window of any size (24 bytes and ``bmp_len`` words of 4 bytes)."""

    bmp_len: U32
    oseq: U32
    seq: U32
    oseq_hi: U32
    seq_hi: U32
    replay_window: U32
    bmp: Blob = b""


@c_struct("xfrm_algo")
class Algo(NamedTuple):
    """An algorithm by the kernel's name, and its key; lengths in bits (68 bytes and the key)."""

    alg_name: AlgName
    alg_key_len: U32
    alg_key: Secret = b""


@c_struct("xfrm_algo_auth")
class AlgoAuth(NamedTuple):
    """An integrity algorithm with its truncated length in bits (72 bytes and the key)."""

    alg_name: AlgName
    alg_key_len: U32
    alg_trunc_len: U32
    alg_key: Secret = b""


@c_struct("xfrm_algo_aead")
class AlgoAead(NamedTuple):
    """A combined-mode algorithm with its ICV length in bits (72 bytes and the key with its salt)."""

    alg_name: AlgName
    alg_key_len: U32
    alg_icv_len: U32
    alg_key: Secret = b""


@c_struct("xfrm_stats")
class Stats(NamedTuple):
    """What an SA refused (12 bytes)."""

    replay_window: U32
    replay: U32
    integrity_failed: U32


@c_struct("xfrm_user_sec_ctx")
class UserSecCtx(NamedTuple):
    """A security context as user space names it (8 bytes and the text)."""

    len: U16
    exttype: U16
    ctx_alg: U8
    ctx_doi: U8
    ctx_len: U16
    ctx_str: Blob = b""


@c_struct("xfrm_user_tmpl")
class UserTmpl(NamedTuple):
    """A policy's template: the SA it asks for (64 bytes)."""

    id: Id
    family: U16
    saddr: Addr
    reqid: U32
    mode: U8
    share: U8
    optional: U8
    aalgos: U32
    ealgos: U32
    calgos: U32
    pad: Annotated[bytes, Padding(3)] = bytes(3)


@c_struct("xfrm_encap_tmpl")
class EncapTmpl(NamedTuple):
    """UDP or TCP encapsulation (24 bytes). Type 2 is UDP_ENCAP_ESPINUDP."""

    encap_type: U16
    encap_sport: Be16
    encap_dport: Be16
    encap_oa: Addr
    pad: Annotated[bytes, Padding(2)] = bytes(2)


@c_struct("xfrm_userpolicy_type")
class UserPolicyType(NamedTuple):
    """Main or sub policy (6 bytes)."""

    type: U8
    reserved1: U16
    reserved2: U8
    pad: Annotated[bytes, Padding(2)] = bytes(2)


@c_struct("xfrm_mark")
class MarkVM(NamedTuple):
    """A mark (8 bytes): matches where ``packet & m == v``."""

    v: U32
    m: U32


@c_struct("xfrmu_sadhinfo")
class SadHinfo(NamedTuple):
    """Buckets of the SA tables (8 bytes)."""

    sadhcnt: U32
    sadhmcnt: U32


@c_struct("xfrmu_spdinfo")
class SpdInfo(NamedTuple):
    """Number of policies a direction, and of per-socket ones (24 bytes)."""

    incnt: U32
    outcnt: U32
    fwdcnt: U32
    inscnt: U32
    outscnt: U32
    fwdscnt: U32


@c_struct("xfrmu_spdhinfo")
class SpdHinfo(NamedTuple):
    """Buckets of the policy tables (8 bytes)."""

    spdhcnt: U32
    spdhmcnt: U32


@c_struct("xfrmu_spdhthresh")
class SpdHthresh(NamedTuple):
    """From which prefix lengths on a policy is hashed (2 bytes)."""

    lbits: U8
    rbits: U8


@c_struct("xfrm_usersa_info")
class UserSaInfo(NamedTuple):
    """One SA (224 bytes)."""

    sel: Selector
    id: Id
    saddr: Addr
    lft: LifetimeCfg
    curlft: LifetimeCur
    stats: Stats
    seq: U32
    reqid: U32
    family: U16
    mode: U8
    replay_window: U8
    flags: U8
    pad: Annotated[bytes, Padding(7)] = bytes(7)


@c_struct("xfrm_usersa_id")
class UserSaId(NamedTuple):
    """Names one SA (24 bytes)."""

    daddr: Addr
    spi: Be32
    family: U16
    proto: U8
    pad: Annotated[bytes, Padding(1)] = bytes(1)


@c_struct("xfrm_aevent_id")
class AeventId(NamedTuple):
    """Names the SA of an asynchronous event, and why it came (48 bytes)."""

    sa_id: UserSaId
    saddr: Addr
    flags: U32
    reqid: U32


@c_struct("xfrm_userspi_info")
class UserSpiInfo(NamedTuple):
    """An SA without an SPI yet, and the range to choose one from, host order (232 bytes)."""

    info: UserSaInfo
    min: U32
    max: U32


@c_struct("xfrm_userpolicy_info")
class UserPolicyInfo(NamedTuple):
    """One policy (168 bytes)."""

    sel: Selector
    lft: LifetimeCfg
    curlft: LifetimeCur
    priority: U32
    index: U32  # type: ignore[assignment]  # hides tuple.index, which nobody needs
    dir: U8
    action: U8
    flags: U8
    share: U8
    pad: Annotated[bytes, Padding(4)] = bytes(4)


@c_struct("xfrm_userpolicy_id")
class UserPolicyId(NamedTuple):
    """Names one policy: by ``index``, or if that is 0 by selector (64 bytes)."""

    sel: Selector
    index: U32  # type: ignore[assignment]  # hides tuple.index, which nobody needs
    dir: U8
    pad: Annotated[bytes, Padding(3)] = bytes(3)


@c_struct("xfrm_user_acquire")
class UserAcquire(NamedTuple):
    """The kernel asks for an SA (280 bytes)."""

    id: Id
    saddr: Addr
    sel: Selector
    policy: UserPolicyInfo
    aalgos: U32
    ealgos: U32
    calgos: U32
    seq: U32


@c_struct("xfrm_user_expire")
class UserExpire(NamedTuple):
    """An SA reached a limit: soft (``hard`` 0) or hard (232 bytes)."""

    state: UserSaInfo
    hard: U8
    pad: Annotated[bytes, Padding(7)] = bytes(7)


@c_struct("xfrm_user_polexpire")
class UserPolExpire(NamedTuple):
    """A policy reached a limit (176 bytes)."""

    pol: UserPolicyInfo
    hard: U8
    pad: Annotated[bytes, Padding(7)] = bytes(7)


@c_struct("xfrm_usersa_flush")
class UserSaFlush(NamedTuple):
    """Which SAs to flush: a protocol, 0 or 255 for all (1 byte)."""

    proto: U8


@c_struct("xfrm_user_report")
class UserReport(NamedTuple):
    """A packet that a route-optimisation header made suspicious (60 bytes)."""

    proto: U8
    sel: Selector
    pad: Annotated[bytes, Padding(3)] = bytes(3)


@c_struct("xfrm_user_kmaddress")
class KmAddress(NamedTuple):
    """Addresses the key manager should use after a MIGRATE (40 bytes)."""

    local: Addr
    remote: Addr
    reserved: U32
    family: U16
    pad: Annotated[bytes, Padding(2)] = bytes(2)


@c_struct("xfrm_user_migrate")
class UserMigrate(NamedTuple):
    """One template's move in the old MIGRATE message (80 bytes)."""

    old_daddr: Addr
    old_saddr: Addr
    new_daddr: Addr
    new_saddr: Addr
    proto: U8
    mode: U8
    reserved: U16
    reqid: U32
    old_family: U16
    new_family: U16


@c_struct("xfrm_user_migrate_state")
class UserMigrateState(NamedTuple):
    """One SA's move in MIGRATE_STATE (132 bytes); docs/migrate-state.md tells each field."""

    id: UserSaId
    new_daddr: Addr
    new_saddr: Addr
    old_mark: MarkVM
    new_sel: Selector
    new_reqid: U32
    flags: U32
    new_family: U16
    reserved: U16


@c_struct("xfrm_user_mapping")
class UserMapping(NamedTuple):
    """A peer behind a NAT was seen at another address or port (64 bytes)."""

    id: UserSaId
    reqid: U32
    old_saddr: Addr
    new_saddr: Addr
    old_sport: Be16
    new_sport: Be16


@c_struct("xfrm_address_filter")
class AddressFilter(NamedTuple):
    """Restricts an SA dump to addresses; prefix lengths in bits (36 bytes)."""

    saddr: Addr
    daddr: Addr
    family: U16
    splen: U8
    dplen: U8


@c_struct("xfrm_user_offload")
class UserOffload(NamedTuple):
    """The device that carries an SA or policy (8 bytes)."""

    ifindex: I32
    flags: U8
    pad: Annotated[bytes, Padding(3)] = bytes(3)


@c_struct("xfrm_userpolicy_default")
class UserPolicyDefault(NamedTuple):
    """What happens to packets that no policy matches (3 bytes)."""

    in_: U8
    fwd: U8
    out: U8
