"""From a request to an SA that is ready to be installed, or a refusal.

:func:`build_sa` follows net/xfrm/xfrm_user.c: xfrm_state_construct: wrapping and algorithms first, then what the attributes say one by one, then
:func:`init_state`, which asks mode and type (net/xfrm/xfrm_state.c: __xfrm_init_state) and is shared with migration; after that security
context, replay state, offload, IP-TFS. Nothing is installed, but two things have happened outside the SA: an IPComp SA holds its
helper, and a device may carry it. Whoever does not install the SA gives both back (:func:`pyxfrm.engine.sa_install.discard`).

The keys go to the crypto API of a kernel; here a table says which lengths it takes (:mod:`pyxfrm.engine.algorithms`).
"""

from __future__ import annotations

import struct
from errno import EINVAL, ENOSYS, EPROTONOSUPPORT, ERANGE
from typing import TYPE_CHECKING, Any, TypeVar

from pyxfrm.abi import messages as m
from pyxfrm.abi import xfrm as x
from pyxfrm.abi.structs import (
    Algo,
    AlgoAead,
    AlgoAuth,
    LifetimeCur,
    ReplayState,
    ReplayStateEsn,
    UserSaInfo,
)
from pyxfrm.engine import ipcomp
from pyxfrm.engine.algorithms import find_aead, find_auth, find_cipher, find_comp
from pyxfrm.engine.offload import add_offload
from pyxfrm.engine.refusal import Refusal
from pyxfrm.engine.replies import attr
from pyxfrm.engine.sa import NO_PCPU, Iptfs, Sa, State, Traits
from pyxfrm.engine.sa_verify import key_bytes
from pyxfrm.engine.security import security_context
from pyxfrm.wire.codec import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyxfrm.abi.profiles import Profile
    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.request import Request

    Attrs = Mapping[int, bytes]

__all__ = ["algorithm_attributes", "build_sa", "init_state"]

_u16 = struct.Struct("=H").unpack_from
_u32 = struct.Struct("=I").unpack_from
_pair = struct.Struct("=II").unpack_from
_esn = codec(ReplayStateEsn).decode
_replay = codec(ReplayState).decode
_lifetime = codec(LifetimeCur).decode
_algo = codec(Algo)
_algo_auth = codec(AlgoAuth)
_algo_aead = codec(AlgoAead)

AnyAlgo = TypeVar("AnyAlgo", Algo, AlgoAuth, AlgoAead)

_CRYPTO = "Kernel was unable to initialize cryptographic operations"
_IP_MAX_MTU = 0xFFFF
_LEGACY_WINDOW = 32


def build_sa(request: Request, info: UserSaInfo) -> Sa:
    """The SA that a NEWSA or UPDSA describes; ``info`` has passed :func:`~pyxfrm.engine.sa_verify.verify_new_sa`."""
    engine = request.engine
    traits = _traits(request, info)
    spi = request.data[request.body + 72 : request.body + 76]
    sel = info.sel
    if not sel.family and not info.flags & x.XFRM_STATE_AF_UNSPEC:
        sel = sel._replace(family=info.family)
    sa = Sa(traits, info.id.daddr, spi, info.id.proto, info.family, info.saddr, info.reqid, sel)
    sa.add_time = int(request.now)
    attrs = request.attrs
    if attrs:
        _take_attributes(sa, attrs)
    init_state(engine, sa)
    try:
        _finish(request, sa)
    except Refusal:
        # A device that took it already is not told: its table leaks, as the kernel's drivers' do.
        sa.state = State.DEAD
        ipcomp.detach(engine, sa)
        raise
    return sa


def _traits(request: Request, info: UserSaInfo) -> Traits:
    """What never changes, algorithms included; some of it is settled later."""
    engine = request.engine
    attrs = request.attrs
    profile = engine.profile
    aead, auth, crypt, comp = _algorithms(attrs, profile)
    tfcpad = _number(attrs, m.XFRMA_TFCPAD)
    if tfcpad > _IP_MAX_MTU and profile.tfcpad_limit:
        raise Refusal(EINVAL, "Excessive TFC padding")
    pcpu_num = _number(attrs, m.XFRMA_SA_PCPU, NO_PCPU)
    if m.XFRMA_SA_PCPU in attrs and pcpu_num >= profile.cpus:
        raise Refusal(ERANGE, "pCPU number too big")
    coaddr = attrs.get(m.XFRMA_COADDR)
    return Traits(
        info.mode,
        info.flags,
        min(info.replay_window, _LEGACY_WINDOW),
        info.lft,
        info.seq,
        _number(attrs, m.XFRMA_SA_EXTRA_FLAGS),
        aead,
        auth,
        crypt,
        comp,
        algorithm_attributes(aead, auth, crypt, comp, redact=engine.sysctl.lockdown),
        None if coaddr is None else coaddr[:16],
        tfcpad,
        _number(attrs, m.XFRMA_IF_ID),
        None,
        attrs[m.XFRMA_SA_DIR][0] if m.XFRMA_SA_DIR in attrs else 0,
        pcpu_num,
        None,
        _number(
            attrs,
            m.XFRMA_ETIMER_THRESH,
            engine.sysctl.xfrm_aevent_etime * profile.hz // 10,
        ),
        _number(attrs, m.XFRMA_REPLAY_THRESH, engine.sysctl.xfrm_aevent_rseqth),
        info.id.pad,
    )


def _number(attrs: Attrs, number: int, default: int = 0) -> int:
    payload = attrs.get(number)
    return default if payload is None else int(_u32(payload)[0])


def _take_attributes(sa: Sa, attrs: Attrs) -> None:
    encap = attrs.get(m.XFRMA_ENCAP)
    if encap is not None:
        sa.encap = encap[:24]
    mark = attrs.get(m.XFRMA_MARK)
    if mark is not None:
        sa.mark = _pair(mark)
    if m.XFRMA_SET_MARK in attrs:
        mask = _number(attrs, m.XFRMA_SET_MARK_MASK, 0xFFFFFFFF)
        sa.smark = (_number(attrs, m.XFRMA_SET_MARK), mask)
    sa.nat_keepalive = _number(attrs, m.XFRMA_NAT_KEEPALIVE_INTERVAL)
    sa.mapping_maxage = _number(attrs, m.XFRMA_MTIMER_THRESH)


def _finish(request: Request, sa: Sa) -> None:
    """What follows the type: security context, replay state, counters, offload, IP-TFS."""
    attrs = request.attrs
    engine = request.engine
    if m.XFRMA_SEC_CTX in attrs:
        sa.traits = sa.traits._replace(sec_ctx=security_context(attrs, engine.profile))
    esn = attrs.get(m.XFRMA_REPLAY_ESN_VAL)
    if esn is not None:
        sa.esn = _take_esn(sa, esn)
    if m.XFRMA_REPLAY_VAL in attrs:
        sa.replay = _replay(attrs[m.XFRMA_REPLAY_VAL])
    sa.told = sa.esn or sa.replay
    if m.XFRMA_LTIME_VAL in attrs:
        sa.bytes, sa.packets, sa.add_time, sa.use_time = _lifetime(attrs[m.XFRMA_LTIME_VAL])
    if m.XFRMA_OFFLOAD_DEV in attrs:
        add_offload(engine, sa, attrs[m.XFRMA_OFFLOAD_DEV])
    if sa.traits.mode == x.XFRM_MODE_IPTFS and engine.profile.iptfs:
        sa.traits = sa.traits._replace(iptfs=_iptfs(sa, attrs, engine.profile))


# -- algorithms --------------------------------------------------------------------------------------


def _algorithms(
    attrs: Attrs, profile: Profile
) -> tuple[AlgoAead | None, AlgoAuth | None, Algo | None, Algo | None]:
    """The four kinds in the kernel's order; each under its proper name, its key cut to its length."""
    aead = auth = crypt = comp = None
    if (raw := attrs.get(m.XFRMA_ALG_AEAD)) is not None:
        aead = _take_aead(raw, profile)
    if (raw := attrs.get(m.XFRMA_ALG_AUTH_TRUNC)) is not None:
        auth, number = _take_auth_trunc(raw, profile)
        if profile.auth_by_number and not number and m.XFRMA_ALG_AUTH in attrs:
            auth = None
    if auth is None and (raw := attrs.get(m.XFRMA_ALG_AUTH)) is not None:
        auth = _take_auth(raw, profile)
    if (raw := attrs.get(m.XFRMA_ALG_CRYPT)) is not None:
        crypt = _take(raw, "CRYPT", find_cipher, profile)
    if (raw := attrs.get(m.XFRMA_ALG_COMP)) is not None:
        comp = _take(raw, "COMP", find_comp, profile)
    return aead, auth, crypt, comp


def _missing(kind: str) -> Refusal:
    return Refusal(ENOSYS, f"Requested {kind} algorithm not found")


def _name(name: str) -> bytes:
    return name.encode().ljust(64, b"\0")


def _take_aead(raw: bytes, profile: Profile) -> AlgoAead:
    algo = _algo_aead.decode(raw)
    row = find_aead(algo.alg_name, algo.alg_icv_len, profile)
    if row is None:
        raise _missing("AEAD")
    key = algo.alg_key[: key_bytes(algo.alg_key_len)]
    return AlgoAead(_name(row.name), algo.alg_key_len, algo.alg_icv_len, key)


def _take_auth_trunc(raw: bytes, profile: Profile) -> tuple[AlgoAuth, int]:
    algo = _algo_auth.decode(raw)
    row = find_auth(algo.alg_name, profile)
    if row is None:
        raise _missing("AUTH_TRUNC")
    if algo.alg_trunc_len > row.full:
        raise Refusal(EINVAL, "Invalid length requested for truncated ICV")
    key = algo.alg_key[: key_bytes(algo.alg_key_len)]
    truncated = algo.alg_trunc_len or row.default
    return AlgoAuth(_name(row.name), algo.alg_key_len, truncated, key), row.number


def _take_auth(raw: bytes, profile: Profile) -> AlgoAuth:
    algo = _algo.decode(raw)
    row = find_auth(algo.alg_name, profile)
    if row is None:
        raise _missing("AUTH")
    key = algo.alg_key[: key_bytes(algo.alg_key_len)]
    return AlgoAuth(_name(row.name), algo.alg_key_len, row.default, key)


def _take(raw: bytes, kind: str, find: Callable[[bytes, Profile], Any], profile: Profile) -> Algo:
    algo = _algo.decode(raw)
    row = find(algo.alg_name, profile)
    if row is None:
        raise _missing(kind)
    return Algo(_name(row.name), algo.alg_key_len, algo.alg_key[: key_bytes(algo.alg_key_len)])


def algorithm_attributes(
    aead: AlgoAead | None,
    auth: AlgoAuth | None,
    crypt: Algo | None,
    comp: Algo | None,
    *,
    redact: bool = False,
) -> bytes:
    """The attributes that show an SA's algorithms: AEAD; AUTH and AUTH_TRUNC; CRYPT; COMP, without a key.

    ``redact``: keys are zeros, as a locked-down kernel shows them (net/xfrm/xfrm_user.c: xfrm_redact).
    """
    made = b""
    if aead is not None:
        made += attr(m.XFRMA_ALG_AEAD, _algo_aead.encode(_shown(aead, redact)))
    if auth is not None:
        auth = _shown(auth, redact)
        plain = Algo(auth.alg_name, auth.alg_key_len, auth.alg_key)
        made += attr(m.XFRMA_ALG_AUTH, _algo.encode(plain))
        made += attr(m.XFRMA_ALG_AUTH_TRUNC, _algo_auth.encode(auth))
    if crypt is not None:
        made += attr(m.XFRMA_ALG_CRYPT, _algo.encode(_shown(crypt, redact)))
    if comp is not None:
        made += attr(m.XFRMA_ALG_COMP, _algo.encode(Algo(comp.alg_name, 0, b"")))
    return made


def _shown(algo: AnyAlgo, redact: bool) -> AnyAlgo:
    return algo._replace(alg_key=bytes(len(algo.alg_key))) if redact else algo


# -- mode and type -----------------------------------------------------------------------------------

# Which modes a family has; those that make a tunnel may join two families.
_MODES = {
    x.AF_INET: frozenset(
        (x.XFRM_MODE_TRANSPORT, x.XFRM_MODE_TUNNEL, x.XFRM_MODE_BEET, x.XFRM_MODE_IPTFS)
    ),
    x.AF_INET6: frozenset(
        (
            x.XFRM_MODE_TRANSPORT,
            x.XFRM_MODE_TUNNEL,
            x.XFRM_MODE_ROUTEOPTIMIZATION,
            x.XFRM_MODE_BEET,
            x.XFRM_MODE_IPTFS,
        )
    ),
}
_TUNNELS = frozenset((x.XFRM_MODE_TUNNEL, x.XFRM_MODE_BEET, x.XFRM_MODE_IPTFS))
_NO_MODES: frozenset[int] = frozenset()


def init_state(engine: Engine, sa: Sa) -> None:
    """Whether mode, type and keys of an SA go together; an IPComp SA in tunnel mode gets its helper.

    Also sets XFRM_STATE_NOPMTUDISC where ``net.ipv4.ip_no_pmtu_disc`` asks for it.
    """
    traits = sa.traits
    family, mode = sa.family, traits.mode
    if (
        engine.sysctl.ip_no_pmtu_disc
        and family == x.AF_INET
        and traits.dir != x.XFRM_SA_DIR_IN
        and not traits.flags & x.XFRM_STATE_NOPMTUDISC
    ):
        sa.traits = traits = traits._replace(flags=traits.flags | x.XFRM_STATE_NOPMTUDISC)
    inner = sa.sel.family or family
    if mode not in _MODES.get(inner, _NO_MODES):
        raise Refusal(EPROTONOSUPPORT, "Requested mode not found")
    if inner != family and mode not in _TUNNELS:
        raise Refusal(EPROTONOSUPPORT, "Only tunnel modes can accommodate a change of family")
    init = _TYPES.get((family, sa.proto))
    if init is None:
        raise Refusal(EPROTONOSUPPORT, "Requested type not found")
    init(engine, sa)
    if mode not in _MODES[family]:
        ipcomp.detach(engine, sa)
        raise Refusal(EPROTONOSUPPORT, "Requested mode not found")
    if sa.nat_keepalive:
        try:
            _check_keepalive(sa)
        except Refusal:
            ipcomp.detach(engine, sa)
            raise


def _check_keepalive(sa: Sa) -> None:
    if sa.traits.dir != x.XFRM_SA_DIR_OUT:
        raise Refusal(EINVAL, "NAT keepalive is only supported for outbound SAs")
    if sa.encap is None or _u16(sa.encap)[0] != x.UDP_ENCAP_ESPINUDP:
        raise Refusal(EINVAL, "NAT keepalive is only supported for UDP encapsulation")


def _init_esp(engine: Engine, sa: Sa) -> None:
    """net/ipv4/esp4.c: esp_init_state; net/ipv6/esp6.c: esp6_init_state."""
    traits = sa.traits
    if traits.aead is not None:
        row = find_aead(traits.aead.alg_name, traits.aead.alg_icv_len, engine.profile)
        if row is None or len(traits.aead.alg_key) not in row.keys:
            raise Refusal(EINVAL, _CRYPTO)
    elif traits.crypt is not None:
        _check_authenc(traits, traits.crypt, engine.profile)
    else:
        raise Refusal(EINVAL, "ESP: AEAD or CRYPT must be provided")
    if sa.encap is not None and _u16(sa.encap)[0] != x.UDP_ENCAP_ESPINUDP:
        raise Refusal(EINVAL, "Unsupported encapsulation type for ESP")


def _check_authenc(traits: Traits, crypt: Algo, profile: Profile) -> None:
    """Cipher and hash put together; a key that is refused has no text (net/ipv4/esp4.c: esp_init_authenc)."""
    auth = traits.auth
    if auth is not None:
        row = find_auth(auth.alg_name, profile)
        size = auth.alg_trunc_len // 8
        if row is None or (not size and row.full) or size > row.full // 8:
            raise Refusal(EINVAL, _CRYPTO)
        if traits.flags & x.XFRM_STATE_ESN and 0 < size < 4:
            raise Refusal(EINVAL, _CRYPTO)
        if len(auth.alg_key) not in row.keys:
            raise Refusal(EINVAL)
    cipher = find_cipher(crypt.alg_name, profile)
    if cipher is None or len(crypt.alg_key) not in cipher.keys:
        raise Refusal(EINVAL)


def _init_ah(engine: Engine, sa: Sa) -> None:
    """net/ipv4/ah4.c: ah_init_state; net/ipv6/ah6.c: ah6_init_state."""
    auth = sa.traits.auth
    if auth is None:
        raise Refusal(EINVAL, "AH requires a state with an AUTH algorithm")
    if sa.encap is not None:
        raise Refusal(EINVAL, "AH is not compatible with encapsulation")
    row = find_auth(auth.alg_name, engine.profile)
    if row is None or len(auth.alg_key) not in row.keys:
        raise Refusal(EINVAL, _CRYPTO)
    if sa.family == x.AF_INET6 and sa.traits.mode not in _AH6_MODES:
        raise Refusal(
            EINVAL, "Invalid mode requested for AH, must be one of TRANSPORT, TUNNEL, BEET"
        )


_AH6_MODES = frozenset((x.XFRM_MODE_TRANSPORT, x.XFRM_MODE_TUNNEL, x.XFRM_MODE_BEET))


def _init_comp(engine: Engine, sa: Sa) -> None:
    """net/ipv4/ipcomp.c: ipcomp4_init_state; net/xfrm/xfrm_ipcomp.c: ipcomp_init_state."""
    mode = sa.traits.mode
    if mode not in (x.XFRM_MODE_TRANSPORT, x.XFRM_MODE_TUNNEL):
        raise Refusal(EINVAL, "Unsupported XFRM mode for IPcomp")
    if sa.traits.comp is None:
        raise Refusal(EINVAL, "Missing required compression algorithm")
    if sa.encap is not None:
        raise Refusal(EINVAL, "IPComp is not compatible with encapsulation")
    if mode == x.XFRM_MODE_TUNNEL:
        ipcomp.attach(engine, sa)


def _init_tunnel(_: Engine, sa: Sa) -> None:
    """A helper of IPComp that is migrated (net/ipv4/xfrm4_tunnel.c, net/ipv6/xfrm6_tunnel.c)."""
    version = "IPv4" if sa.family == x.AF_INET else "IPv6"
    if sa.traits.mode != x.XFRM_MODE_TUNNEL:
        raise Refusal(EINVAL, f"{version} tunnel can only be used with tunnel mode")
    if sa.encap is not None:
        raise Refusal(EINVAL, f"{version} tunnel is not compatible with encapsulation")


def _init_mobility(_: Engine, sa: Sa) -> None:
    """net/ipv6/mip6.c: mip6_destopt_init_state, mip6_rthdr_init_state."""
    if sa.spi != bytes(4):
        raise Refusal(EINVAL, "SPI must be 0")
    if sa.traits.mode != x.XFRM_MODE_ROUTEOPTIMIZATION:
        raise Refusal(EINVAL, "XFRM mode must be XFRM_MODE_ROUTEOPTIMIZATION")


_TYPES: dict[tuple[int, int], Callable[[Engine, Sa], None]] = {
    (x.AF_INET, x.IPPROTO_ESP): _init_esp,
    (x.AF_INET, x.IPPROTO_AH): _init_ah,
    (x.AF_INET, x.IPPROTO_COMP): _init_comp,
    (x.AF_INET, x.IPPROTO_IPIP): _init_tunnel,
    (x.AF_INET6, x.IPPROTO_ESP): _init_esp,
    (x.AF_INET6, x.IPPROTO_AH): _init_ah,
    (x.AF_INET6, x.IPPROTO_COMP): _init_comp,
    (x.AF_INET6, x.IPPROTO_IPV6): _init_tunnel,
    (x.AF_INET6, x.IPPROTO_DSTOPTS): _init_mobility,
    (x.AF_INET6, x.IPPROTO_ROUTING): _init_mobility,
}


# -- replay state, IP-TFS -------------------------------------------------------------


def _take_esn(sa: Sa, raw: bytes) -> ReplayStateEsn:
    state = _esn(raw)
    size = 4 * state.bmp_len
    if state.replay_window > 8 * size:
        raise Refusal(EINVAL, "ESN replay window is too large for the chosen bitmap size")
    if (
        sa.traits.flags & x.XFRM_STATE_ESN
        and not state.replay_window
        and sa.traits.dir != x.XFRM_SA_DIR_OUT
    ):
        raise Refusal(EINVAL, "ESN replay window must be > 0")
    # An attribute may stop before the bitmap: it is zeros then.
    bmp = state.bmp[:size] if len(state.bmp) >= size else bytes(size)
    return state._replace(bmp=bmp)


_IPTFS_DROP_TIME = 1_000_000  # microseconds
_IPTFS_REORDER_WINDOW = 3
_IPTFS_MAX_QSIZE = 10 << 20


def _iptfs(sa: Sa, attrs: Attrs, profile: Profile) -> Iptfs:
    """Its settings, the kernel's own where none are given (net/xfrm/xfrm_iptfs.c: iptfs_user_init)."""
    pkt_size = _number(attrs, m.XFRMA_IPTFS_PKT_SIZE)
    if pkt_size and pkt_size <= _iptfs_header(sa, profile):
        raise Refusal(EINVAL, "Packet size must be 0 or greater than IPTFS/ESP header length")
    if sa.traits.dir == x.XFRM_SA_DIR_IN:
        window = attrs.get(m.XFRMA_IPTFS_REORDER_WINDOW)
        return Iptfs(
            drop_time=_number(attrs, m.XFRMA_IPTFS_DROP_TIME, _IPTFS_DROP_TIME),
            reorder_window=_IPTFS_REORDER_WINDOW if window is None else _u16(window)[0],
        )
    return Iptfs(
        dont_frag=m.XFRMA_IPTFS_DONT_FRAG in attrs,
        init_delay=_number(attrs, m.XFRMA_IPTFS_INIT_DELAY),
        max_qsize=_number(attrs, m.XFRMA_IPTFS_MAX_QSIZE, _IPTFS_MAX_QSIZE),
        pkt_size=pkt_size,
    )


def _iptfs_header(sa: Sa, profile: Profile) -> int:
    """Bytes of IP, ESP, IV and IP-TFS headers, and of UDP where there is encapsulation."""
    traits = sa.traits
    iv = 0
    if traits.aead is not None:
        aead = find_aead(traits.aead.alg_name, traits.aead.alg_icv_len, profile)
        iv = aead.iv if aead else 0
    elif traits.crypt is not None:
        cipher = find_cipher(traits.crypt.alg_name, profile)
        iv = cipher.iv if cipher else 0
    ip = 20 if sa.family == x.AF_INET else 40
    return 8 + iv + (8 if sa.encap is not None else 0) + ip + 4
