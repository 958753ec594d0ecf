"""Two hosts with a data path each, packets to send, and requests in few words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.xfrm import AF_INET, XFRM_INF
from pyxfrm.engine.datapath import Datapath, Verdict
from pyxfrm.engine.sa import Sa
from pyxfrm.esp.ip import finish
from tests.engine.helpers import ANY4, GCM, NO_LIMITS, Talk, sa_info, v4

__all__ = [
    "FWD",
    "Host",
    "IN",
    "OUT",
    "limits",
    "packet4",
    "packet6",
    "pair",
    "policy_info",
    "tmpl",
    "udp",
]

IN, OUT, FWD = 0, 1, 2
INNER = (bytes((10, 0, 1, 1)), bytes((10, 0, 2, 1)))


def udp(sport: int = 1000, dport: int = 2000, data: bytes = b"hello") -> bytes:
    """A UDP datagram with no checksum."""
    length = 8 + len(data)
    return b"".join(n.to_bytes(2, "big") for n in (sport, dport, length, 0)) + data


def packet4(
    saddr: bytes = INNER[0],
    daddr: bytes = INNER[1],
    payload: bytes | None = None,
    *,
    proto: int = 17,
    flags: int = 0x4000,
) -> bytes:
    """An IPv4 packet."""
    payload = udp() if payload is None else payload
    header = b"E\0\0\0\0\0" + flags.to_bytes(2, "big") + b"\x40\0\0\0" + saddr[:4] + daddr[:4]
    return finish(header, 9, proto, 20 + len(payload)) + payload


def packet6(saddr: bytes, daddr: bytes, payload: bytes | None = None, *, proto: int = 17) -> bytes:
    """An IPv6 packet."""
    payload = udp() if payload is None else payload
    size = len(payload).to_bytes(2, "big")
    return b"\x60\0\0\0" + size + bytes((proto, 64)) + saddr + daddr + payload


def tmpl(
    saddr: bytes = v4(1),
    daddr: bytes = v4(2),
    *,
    proto: int = 50,
    mode: int = 1,
    reqid: int = 7,
    spi: int = 0,
    optional: int = 0,
    family: int = AF_INET,
    algos: int = 0xFFFFFFFF,
) -> s.UserTmpl:
    """A template that takes any algorithm."""
    return s.UserTmpl(
        s.Id(daddr, spi, proto), family, saddr, reqid, mode, 0, optional, algos, algos, algos
    )


def policy_info(direction: int, sel: s.Selector = ANY4, **more: Any) -> s.UserPolicyInfo:
    """A policy that lets pass."""
    info = s.UserPolicyInfo(sel, NO_LIMITS, s.LifetimeCur(0, 0, 0, 0), 0, 0, direction, 0, 0, 0)
    return info._replace(**more)


def limits(**more: int) -> s.LifetimeCfg:
    """Limits, none but those named."""
    return s.LifetimeCfg(*(XFRM_INF,) * 4, 0, 0, 0, 0)._replace(**more)


class Host(Talk):
    """A :class:`Talk` whose engine has a data path."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.datapath = Datapath(self.engine, **options)

    def sa(
        self,
        spi: int = 0x100,
        saddr: bytes = v4(1),
        daddr: bytes = v4(2),
        *,
        attrs: Sequence[tuple[int, Any]] = (),
        keys: Sequence[tuple[int, Any]] = ((m.XFRMA_ALG_AEAD, GCM),),
        **more: Any,
    ) -> Sa:
        """NEWSA; the SA as the engine keeps it."""
        info = sa_info(spi, daddr, saddr, **{"reqid": 7, "replay_window": 32, **more})
        if "sel" not in more:
            info = info._replace(sel=info.sel._replace(family=0))
        self.ok(m.XFRM_MSG_NEWSA, info, [*keys, *attrs])
        return next(iter(self.engine.sadb))

    def policy(
        self,
        direction: int,
        *templates: s.UserTmpl,
        sel: s.Selector = ANY4,
        attrs: Sequence[tuple[int, Any]] = (),
        kind: int = m.XFRM_MSG_UPDPOLICY,
        **more: Any,
    ) -> None:
        """UPDPOLICY."""
        given = [(m.XFRMA_TMPL, list(templates))] if templates else []
        self.ok(kind, policy_info(direction, sel, **more), [*given, *attrs])

    def move(
        self,
        sa: Sa,
        saddr: bytes,
        daddr: bytes,
        attrs: Sequence[tuple[int, Any]] = (),
        family: int = AF_INET,
    ) -> Sa:
        """MIGRATE_STATE; the SA as it is then."""
        um = s.UserMigrateState(
            s.UserSaId(sa.daddr, int.from_bytes(sa.spi, "big"), sa.family, sa.proto),
            daddr,
            saddr,
            s.MarkVM(*sa.mark),
            sa.sel,
            sa.reqid,
            0,
            family,
            0,
        )
        self.ok(m.XFRM_MSG_MIGRATE_STATE, um, attrs)
        return next(iter(self.engine.sadb))

    def out(self, packet: bytes, **options: Any) -> Verdict:
        """One packet out."""
        return self.datapath.output(packet, self.now, **options)

    def into(self, datagram: bytes, **options: Any) -> Verdict:
        """One datagram in."""
        return self.datapath.input(datagram, self.now, **options)

    def counted(self) -> dict[str, int]:
        """Counters that are not 0."""
        return {name: n for name, n in self.datapath.stat.items() if n}

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.engine.expire(self.now)


def pair(*, attrs: Sequence[tuple[int, Any]] = (), **more: Any) -> tuple[Host, Host]:
    """Two hosts, 192.0.2.1 and 192.0.2.2, with an ESP tunnel from the first to the second."""
    one, two = Host(), Host()
    one.sa(attrs=attrs, **more)
    one.policy(OUT, tmpl())
    two.sa(attrs=attrs, **more)
    two.policy(IN, tmpl())
    one.events()
    two.events()
    return one, two
