"""May this SA be built at all? The checks that NEWSA and UPDSA share, made on the request alone.

They look at the structure and the attributes, in the kernel's order, before any SA is looked up and before any
algorithm is: family and selector, what the protocol needs and forbids, lengths inside attributes, the ESN attribute, mode, mapping
threshold, and what an SA of one direction may not have.

Source: net/xfrm/xfrm_user.c: verify_newsa_info and the functions it calls.
"""

from __future__ import annotations

import struct
from errno import EINVAL
from typing import TYPE_CHECKING

from pyxfrm.abi import messages as m
from pyxfrm.abi import xfrm as x
from pyxfrm.abi.structs import ReplayState, ReplayStateEsn, Selector, UserSaInfo
from pyxfrm.engine.refusal import Refusal
from pyxfrm.engine.security import verify_sec_ctx
from pyxfrm.wire.codec import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyxfrm.engine.request import Request

    Attrs = Mapping[int, bytes]

__all__ = [
    "key_bytes",
    "verify_family",
    "verify_mapping_threshold",
    "verify_new_sa",
    "verify_selector",
]

_U32_MAX = 0xFFFFFFFF
_ESN_BITMAP_WORDS = x.XFRMA_REPLAY_ESN_MAX // 4 // 8

_u32 = struct.Struct("=I").unpack_from
_esn = codec(ReplayStateEsn).decode
_replay = codec(ReplayState).decode

_AEAD_HEAD = _AUTH_HEAD = 72  # struct xfrm_algo_aead, struct xfrm_algo_auth
_ALGO_HEAD = 68  # struct xfrm_algo
_NAME_END = 63

_IPTFS_OPTIONS = frozenset(
    (
        m.XFRMA_IPTFS_DROP_TIME,
        m.XFRMA_IPTFS_REORDER_WINDOW,
        m.XFRMA_IPTFS_DONT_FRAG,
        m.XFRMA_IPTFS_INIT_DELAY,
        m.XFRMA_IPTFS_MAX_QSIZE,
        m.XFRMA_IPTFS_PKT_SIZE,
    )
)


def verify_new_sa(request: Request, info: UserSaInfo) -> None:
    """Refuse what NEWSA and UPDSA refuse before they build anything.

    A name of an algorithm that is not NUL-terminated is cut in the request itself, so that an error message echoes it
    cut, as the kernel's does.
    """
    attrs = request.attrs
    sa_dir = attrs[m.XFRMA_SA_DIR][0] if m.XFRMA_SA_DIR in attrs else 0
    verify_family(info.family)
    family = info.sel.family
    if not family and not info.flags & x.XFRM_STATE_AF_UNSPEC:
        family = info.family
    verify_selector(family, info.sel)
    check = _PROTOCOLS.get(info.id.proto)
    if check is None:
        raise Refusal(EINVAL, "Unsupported protocol")
    check(info, attrs)
    _verify_algorithms(request)
    verify_sec_ctx(attrs)
    _verify_esn(info, attrs, sa_dir)
    _verify_mode(request, info, sa_dir)
    if m.XFRMA_MTIMER_THRESH in attrs:
        texts = request.engine.profile.mtimer_texts
        verify_mapping_threshold(m.XFRMA_ENCAP in attrs, sa_dir, texts)
    if sa_dir == x.XFRM_SA_DIR_OUT:
        _verify_output(info, attrs)
    elif sa_dir == x.XFRM_SA_DIR_IN:
        _verify_input(info, attrs)
    elif m.XFRMA_SA_PCPU in attrs:
        raise Refusal(EINVAL, "SA_PCPU only supported with SA_DIR")


def key_bytes(bits: int) -> int:
    """Bytes of a key of ``bits`` bits, in C's arithmetic: the last seven numbers of an u32 wrap to 0."""
    return ((bits + 7) & _U32_MAX) // 8


# -- family and selector -------------------------------------------------------------------------


def verify_family(family: int) -> None:
    """IPv4 or IPv6, nothing else."""
    if family not in (x.AF_INET, x.AF_INET6):
        raise Refusal(EINVAL, "Invalid address family")


def verify_selector(family: int, sel: Selector) -> None:
    """Prefix lengths that fit the family; a selector without one is not looked at."""
    if family == x.AF_INET:
        if sel.prefixlen_d > 32 or sel.prefixlen_s > 32:
            raise Refusal(EINVAL, "Invalid prefix length in selector (must be <= 32 for IPv4)")
    elif family == x.AF_INET6:
        if sel.prefixlen_d > 128 or sel.prefixlen_s > 128:
            raise Refusal(EINVAL, "Invalid prefix length in selector (must be <= 128 for IPv6)")
    elif family != x.AF_UNSPEC:
        raise Refusal(EINVAL, "Invalid address family in selector")


# -- what a protocol needs and forbids ---------------------------------------------------------------


# Attributes by what they are for; ``isdisjoint`` asks for any of them without a loop.
_AUTHS = frozenset((m.XFRMA_ALG_AUTH, m.XFRMA_ALG_AUTH_TRUNC))
_APART = _AUTHS | {m.XFRMA_ALG_CRYPT}
_NOT_AH = frozenset((m.XFRMA_ALG_AEAD, m.XFRMA_ALG_CRYPT, m.XFRMA_ALG_COMP, m.XFRMA_TFCPAD))
_NOT_COMP = _APART | {m.XFRMA_ALG_AEAD, m.XFRMA_TFCPAD}
_NOT_MOBILITY = _NOT_COMP | {m.XFRMA_ALG_COMP, m.XFRMA_ENCAP, m.XFRMA_SEC_CTX}


def _verify_ah(_: UserSaInfo, attrs: Attrs) -> None:
    if _AUTHS.isdisjoint(attrs):
        raise Refusal(EINVAL, "Missing required attribute for AH: AUTH_TRUNC or AUTH")
    if not _NOT_AH.isdisjoint(attrs):
        raise Refusal(EINVAL, "Invalid attributes for AH: AEAD, CRYPT, COMP, TFCPAD")


def _verify_esp(info: UserSaInfo, attrs: Attrs) -> None:
    if m.XFRMA_ALG_COMP in attrs:
        raise Refusal(EINVAL, "Invalid attribute for ESP: COMP")
    apart = not _APART.isdisjoint(attrs)
    combined = m.XFRMA_ALG_AEAD in attrs
    if not apart and not combined:
        raise Refusal(
            EINVAL,
            "Missing required attribute for ESP: at least one of AUTH, AUTH_TRUNC, CRYPT, AEAD",
        )
    if apart and combined:
        raise Refusal(
            EINVAL,
            "Invalid attribute combination for ESP: AEAD can't be used with AUTH, AUTH_TRUNC, CRYPT",
        )
    if m.XFRMA_TFCPAD in attrs and info.mode != x.XFRM_MODE_TUNNEL:
        raise Refusal(EINVAL, "TFC padding can only be used in tunnel mode")
    if info.mode != x.XFRM_MODE_IPTFS and not _IPTFS_OPTIONS.isdisjoint(attrs):
        raise Refusal(EINVAL, "IP-TFS options can only be used in IP-TFS mode")


def _verify_comp(info: UserSaInfo, attrs: Attrs) -> None:
    if m.XFRMA_ALG_COMP not in attrs:
        raise Refusal(EINVAL, "Missing required attribute for COMP: COMP")
    if not _NOT_COMP.isdisjoint(attrs):
        raise Refusal(EINVAL, "Invalid attributes for COMP: AEAD, AUTH, AUTH_TRUNC, CRYPT, TFCPAD")
    if info.id.spi >= 0x10000:
        raise Refusal(EINVAL, "SPI is too large for COMP (must be < 0x10000)")


def _verify_mobility(_: UserSaInfo, attrs: Attrs) -> None:
    """Destination options and routing header of Mobile IPv6."""
    if not _NOT_MOBILITY.isdisjoint(attrs):
        raise Refusal(EINVAL, "Invalid attributes for DSTOPTS/ROUTING")
    if m.XFRMA_COADDR not in attrs:
        raise Refusal(EINVAL, "Missing required COADDR attribute for DSTOPTS/ROUTING")


_PROTOCOLS: dict[int, Callable[[UserSaInfo, Attrs], None]] = {
    x.IPPROTO_AH: _verify_ah,
    x.IPPROTO_ESP: _verify_esp,
    x.IPPROTO_COMP: _verify_comp,
    x.IPPROTO_DSTOPTS: _verify_mobility,
    x.IPPROTO_ROUTING: _verify_mobility,
}


# -- lengths inside attributes -------------------------------------------------------------------

# Attribute, bytes before its key, the text: in the order in which they are looked at.
_KEYED = (
    (m.XFRMA_ALG_AEAD, _AEAD_HEAD, "Invalid AEAD attribute length"),
    (m.XFRMA_ALG_AUTH_TRUNC, _AUTH_HEAD, "Invalid AUTH_TRUNC attribute length"),
    (m.XFRMA_ALG_AUTH, _ALGO_HEAD, "Invalid AUTH/CRYPT/COMP attribute length"),
    (m.XFRMA_ALG_CRYPT, _ALGO_HEAD, "Invalid AUTH/CRYPT/COMP attribute length"),
    (m.XFRMA_ALG_COMP, _ALGO_HEAD, "Invalid AUTH/CRYPT/COMP attribute length"),
)


def _verify_algorithms(request: Request) -> None:
    """Each key must be there in its whole length."""
    attrs = request.attrs
    for number, head, text in _KEYED:
        payload = attrs.get(number)
        if payload is None:
            continue
        if len(payload) < head + key_bytes(_u32(payload, 64)[0]):
            raise Refusal(EINVAL, text)
        if payload[_NAME_END]:
            request.overwrite(number, _NAME_END, 0)


# -- sequence numbers ------------------------------------------------------------------------------


def _verify_esn(info: UserSaInfo, attrs: Attrs, sa_dir: int) -> None:
    payload = attrs.get(m.XFRMA_REPLAY_ESN_VAL)
    esn = bool(info.flags & x.XFRM_STATE_ESN)
    if payload is None:
        if esn:
            raise Refusal(EINVAL, "Missing required attribute for ESN")
        return
    state = _esn(payload)
    if state.bmp_len > _ESN_BITMAP_WORDS:
        raise Refusal(EINVAL, "ESN bitmap length must be <= 128")
    if len(payload) < 24 + 4 * state.bmp_len and len(payload) != 24:
        raise Refusal(EINVAL, "ESN attribute is too short to fit the full bitmap length")
    if info.id.proto not in (x.IPPROTO_ESP, x.IPPROTO_AH):
        raise Refusal(EINVAL, "ESN only supported for ESP and AH")
    if info.replay_window:
        raise Refusal(EINVAL, "ESN not compatible with legacy replay_window")
    if sa_dir == x.XFRM_SA_DIR_OUT:
        _verify_output_esn(state, esn)
    elif sa_dir == x.XFRM_SA_DIR_IN:
        _verify_input_esn(state, esn)


def _verify_output_esn(state: ReplayStateEsn, esn: bool) -> None:
    if state.replay_window:
        raise Refusal(EINVAL, "Replay window should be 0 for output SA")
    if state.seq or state.seq_hi:
        raise Refusal(EINVAL, "Replay seq and seq_hi should be 0 for output SA")
    last = state.oseq == _U32_MAX
    if not esn:
        if state.oseq_hi:
            raise Refusal(EINVAL, "Replay oseq_hi should be 0 in non-ESN mode for output SA")
        if last:
            raise Refusal(
                EINVAL,
                "Replay oseq should be less than 0xFFFFFFFF in non-ESN mode for output SA",
            )
    elif last and state.oseq_hi == _U32_MAX:
        raise Refusal(
            EINVAL, "Replay oseq and oseq_hi should be less than 0xFFFFFFFF for output SA"
        )
    if state.bmp_len:
        raise Refusal(EINVAL, "Replay bmp_len should 0 for output SA")


def _verify_input_esn(state: ReplayStateEsn, esn: bool) -> None:
    if state.oseq or state.oseq_hi:
        raise Refusal(EINVAL, "Replay oseq and oseq_hi should be 0 for input SA")
    last = state.seq == _U32_MAX
    if not esn:
        if state.seq_hi:
            raise Refusal(EINVAL, "Replay seq_hi should be 0 in non-ESN mode for input SA")
        if last:
            raise Refusal(
                EINVAL, "Replay seq should be less than 0xFFFFFFFF in non-ESN mode for input SA"
            )
    elif last and state.seq_hi == _U32_MAX:
        raise Refusal(EINVAL, "Replay seq and seq_hi should be less than 0xFFFFFFFF for input SA")


# -- mode, mapping threshold, direction ------------------------------------------------------------


def _verify_mode(request: Request, info: UserSaInfo, sa_dir: int) -> None:
    if info.mode == x.XFRM_MODE_IPTFS < request.engine.profile.mode_max:
        if info.id.proto != x.IPPROTO_ESP:
            raise Refusal(EINVAL, "IP-TFS mode only supported with ESP")
        if not sa_dir:
            raise Refusal(EINVAL, "IP-TFS mode requires in or out direction attribute")
    elif info.mode not in _MODES:
        raise Refusal(EINVAL, "Unsupported mode")


_MODES = frozenset(
    (
        x.XFRM_MODE_TRANSPORT,
        x.XFRM_MODE_TUNNEL,
        x.XFRM_MODE_ROUTEOPTIMIZATION,
        x.XFRM_MODE_BEET,
    )
)


def verify_mapping_threshold(encap: bool, sa_dir: int, texts: tuple[str, str]) -> None:
    """A threshold for MAPPING events needs encapsulation, and an SA that is not for output."""
    if not encap:
        raise Refusal(EINVAL, texts[0])
    if sa_dir == x.XFRM_SA_DIR_OUT:
        raise Refusal(EINVAL, texts[1])


# Flags and attributes that an SA of one direction may not have, in the order in which they are looked at.
_NOT_OUTPUT_FLAGS = (
    (x.XFRM_STATE_DECAP_DSCP, "Flag DECAP_DSCP should not be set for output SA"),
    (x.XFRM_STATE_ICMP, "Flag ICMP should not be set for output SA"),
    (x.XFRM_STATE_WILDRECV, "Flag WILDRECV should not be set for output SA"),
)
_NOT_OUTPUT = (
    (m.XFRMA_IPTFS_DROP_TIME, "IP-TFS drop time should not be set for output SA"),
    (m.XFRMA_IPTFS_REORDER_WINDOW, "IP-TFS reorder window should not be set for output SA"),
)
_NOT_INPUT_EXTRA_FLAGS = (
    (x.XFRM_SA_XFLAG_DONT_ENCAP_DSCP, "Flag DONT_ENCAP_DSCP should not be set for input SA"),
    (x.XFRM_SA_XFLAG_OSEQ_MAY_WRAP, "Flag OSEQ_MAY_WRAP should not be set for input SA"),
)
_NOT_INPUT = (
    (m.XFRMA_IPTFS_DONT_FRAG, "IP-TFS don't fragment should not be set for input SA"),
    (m.XFRMA_IPTFS_INIT_DELAY, "IP-TFS initial delay should not be set for input SA"),
    (m.XFRMA_IPTFS_MAX_QSIZE, "IP-TFS max queue size should not be set for input SA"),
    (m.XFRMA_IPTFS_PKT_SIZE, "IP-TFS packet size should not be set for input SA"),
)


def _verify_output(info: UserSaInfo, attrs: Attrs) -> None:
    for flag, text in _NOT_OUTPUT_FLAGS:
        if info.flags & flag:
            raise Refusal(EINVAL, text)
    if info.replay_window:
        raise Refusal(EINVAL, "Replay window should be 0 for output SA")
    for number, text in _NOT_OUTPUT:
        if number in attrs:
            raise Refusal(EINVAL, text)
    if m.XFRMA_REPLAY_VAL in attrs:
        state = _replay(attrs[m.XFRMA_REPLAY_VAL])
        if state.seq or state.bitmap:
            raise Refusal(EINVAL, "Replay seq and bitmap should be 0 for output SA")


def _verify_input(info: UserSaInfo, attrs: Attrs) -> None:
    if info.flags & x.XFRM_STATE_NOPMTUDISC:
        raise Refusal(EINVAL, "Flag NOPMTUDISC should not be set for input SA")
    if m.XFRMA_SA_EXTRA_FLAGS in attrs:
        extra = _u32(attrs[m.XFRMA_SA_EXTRA_FLAGS])[0]
        for flag, text in _NOT_INPUT_EXTRA_FLAGS:
            if extra & flag:
                raise Refusal(EINVAL, text)
    for number, text in _NOT_INPUT:
        if number in attrs:
            raise Refusal(EINVAL, text)
