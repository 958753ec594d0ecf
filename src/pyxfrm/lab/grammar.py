"""What kinds of messages there are, how often each is sent, and how it is put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi import xfrm as x
from pyxfrm.abi.netlink import NLM_F_DUMP, NLM_F_REPLACE
from pyxfrm.lab.picker import FLAGS, MARKS, MODES, REQIDS, SPIS, V4, ZERO, Attrs, Picker

__all__ = ["KINDS", "Made", "WEIGHTS"]

Made = tuple[int, Any, Attrs]


def _info(g: Picker) -> s.UserSaInfo:
    rng = g.rng
    family, proto = g.family(), g.proto()
    spi = g.spi() if proto != x.IPPROTO_COMP or rng.random() < 0.05 else rng.choice((0x100, 0x101))
    return s.UserSaInfo(
        g.selector(family if rng.random() < 0.85 else g.family()),
        s.Id(g.address(family), spi, proto),
        g.address(family),
        g.limits(),
        s.LifetimeCur(0, 0, 0, 0),
        s.Stats(0, 0, 0),
        rng.choice((0, 0, 0, 1, 2)),
        rng.choice(REQIDS),
        family,
        rng.choice(MODES),
        rng.choice((0, 0, 32, 40)),
        rng.choice(FLAGS),
    )


def _new_sa(g: Picker, _kind: int) -> Made:
    info = _info(g)
    direction = g.rng.choice((None, 1, 2))
    attrs = g.algorithms(info.id.proto) + g.mark() + g.replay() + g.encap(0.2)
    attrs += g.u32(m.XFRMA_IF_ID, 0.15, 0, 5) + g.u32(m.XFRMA_SET_MARK, 0.1, 0, 7)
    attrs += g.u32(m.XFRMA_SET_MARK_MASK, 0.1, 0, 0xFF) + g.u32(m.XFRMA_TFCPAD, 0.05, 0, 100, 70000)
    attrs += g.u32(m.XFRMA_SA_EXTRA_FLAGS, 0.1, 1, 2, 3, 4)
    attrs += g.u32(m.XFRMA_MTIMER_THRESH, 0.06, 0, 10) + g.u32(m.XFRMA_SA_PCPU, 0.05, 0, 1)
    attrs += g.u32(m.XFRMA_NAT_KEEPALIVE_INTERVAL, 0.06, 0, 20)
    attrs += g.u32(m.XFRMA_REPLAY_THRESH, 0.05, 3) + g.u32(m.XFRMA_ETIMER_THRESH, 0.05, 0)
    attrs += g.some(0.03, (m.XFRMA_LTIME_VAL, s.LifetimeCur(10, 20, 1_700_000_000, 1_700_000_001)))
    attrs += g.some(0.04, (m.XFRMA_COADDR, g.address(info.family)))
    attrs += g.some(0.03, (m.XFRMA_SEC_CTX, s.UserSecCtx(11, 8, 1, 1, 3, b"ctx")))
    attrs += g.some(
        0.03,
        (m.XFRMA_OFFLOAD_DEV, s.UserOffload(g.rng.choice((1, 0, 99)), g.rng.choice((0, 2, 4, 8)))),
    )
    attrs += g.u32(m.XFRMA_IPTFS_PKT_SIZE, 0.03, 0, 1400) + g.u32(m.XFRMA_IPTFS_DROP_TIME, 0.03, 9)
    if direction:
        attrs.append((m.XFRMA_SA_DIR, direction))
    return 0, info, attrs


def _name_sa(g: Picker, kind: int) -> Made:
    dump = kind == m.XFRM_MSG_GETSA and g.rng.random() < 0.15
    attrs = g.mark() + g.some(0.2, (m.XFRMA_SRCADDR, g.address(x.AF_INET)))
    if not dump:
        return 0, g.sa_id(), attrs
    family = g.family()
    admit = s.AddressFilter(
        g.address(family),
        g.address(family),
        g.rng.choice((0, family)),
        g.rng.choice((0, 32, 129)),
        0,
    )
    attrs = g.some(0.3, (m.XFRMA_PROTO, g.proto())) + g.some(0.3, (m.XFRMA_ADDRESS_FILTER, admit))
    return NLM_F_DUMP, None, attrs


def _alloc_spi(g: Picker, _kind: int) -> Made:
    spi = g.rng.choice((0x500, 0x501, *SPIS))
    attrs = g.mark() + g.some(0.4, (m.XFRMA_SA_DIR, 1)) + g.u32(m.XFRMA_IF_ID, 0.1, 0, 5)
    return 0, s.UserSpiInfo(_info(g), spi, spi + g.rng.choice((0, 0, 0, -1))), attrs


def _migrate_state(g: Picker, _kind: int) -> Made:
    rng = g.rng
    family = g.family()
    um = s.UserMigrateState(
        g.sa_id(),
        g.address(family),
        g.address(family),
        s.MarkVM(*rng.choice(MARKS)),
        g.selector(family),
        rng.choice(REQIDS),
        rng.choices((0, 1, 2, 3, 4), (60, 10, 20, 5, 5))[0],
        family if rng.random() < 0.96 else 0,
        0 if rng.random() < 0.97 else 1,
    )
    attrs = g.mark() + g.encap(0.3) + g.u32(m.XFRMA_SET_MARK, 0.1, 0, 9)
    attrs += g.u32(m.XFRMA_SET_MARK_MASK, 0.1, 0xF) + g.u32(m.XFRMA_MTIMER_THRESH, 0.1, 0, 30)
    attrs += g.u32(m.XFRMA_NAT_KEEPALIVE_INTERVAL, 0.1, 0, 20) + g.u32(m.XFRMA_IF_ID, 0.02, 5)
    attrs += g.some(0.03, (m.XFRMA_OFFLOAD_DEV, s.UserOffload(1, 0)))
    return 0, um, attrs


def _policy_info(g: Picker) -> s.UserPolicyInfo:
    rng = g.rng
    return s.UserPolicyInfo(
        g.selector(g.family()),
        g.limits(),
        s.LifetimeCur(0, 0, 0, 0),
        rng.choice((0, 10, 20)),
        0 if rng.random() < 0.9 else rng.randrange(0, 64),
        rng.choices((0, 1, 2, 3), (30, 35, 30, 5))[0],
        rng.choices((0, 1, 2), (80, 17, 3))[0],
        rng.choice((0, 0, 1, 2)),
        rng.choices((0, 1, 3, 4), (85, 5, 5, 5))[0],
    )


def _new_policy(g: Picker, _kind: int) -> Made:
    info = _policy_info(g)
    attrs = g.templates(info.sel.family or x.AF_INET) + g.mark() + _policy_type(g)
    attrs += g.u32(m.XFRMA_IF_ID, 0.15, 0, 5)
    attrs += g.some(0.02, (m.XFRMA_SEC_CTX, s.UserSecCtx(11, 8, 1, 1, 3, b"ctx")))
    attrs += g.some(0.02, (m.XFRMA_OFFLOAD_DEV, s.UserOffload(g.rng.choice((1, 99)), 4)))
    return 0, info, attrs


def _policy_type(g: Picker) -> Attrs:
    kind = g.rng.choices((0, 1, 2), (50, 40, 10))[0]
    return g.some(0.15, (m.XFRMA_POLICY_TYPE, s.UserPolicyType(kind, 0, 0)))


def _name_policy(g: Picker, kind: int) -> Made:
    if kind == m.XFRM_MSG_GETPOLICY and g.rng.random() < 0.15:
        return NLM_F_DUMP, None, []
    info = _policy_info(g)
    attrs = g.mark() + _policy_type(g) + g.u32(m.XFRMA_IF_ID, 0.15, 0, 5)
    return 0, s.UserPolicyId(info.sel, info.index, info.dir), attrs


def _migrate(g: Picker, _kind: int) -> Made:
    rng = g.rng
    info = _policy_info(g)

    def one() -> s.UserMigrate:
        old, new = g.family(), g.family()
        return s.UserMigrate(
            g.address(old),
            g.address(old),
            g.address(new),
            g.address(new),
            g.proto(),
            rng.choice((0, 1, 1, 4)),
            0,
            rng.choice(REQIDS),
            old,
            new,
        )

    moves = tuple(one() for _ in range(rng.choices((1, 2, 7), (80, 15, 5))[0]))
    attrs: Attrs = g.some(0.97, (m.XFRMA_MIGRATE, moves)) + g.encap(0.15) + _policy_type(g)
    attrs += g.u32(m.XFRMA_IF_ID, 0.1, 0, 5)
    attrs += g.some(0.1, (m.XFRMA_KMADDRESS, s.KmAddress(V4[0], V4[1], 0, x.AF_INET)))
    return 0, s.UserPolicyId(info.sel, info.index, info.dir), attrs


def _aevent(g: Picker, kind: int) -> Made:
    rng = g.rng
    flags = rng.choice((0, 1, 2, 4, 8, 15)) if kind == m.XFRM_MSG_GETAE else 0
    attrs = g.mark()
    if kind == m.XFRM_MSG_NEWAE:
        attrs += (
            g.replay() + g.u32(m.XFRMA_REPLAY_THRESH, 0.3, 4) + g.u32(m.XFRMA_ETIMER_THRESH, 0.3, 0)
        )
        attrs += g.some(0.3, (m.XFRMA_LTIME_VAL, s.LifetimeCur(1, 2, 1_700_000_000, 1_700_000_001)))
    nl_flags = NLM_F_REPLACE if kind == m.XFRM_MSG_NEWAE and rng.random() < 0.8 else 0
    return nl_flags, s.AeventId(g.sa_id(), g.address(x.AF_INET), flags, rng.choice(REQIDS)), attrs


def _acquire(g: Picker, _kind: int) -> Made:
    info = _policy_info(g)
    family = g.family()
    body = s.UserAcquire(
        s.Id(g.address(family), 0, 50),
        g.address(family),
        info.sel,
        info,
        0,
        0,
        0,
        g.rng.choice((0, 3)),
    )
    return 0, body, g.templates(family) + g.mark()


def _expire(g: Picker, _kind: int) -> Made:
    return 0, s.UserExpire(_info(g), g.rng.choice((0, 1))), g.mark()


def _pol_expire(g: Picker, _kind: int) -> Made:
    attrs = g.mark() + _policy_type(g)
    return 0, s.UserPolExpire(_policy_info(g), g.rng.choice((0, 1))), attrs


def _flush_sa(g: Picker, _kind: int) -> Made:
    return 0, s.UserSaFlush(g.proto()), []


def _flush_policy(g: Picker, _kind: int) -> Made:
    return 0, None, _policy_type(g)


def _u32_body(g: Picker, _kind: int) -> Made:
    return 0, g.rng.choice((0, 7)), []


def _set_spd(g: Picker, _kind: int) -> Made:
    bits = g.rng.choice((0, 24, 32, 33, 129))
    attrs = g.some(0.6, (m.XFRMA_SPD_IPV4_HTHRESH, s.SpdHthresh(bits, 32)))
    return 0, 0, attrs + g.some(0.5, (m.XFRMA_SPD_IPV6_HTHRESH, s.SpdHthresh(bits, 64)))


def _default(g: Picker, _kind: int) -> Made:
    pick = g.rng.randrange
    return 0, s.UserPolicyDefault(pick(4), pick(4), pick(4)), []


def _no_handler(g: Picker, kind: int) -> Made:
    sel = g.selector(x.AF_INET)
    if kind == m.XFRM_MSG_REPORT:
        return 0, s.UserReport(60, sel), []
    if kind == m.XFRM_MSG_MAPPING:
        return 0, s.UserMapping(g.sa_id(), 0, ZERO, ZERO, 0, 0), []
    return 0, 0, []


_TABLE: tuple[tuple[int, Callable[[Picker, int], Made], int], ...] = (
    (m.XFRM_MSG_NEWSA, _new_sa, 30),
    (m.XFRM_MSG_UPDSA, _new_sa, 8),
    (m.XFRM_MSG_DELSA, _name_sa, 5),
    (m.XFRM_MSG_GETSA, _name_sa, 8),
    (m.XFRM_MSG_ALLOCSPI, _alloc_spi, 5),
    (m.XFRM_MSG_MIGRATE_STATE, _migrate_state, 16),
    (m.XFRM_MSG_FLUSHSA, _flush_sa, 1),
    (m.XFRM_MSG_NEWPOLICY, _new_policy, 12),
    (m.XFRM_MSG_UPDPOLICY, _new_policy, 6),
    (m.XFRM_MSG_DELPOLICY, _name_policy, 4),
    (m.XFRM_MSG_GETPOLICY, _name_policy, 5),
    (m.XFRM_MSG_FLUSHPOLICY, _flush_policy, 1),
    (m.XFRM_MSG_MIGRATE, _migrate, 8),
    (m.XFRM_MSG_GETAE, _aevent, 3),
    (m.XFRM_MSG_NEWAE, _aevent, 3),
    (m.XFRM_MSG_ACQUIRE, _acquire, 2),
    (m.XFRM_MSG_EXPIRE, _expire, 2),
    (m.XFRM_MSG_POLEXPIRE, _pol_expire, 2),
    (m.XFRM_MSG_GETSADINFO, _u32_body, 1),
    (m.XFRM_MSG_GETSPDINFO, _u32_body, 1),
    (m.XFRM_MSG_NEWSPDINFO, _set_spd, 1),
    (m.XFRM_MSG_SETDEFAULT, _default, 1),
    (m.XFRM_MSG_GETDEFAULT, _default, 1),
    (m.XFRM_MSG_REPORT, _no_handler, 1),
    (m.XFRM_MSG_MAPPING, _no_handler, 1),
    (m.XFRM_MSG_NEWSADINFO, _no_handler, 1),
)
KINDS = [(kind, make) for kind, make, _ in _TABLE]
WEIGHTS = [weight for _, _, weight in _TABLE]
