"""The IP-in-IP SA behind an IPComp SA in tunnel mode.

A packet that does not shrink is sent without an IPComp header, as plain IP in IP; so that the receiver takes it for the tunnel's, the kernel
keeps a helper SA of protocol 4 (or 41) with the same addresses. It is made with the first IPComp SA that needs it and goes with the
last; nobody is told. User space sees it in dumps but cannot delete it (``SA is in use by tunnels``), and a flush passes it by.

The kernel lets go of a helper a moment after the request that no longer needs it (an IPComp SA refused after all, or only used to update another); a request
that comes within that moment may still find it, with the selector and the SPI that it had. Here it is gone at once.

Its SPI is the source address (IPv4), or a number given to each IPv6 source address for as long as a helper uses it.

Sources: net/ipv4/ipcomp.c: ipcomp_tunnel_attach, ipcomp_tunnel_create; net/ipv6/ipcomp6.c; net/ipv6/xfrm6_tunnel.c: xfrm6_tunnel_alloc_spi.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxfrm.abi.structs import LifetimeCfg
from pyxfrm.abi.xfrm import AF_INET, IPPROTO_IPIP, IPPROTO_IPV6, XFRM_INF, XFRM_STATE_NOPMTUDISC
from pyxfrm.engine.sa import Sa, State, Traits, key_of

if TYPE_CHECKING:
    from pyxfrm.engine.core import Engine

__all__ = ["TunnelSpis", "attach", "detach", "release"]

_NO_LIMITS = LifetimeCfg(XFRM_INF, XFRM_INF, XFRM_INF, XFRM_INF, 0, 0, 0, 0)
_SPI_MAX = 0xFFFFFFFF


class TunnelSpis:
    """SPIs of IPv6 helpers, one a source address: counted up, none used twice at a time."""

    def __init__(self) -> None:
        self._last = 0
        self._users: dict[bytes, int] = {}
        self._spis: dict[bytes, int] = {}
        self._taken: set[int] = set()

    def find(self, saddr: bytes) -> bytes | None:
        """The SPI of an address, None if it has none."""
        spi = self._spis.get(saddr)
        return None if spi is None else spi.to_bytes(4, "big")

    def take(self, saddr: bytes) -> bytes:
        """The SPI of an address, a new one if it has none; one user more."""
        spi = self._spis.get(saddr)
        if spi is None:
            spi = self._spis[saddr] = self._next()
        self._users[saddr] = self._users.get(saddr, 0) + 1
        return spi.to_bytes(4, "big")

    def _next(self) -> int:
        spi = self._last
        while True:
            spi = spi + 1 if spi < _SPI_MAX else 1
            if spi not in self._taken:
                self._taken.add(spi)
                self._last = spi
                return spi

    def drop(self, saddr: bytes) -> None:
        """One user less; the last one frees the SPI. An address without one is let pass: a helper that was migrated took none."""
        users = self._users.get(saddr, 0)
        if users > 1:
            self._users[saddr] = users - 1
        elif users:
            del self._users[saddr]
            self._taken.remove(self._spis.pop(saddr))


def attach(engine: Engine, sa: Sa) -> None:
    """Let an IPComp SA in tunnel mode lean on its helper, which is made if it is not there."""
    helper = _find(engine, sa)
    if helper is None:
        helper = _make(engine, sa)
        engine.sadb.insert(helper)
    helper.tunnel_users += 1
    sa.tunnel = helper


def detach(engine: Engine, sa: Sa) -> None:
    """Let go of the helper, which goes with the last SA that leans on it."""
    helper, sa.tunnel = sa.tunnel, None
    if helper is None:
        return
    helper.tunnel_users -= 1
    if helper.tunnel_users == 1:
        engine.sadb.remove(helper)
        release(engine, helper)


def release(engine: Engine, sa: Sa) -> None:
    """Give back the SPI of an IPv6 helper that nobody leans on any more, be it the address's own or a migrated one's."""
    if sa.proto == IPPROTO_IPV6:
        engine.tunnel_spis.drop(sa.saddr)


def _find(engine: Engine, sa: Sa) -> Sa | None:
    if sa.family == AF_INET:
        spi: bytes | None = sa.saddr[:4]
        proto = IPPROTO_IPIP
    else:
        spi = engine.tunnel_spis.find(sa.saddr)
        proto = IPPROTO_IPV6
    if spi is None:
        return None
    # The kernel looks by mask here whatever the control plane does.
    return engine.sadb.lookup_by_mask(key_of(sa.daddr, spi, sa.family, proto), sa.mark)


def _make(engine: Engine, sa: Sa) -> Sa:
    """The helper, with the one user that keeps it from being deleted."""
    traits = sa.traits
    if sa.family == AF_INET:
        flags = traits.flags
        if engine.sysctl.ip_no_pmtu_disc:
            flags |= XFRM_STATE_NOPMTUDISC
        made = Traits(
            traits.mode,
            flags,
            0,
            _NO_LIMITS,
            extra_flags=traits.extra_flags,
            if_id=traits.if_id,
        )
        spi, proto = sa.saddr[:4], IPPROTO_IPIP
        daddr, saddr = sa.daddr[:4] + bytes(12), sa.saddr[:4] + bytes(12)
    else:
        made = Traits(traits.mode, 0, 0, _NO_LIMITS, if_id=traits.if_id)
        spi, proto = engine.tunnel_spis.take(sa.saddr), IPPROTO_IPV6
        daddr, saddr = sa.daddr, sa.saddr
    helper = Sa(made, daddr, spi, proto, sa.family, saddr, 0, sa.sel)
    helper.mark = sa.mark
    helper.add_time = int(engine.now)
    helper.state = State.VALID
    helper.tunnel_users = 1
    return helper
