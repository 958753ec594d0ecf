"""Larval SAs: made by ALLOCSPI and by an ACQUIRE, waiting for their keys (net/xfrm/xfrm_state.c: __find_acq_core)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxfrm.abi.structs import LifetimeCfg, Selector
from pyxfrm.abi.xfrm import AF_INET, AF_INET6, XFRM_INF
from pyxfrm.engine import lifetime
from pyxfrm.engine.sa import Sa, State, Traits

if TYPE_CHECKING:
    from pyxfrm.engine.core import Engine

__all__ = ["find_or_make"]

_ANY = bytes(16)
_NO_SPI = bytes(4)


def find_or_make(
    engine: Engine,
    *,
    daddr: bytes,
    saddr: bytes,
    family: int,
    proto: int,
    mode: int,
    reqid: int,
    mark: tuple[int, int],
    if_id: int,
    pcpu_num: int,
) -> Sa:
    """The larval SA that fits, or a new one that expires after ``xfrm_acq_expires`` seconds.

    Its selector covers just its two addresses and has no family, as the kernel leaves it.
    """
    found = engine.sadb.larval(daddr, saddr, family, proto, mode, reqid, pcpu_num, mark)
    if found is not None:
        return found
    daddr, saddr, host = _as_kept(daddr, saddr, family)
    limits = LifetimeCfg(
        XFRM_INF, XFRM_INF, XFRM_INF, XFRM_INF, 0, engine.sysctl.xfrm_acq_expires, 0, 0
    )
    traits = Traits(mode, 0, 0, limits, if_id=if_id, pcpu_num=pcpu_num)
    sel = Selector(daddr, saddr, 0, 0, 0, 0, 0, host, host, 0, 0, 0)
    sa = Sa(traits, daddr, _NO_SPI, proto, family, saddr, reqid, sel)
    sa.mark = mark
    sa.state = State.ACQ
    sa.add_time = int(engine.now)
    engine.sadb.insert(sa)
    lifetime.start(engine, sa, engine.sysctl.xfrm_acq_expires)
    return sa


def _as_kept(daddr: bytes, saddr: bytes, family: int) -> tuple[bytes, bytes, int]:
    """The addresses as such an SA holds them, and a host's prefix length; an unknown family keeps nothing."""
    if family == AF_INET:
        return daddr[:4] + bytes(12), saddr[:4] + bytes(12), 32
    if family == AF_INET6:
        return daddr, saddr, 128
    return _ANY, _ANY, 0
