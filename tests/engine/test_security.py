"""Security contexts where SELinux has no policy, or is not there at all."""

from __future__ import annotations

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.profiles import LINUX_7_2
from pyxfrm.engine.security import clone_sec_ctx, label_of, security_context
from pyxfrm.wire.codec import codec


def test_contexts_are_forgotten_where_selinux_is_not_active() -> None:
    raw = codec(s.UserSecCtx).encode(s.UserSecCtx(11, 8, 9, 9, 3, b"abc"))
    attrs = {m.XFRMA_SEC_CTX: raw}
    assert security_context(attrs, LINUX_7_2._replace(selinux=False)) is None
    assert security_context({}, LINUX_7_2) is None


def test_what_contexts_stand_for() -> None:
    assert label_of(None) == 0
    assert label_of((1, 1, b"kernel\0")) == label_of((1, 1, b"anything\0")) == 1
    assert label_of((1, 1, b"file\0\0")) == 5
    assert clone_sec_ctx(None) is None
    assert clone_sec_ctx((1, 1, b"abc\0")) == (1, 1, b"abc\0\0")
