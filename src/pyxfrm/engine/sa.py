"""One SA as the engine keeps it (struct xfrm_state).

What a move never changes is in :class:`Traits`, an immutable value that the old and the new SA share; what says where the SA is and how it is wrapped
is in the :class:`Sa` itself. Addresses are the 16 raw bytes of xfrm_address_t; the SPI is its 4 bytes in network order.

**Sequence numbers have one truth.** From its first packet on, an SA has ``live`` parts (:mod:`pyxfrm.engine.live`): a sealer with a sequence, an
opener with a window, which packets move without looking here. ``replay``, ``esn`` and ``stats`` then read them and write into them, so that
netlink shows what the packets did and packets go by what netlink set. An SA that has carried no packet has no live parts, only values.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from pyxfrm.abi.structs import (
    Algo,
    AlgoAead,
    AlgoAuth,
    LifetimeCfg,
    ReplayState,
    ReplayStateEsn,
    Selector,
)
from pyxfrm.abi.xfrm import (
    AF_INET,
    AF_INET6,
    IPPROTO_AH,
    IPPROTO_COMP,
    IPPROTO_ESP,
    IPSEC_PROTO_ANY,
    XFRM_STATE_ESN,
)

if TYPE_CHECKING:
    from pyxfrm.engine.live import Live

__all__ = [
    "Iptfs",
    "NAMED_BY_SPI",
    "NO_PCPU",
    "Sa",
    "State",
    "Traits",
    "key_of",
]

NO_PCPU = 0xFFFFFFFF
_key = struct.Struct("=16s4sHB").pack

_NO_REPLAY = ReplayState(0, 0, 0)


class State(IntEnum):
    """Where an SA is in its life (include/net/xfrm.h)."""

    VOID = 0
    ACQ = 1
    VALID = 2
    ERROR = 3
    EXPIRED = 4
    DEAD = 5


class Iptfs(NamedTuple):
    """IP-TFS settings, as they are dumped; None where the direction has none."""

    drop_time: int | None = None
    reorder_window: int | None = None
    dont_frag: bool = False
    init_delay: int | None = None
    max_qsize: int | None = None
    pkt_size: int | None = None


class Traits(NamedTuple):
    """What stays the same when an SA moves.

    ``replay_window``  of the legacy bitmap, in packets; ``extra_flags``: XFRM_SA_XFLAG_*
    ``aead``, ``auth``, ``crypt``, ``comp``  the algorithms, names as the kernel knows them
    ``algorithms``     the same as the attributes of a dump, built once
    ``sec_ctx``        security context as (doi, alg, text), or None
    ``seq``            km.seq: the ACQUIRE this SA answers
    ``maxage``, ``maxdiff``  thresholds of replay events: ticks of the kernel's clock (the profile's ``hz``), packets
    ``id_pad``         the padding of struct xfrm_id as it was given: it is kept, and shown
    """

    mode: int
    flags: int
    replay_window: int
    lft: LifetimeCfg
    seq: int = 0
    extra_flags: int = 0
    aead: AlgoAead | None = None
    auth: AlgoAuth | None = None
    crypt: Algo | None = None
    comp: Algo | None = None
    algorithms: bytes = b""
    coaddr: bytes | None = None
    tfcpad: int = 0
    if_id: int = 0
    sec_ctx: tuple[int, int, bytes] | None = None
    dir: int = 0
    pcpu_num: int = NO_PCPU
    iptfs: Iptfs | None = None
    maxage: int = 0
    maxdiff: int = 0
    id_pad: bytes = bytes(3)


# Protocols whose SAs are named by SPI. 255 means "any of the three", and so matches itself (xfrm_id_proto_match).
NAMED_BY_SPI = frozenset((IPPROTO_ESP, IPPROTO_AH, IPPROTO_COMP, IPSEC_PROTO_ANY))


def key_of(daddr: bytes, spi: bytes, family: int, proto: int) -> bytes:
    """The 23 bytes under which an SA is found: as in struct xfrm_usersa_id; of an IPv4 address 4 bytes count."""
    return _key(daddr[:4] if family == AF_INET else daddr, spi, family, proto)


def same_address(one: bytes, other: bytes, family: int) -> bool:
    """Whether two addresses are equal as far as the family looks at them; never for an unknown family."""
    if family == AF_INET:
        return one[:4] == other[:4]
    return family == AF_INET6 and one == other


class Sa:
    """One SA.

    ``key``       see :func:`key_of`
    ``sel``       its selector
    ``mark``, ``smark``  (value, mask): for the lookup; set on packets it made
    ``encap``     the 24 bytes of struct xfrm_encap_tmpl, or None
    ``offload``   (ifindex, flags) of struct xfrm_user_offload, or None
    ``replay``, ``esn``  sequence numbers and windows; with ``esn`` the former is not used
    ``bytes``, ``packets``, ``add_time``, ``use_time``  struct xfrm_lifetime_cur
    ``told``      the sequence numbers of the last replay event; ``deferred``: the next packet sends one
    ``replay_due``  when the timer of replay events runs off, 0: it does not run
    ``mapped``    when a MAPPING event was sent and for which port, see :func:`pyxfrm.engine.traffic.mapping`
    ``mapping_maxage``  seconds between two MAPPING events; ``nat_keepalive``: seconds between two keepalives
    ``dying``     a soft limit was reported
    ``soft_left``  seconds that were left to the soft limit of age when the timer was set for it, or None
    ``tunnel``    the IP-in-IP SA an IPComp SA leans on; ``tunnel_users``: how many lean on this one
    ``live``      what its packets use, None before the first one
    ``iv_lead``   how far its IVs run before its numbers: not 0 where one SA was cloned twice (see :func:`pyxfrm.engine.migrate.hand_over`), or its numbers were set back before its first packet
    ``serial``    order of insertion; ``rank``: place in the chains by addresses, higher is nearer to the front;
                  ``place``: in the others, which an SA may join later
    """

    __slots__ = (
        "_esn",
        "_replay",
        "_stats",
        "add_time",
        "bytes",
        "daddr",
        "deferred",
        "dying",
        "encap",
        "family",
        "iv_lead",
        "key",
        "lastused",
        "live",
        "mapped",
        "mapping_maxage",
        "mark",
        "nat_keepalive",
        "offload",
        "packets",
        "place",
        "proto",
        "rank",
        "replay_due",
        "reqid",
        "saddr",
        "sel",
        "serial",
        "smark",
        "soft_left",
        "spi",
        "state",
        "told",
        "traits",
        "tunnel",
        "tunnel_users",
        "use_time",
    )

    def __init__(
        self,
        traits: Traits,
        daddr: bytes,
        spi: bytes,
        proto: int,
        family: int,
        saddr: bytes,
        reqid: int,
        sel: Selector,
    ) -> None:
        self.traits = traits
        self.daddr = daddr
        self.spi = spi
        self.proto = proto
        self.family = family
        self.saddr = saddr
        self.reqid = reqid
        self.sel = sel
        self.key = key_of(daddr, spi, family, proto)
        self.mark = self.smark = (0, 0)
        self.encap: bytes | None = None
        self.offload: tuple[int, int] | None = None
        self.live: Live | None = None
        self.iv_lead = 0
        self._replay = _NO_REPLAY
        self._esn: ReplayStateEsn | None = None
        self.told: ReplayState | ReplayStateEsn = _NO_REPLAY
        self.deferred = False
        self.replay_due = 0.0
        self.mapped: tuple[float, int] | None = None
        self.bytes = self.packets = self.add_time = self.use_time = self.lastused = 0
        self._stats = (0, 0, 0)
        self.mapping_maxage = self.nat_keepalive = 0
        self.state = State.VOID
        self.dying = False
        self.soft_left: int | None = None
        self.tunnel: Sa | None = None
        self.tunnel_users = 0
        self.serial = self.rank = self.place = 0

    @property
    def replay(self) -> ReplayState:
        """Sequence numbers and window of 32 packets; without meaning where there is an ``esn``."""
        if self.live is not None and self._esn is None:
            self._replay = self.live.replay(self._replay)
        return self._replay

    @replay.setter
    def replay(self, state: ReplayState) -> None:
        if self._esn is None:
            self._keep_ivs(state)
        self._replay = state
        if self.live is not None and self._esn is None:
            self.live.restore(self)

    @property
    def esn(self) -> ReplayStateEsn | None:
        """Sequence numbers and window of any size; None where the SA has none."""
        if self.live is not None and self._esn is not None:
            self._esn = self.live.esn(self._esn)
        return self._esn

    @esn.setter
    def esn(self, state: ReplayStateEsn | None) -> None:
        if state is not None:
            self._keep_ivs(state)
        self._esn = state
        if self.live is not None and state is not None:
            self.live.restore(self)

    def _keep_ivs(self, state: ReplayState | ReplayStateEsn) -> None:
        """Numbers are set, perhaps back, and no sealer is there that would keep its IVs from going back with them."""
        if self.live is None or not self.live.keeps_ivs:
            used = self.last(self.stored) + self.iv_lead
            self.iv_lead = max(0, used - self.last(state))

    def last(self, state: ReplayState | ReplayStateEsn) -> int:
        """The outbound sequence number used last, 64 bits with ESN."""
        if self.traits.flags & XFRM_STATE_ESN and isinstance(state, ReplayStateEsn):
            return state.oseq_hi << 32 | state.oseq
        return state.oseq

    def take_numbers(self, old: Sa) -> None:
        """Copy the sequence numbers and windows of another SA, of which this one is a clone."""
        if old.live is None:
            self._replay, self._esn = old._replay, old._esn
        else:
            self._replay, self._esn = old.replay, old.esn
        self.told = old.told
        self.iv_lead = old.iv_lead

    @property
    def stored(self) -> ReplayState | ReplayStateEsn:
        """``esn`` or ``replay`` as last read or written: what live parts start from."""
        return self._replay if self._esn is None else self._esn

    @property
    def stats(self) -> tuple[int, int, int]:
        """Packets refused: below the window, seen before, with a wrong check value."""
        if self.live is not None:
            self._stats = self.live.stats(self._stats)
        return self._stats

    @stats.setter
    def stats(self, stats: tuple[int, int, int]) -> None:
        self._stats = stats
        if self.live is not None:
            self.live.restore_stats(stats)

    def __repr__(self) -> str:
        return (
            f"<Sa proto {self.proto} spi 0x{self.spi.hex()} family {self.family} daddr {self.daddr.hex()} "
            f"reqid {self.reqid} {self.state.name}>"
        )
