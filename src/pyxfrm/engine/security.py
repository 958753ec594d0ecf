"""Security contexts of SAs and policies, as SELinux without a policy sees them.

The kernels that answers are compared with have SELinux as their active security module, but nobody has loaded a policy: every label is welcome, and all but
a few stand for one and the same thing. So a context is kept and shown as it was given, with a NUL put behind it; but two policies whose contexts
differ only in their text are the same policy. Where SELinux is not active (the profile's ``selinux``) a context is checked for its length and forgotten.

Sources: security/selinux/xfrm.c: selinux_xfrm_alloc_user; security/selinux/ss/services.c: security_context_to_sid_core;
net/xfrm/xfrm_user.c: verify_sec_ctx_len; net/xfrm/xfrm_state.c: clone_security.
"""

from __future__ import annotations

import struct
from errno import EINVAL, ENOMEM
from typing import TYPE_CHECKING

from pyxfrm.abi import messages as m
from pyxfrm.abi.xfrm import XFRM_SC_ALG_SELINUX, XFRM_SC_DOI_LSM
from pyxfrm.engine.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxfrm.abi.profiles import Profile

__all__ = ["SecCtx", "clone_sec_ctx", "label_of", "security_context", "verify_sec_ctx"]

SecCtx = tuple[int, int, bytes]

_head = struct.Struct("=HHBBH")
_PAGE = 4096
_KERNEL = 1

# Names that SELinux knows before it has a policy (security/selinux/include/initial_sid_to_string.h); not the last one of them, devnull.
_INITIAL = {
    b"kernel": _KERNEL,
    b"security": 2,
    b"unlabeled": 3,
    b"file": 5,
    b"init": 7,
    b"any_socket": 8,
    b"port": 9,
    b"netif": 10,
    b"netmsg": 11,
    b"node": 12,
}


def verify_sec_ctx(attrs: Mapping[int, bytes]) -> None:
    """Whether the lengths in XFRMA_SEC_CTX, if it is there, agree."""
    raw = attrs.get(m.XFRMA_SEC_CTX)
    if raw is None:
        return
    size, _, _, _, length = _head.unpack_from(raw)
    if size > len(raw) or size != _head.size + length:
        raise Refusal(EINVAL, "Invalid security context length")


def security_context(attrs: Mapping[int, bytes], profile: Profile) -> SecCtx | None:
    """XFRMA_SEC_CTX as (doi, alg, text), the text with its NUL; its lengths have been verified."""
    raw = attrs.get(m.XFRMA_SEC_CTX)
    if raw is None or not profile.selinux:
        return None
    _, _, alg, doi, length = _head.unpack_from(raw)
    if doi != XFRM_SC_DOI_LSM or alg != XFRM_SC_ALG_SELINUX:
        raise Refusal(EINVAL)
    if length >= _PAGE:
        raise Refusal(ENOMEM)
    if not length:
        raise Refusal(EINVAL)
    return doi, alg, raw[_head.size : _head.size + length] + b"\0"


def label_of(sec_ctx: SecCtx | None) -> int:
    """What a context stands for: contexts with the same number are the same; 0 for none."""
    if sec_ctx is None:
        return 0
    name, _, _ = sec_ctx[2].partition(b"\0")
    return _INITIAL.get(name, _KERNEL)


def clone_sec_ctx(sec_ctx: SecCtx | None) -> SecCtx | None:
    """The context of a migrated SA: one NUL longer than the old one's, which already had one."""
    if sec_ctx is None:
        return None
    doi, alg, text = sec_ctx
    if len(text) >= _PAGE:
        raise Refusal(EINVAL, "Failed to clone and setup state")
    return doi, alg, text + b"\0"
