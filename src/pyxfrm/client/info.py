"""Answers that are neither SA nor policy: table sizes, defaults, sequence numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.client import from_wire
from pyxfrm.model import Address, Counters, Default, Mark, SaDir, SaId
from pyxfrm.wire.codec import codec
from pyxfrm.wire.lookup import Attributes
from pyxfrm.wire.netlink import HEADER_SIZE

__all__ = ["Aevent", "Defaults", "PolicyCounts", "SadInfo", "SpdInfo", "Thresholds"]


class SadInfo(NamedTuple):
    """Number of ``sas``; hash tables of ``buckets``, ``max_buckets`` at most."""

    sas: int
    buckets: int
    max_buckets: int

    @classmethod
    def of(cls, raw: bytes) -> SadInfo:
        """From NEWSADINFO."""
        attrs = Attributes(raw, HEADER_SIZE + 4, m.SAD_ATTRIBUTES)
        hashing: s.SadHinfo | None = attrs.get(m.XFRMA_SAD_HINFO)
        return cls(
            attrs.get(m.XFRMA_SAD_CNT) or 0,
            hashing.sadhcnt if hashing else 0,
            hashing.sadhmcnt if hashing else 0,
        )


class PolicyCounts(NamedTuple):
    """Policies by direction."""

    inbound: int
    outbound: int
    forward: int


class Thresholds(NamedTuple):
    """From which prefix lengths on policies are hashed: local and remote, in bits."""

    local: int
    remote: int


class SpdInfo(NamedTuple):
    """Numbers of policies, of sockets' own policies, and how policies are hashed."""

    policies: PolicyCounts
    socket_policies: PolicyCounts
    buckets: int
    max_buckets: int
    thresholds4: Thresholds
    thresholds6: Thresholds

    @classmethod
    def of(cls, raw: bytes) -> SpdInfo:
        """From NEWSPDINFO."""
        attrs = Attributes(raw, HEADER_SIZE + 4, m.SPD_ATTRIBUTES)
        counts = attrs.get(m.XFRMA_SPD_INFO) or s.SpdInfo(0, 0, 0, 0, 0, 0)
        hashing = attrs.get(m.XFRMA_SPD_HINFO) or s.SpdHinfo(0, 0)
        v4 = attrs.get(m.XFRMA_SPD_IPV4_HTHRESH) or s.SpdHthresh(32, 32)
        v6 = attrs.get(m.XFRMA_SPD_IPV6_HTHRESH) or s.SpdHthresh(128, 128)
        return cls(
            PolicyCounts(*counts[:3]),
            PolicyCounts(*counts[3:]),
            hashing.spdhcnt,
            hashing.spdhmcnt,
            Thresholds(v4.lbits, v4.rbits),
            Thresholds(v6.lbits, v6.rbits),
        )


class Defaults(NamedTuple):
    """What becomes of packets that no policy matches."""

    inbound: Default
    forward: Default
    outbound: Default

    @classmethod
    def of(cls, raw: bytes) -> Defaults:
        """From GETDEFAULT, which is both the question and the answer."""
        body = codec(s.UserPolicyDefault).decode(raw, HEADER_SIZE)
        return cls(Default(body.in_), Default(body.fwd), Default(body.out))


@dataclass(frozen=True, slots=True)
class Aevent:
    """Where an SA stands (NEWAE): the answer to GETAE, and the event.

    ``oseq``, ``seq``, ``bitmap``  as in :class:`pyxfrm.model.ReplayState`
    ``window``   None: the short form, which does not tell it
    ``cause``    XFRM_AE_*: why it came, or what was asked for
    ``replay_notify``, ``notify_timer``  thresholds, where they were asked for
    """

    id: SaId
    saddr: Address
    reqid: int
    cause: int
    oseq: int
    seq: int
    bitmap: int
    window: int | None
    counters: Counters | None
    replay_notify: int | None = None
    notify_timer: int | None = None
    if_id: int = 0
    dir: SaDir | None = None
    cpu: int | None = None

    @property
    def mark(self) -> Mark | None:
        """The SA's mark."""
        return self.id.mark

    @classmethod
    def of(cls, raw: bytes) -> Aevent:
        """From NEWAE."""
        made = codec(s.AeventId)
        body = made.decode(raw, HEADER_SIZE)
        attrs = Attributes(raw, HEADER_SIZE + made.size)
        kind = from_wire.family(body.sa_id.family)
        saddr = from_wire.address(kind, body.saddr)
        state = from_wire.replay(attrs)
        curlft = attrs.get(m.XFRMA_LTIME_VAL)
        direction = attrs.get(m.XFRMA_SA_DIR)
        daddr = from_wire.address(kind, body.sa_id.daddr)
        return cls(
            from_wire.sa_id(daddr, body.sa_id.proto, body.sa_id.spi, attrs, saddr),
            saddr,
            body.reqid,
            body.flags,
            state.oseq,
            state.seq,
            state.bitmap,
            None if state.words is None else state.window,
            None if curlft is None else from_wire.counters(curlft),
            attrs.get(m.XFRMA_REPLAY_THRESH),
            attrs.get(m.XFRMA_ETIMER_THRESH),
            attrs.get(m.XFRMA_IF_ID) or 0,
            None if direction is None else SaDir(direction),
            attrs.get(m.XFRMA_SA_PCPU),
        )
