"""Security associations.

:class:`SaId` names one: destination, protocol and SPI, and the mark, which the kernel looks at too. :class:`Sa` is all that can be said
when one is installed. What a kernel counts meanwhile (:class:`Counters`, :class:`Refusals`) is read with it.

>>> sa = Sa(
...     SaId(ip("198.51.100.1"), Proto.ESP, 0xC0FFEE01),
...     saddr=ip("192.0.2.10"),
...     mode=Mode.TUNNEL,
...     algorithms=(Algorithm.aes_gcm(bytes(range(20))),),
...     replay=ReplayState.of(128),
...     reqid=1,
... )
>>> str(sa.id)
'dst 198.51.100.1 proto esp spi 0xc0ffee01'
"""

from __future__ import annotations

from dataclasses import dataclass

from pyxfrm.errors import UsageError
from pyxfrm.model.address import Address, ip
from pyxfrm.model.algorithm import Algorithm, AlgorithmKind
from pyxfrm.model.checks import U8, U16, U32, U64, fits, uint
from pyxfrm.model.kinds import (
    EncapKind,
    ExtraFlag,
    Family,
    Mode,
    OffloadFlag,
    Proto,
    SaDir,
    StateFlag,
)
from pyxfrm.model.selector import Mark, Selector
from pyxfrm.model.sequence import ReplayState

__all__ = [
    "Counters",
    "Encap",
    "Iptfs",
    "Limits",
    "NO_LIMITS",
    "Offload",
    "Refusals",
    "Sa",
    "SaId",
    "SecurityContext",
    "ip",
]


_ANY_FAMILY = Selector.any(Family.UNSPEC)
_NO_FLAG = StateFlag(0)
_NO_EXTRA_FLAG = ExtraFlag(0)
_NO_OFFLOAD_FLAG = OffloadFlag(0)


@dataclass(frozen=True, slots=True)
class SaId:
    """Names one SA: what a lookup is asked for.

    ``spi``    host order; 0 only for the protocols that have none
    ``mark``   the SA's own mark; None: it has none
    ``saddr``  only for protocols without SPI (Mobile IPv6), which are found by both addresses
    """

    daddr: Address
    proto: Proto
    spi: int = 0
    mark: Mark | None = None
    saddr: Address | None = None

    def __post_init__(self) -> None:
        uint("spi", self.spi, U32)
        uint("protocol", self.proto, U8)
        if self.saddr is not None and self.saddr.family != self.daddr.family:
            raise UsageError(f"SA {self.saddr} -> {self.daddr}: two families")

    @property
    def family(self) -> Family:
        """Its destination's family."""
        return self.daddr.family

    @property
    def key(self) -> int:
        """The number that its mark is looked up by; 0 without mark."""
        return self.mark.key if self.mark else 0

    def __str__(self) -> str:
        src = f"src {self.saddr} " if self.saddr else ""
        spi = f" spi {self.spi:#010x}" if self.proto.by_spi else ""
        mark = f" mark {self.mark}" if self.mark else ""
        return f"{src}dst {self.daddr} proto {self.proto}{spi}{mark}"


@dataclass(frozen=True, slots=True)
class Encap:
    """ESP in UDP or TCP. Ports in host order. ``oa``: original address, None for none (all zeros)."""

    sport: int
    dport: int
    kind: EncapKind = EncapKind.ESPINUDP
    oa: Address | None = None

    def __post_init__(self) -> None:
        uint("encapsulation: source port", self.sport, U16)
        uint("encapsulation: destination port", self.dport, U16)
        uint("encapsulation: kind", self.kind, U16)
        if self.kind == 0:
            raise UsageError("encapsulation: kind 0 is none; use REMOVE to take it away")
        if self.oa is not None and self.oa.is_any:
            object.__setattr__(self, "oa", None)


@dataclass(frozen=True, slots=True)
class Limits:
    """When an SA or policy expires; None: never. Soft limits only tell.

    ``*_bytes``, ``*_packets`` count traffic; ``*_add`` are seconds since it was added, ``*_use`` since its first use.
    """

    soft_bytes: int | None = None
    hard_bytes: int | None = None
    soft_packets: int | None = None
    hard_packets: int | None = None
    soft_add: int | None = None
    hard_add: int | None = None
    soft_use: int | None = None
    hard_use: int | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is None:
                continue
            uint(f"limit {name}", value, U64 - 1)
            if name.endswith(("_add", "_use")) and value in (0, U64):
                raise UsageError(f"limit {name}: {value} seconds; leave it out for no limit")
            if value == U64:
                raise UsageError(f"limit {name}: leave it out for no limit")


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Counters:
    """What went through. ``added``, ``used``: seconds since the epoch, 0 for not yet."""

    bytes: int
    packets: int
    added: int = 0
    used: int = 0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            uint(f"counter {name}", getattr(self, name), U64)


@dataclass(frozen=True, slots=True)
class Refusals:
    """Packets an SA refused: behind the window, seen before, not authentic."""

    replay_window: int
    replay: int
    integrity: int


@dataclass(frozen=True, slots=True)
class Offload:
    """The device that carries an SA or policy, by interface index."""

    ifindex: int
    flags: OffloadFlag = _NO_OFFLOAD_FLAG

    def __post_init__(self) -> None:
        uint("offload: interface index", self.ifindex, (1 << 31) - 1)
        uint("offload: flags", self.flags, U8)


@dataclass(frozen=True, slots=True)
class SecurityContext:
    """An LSM's label. ``text``: as the LSM writes it, its final NUL included where it has one."""

    text: bytes
    doi: int = 1
    alg: int = 1

    def __post_init__(self) -> None:
        uint("security context: doi", self.doi, U8)
        uint("security context: algorithm", self.alg, U8)
        uint("security context: length", len(self.text), U16 - 12)


@dataclass(frozen=True, slots=True)
class Iptfs:
    """Settings of mode IPTFS (RFC 9347); None: the kernel's. Times in microseconds, sizes in bytes."""

    drop_time: int | None = None
    reorder_window: int | None = None
    dont_frag: bool = False
    init_delay: int | None = None
    max_queue: int | None = None
    packet_size: int | None = None

    def __post_init__(self) -> None:
        for name in ("drop_time", "init_delay", "max_queue", "packet_size"):
            value = getattr(self, name)
            if value is not None:
                uint(f"iptfs {name}", value, U32)
        if self.reorder_window is not None:
            uint("iptfs reorder_window", self.reorder_window, U16)


_NUMBERS = (
    ("reqid", U32),
    ("if_id", U32),
    ("mapping_threshold", U32),
    ("nat_keepalive", U32),
    ("tfc_pad", U32),
    ("acquire_seq", U32),
    ("flags", U8),
    ("extra_flags", U32),
    ("cpu", U32),
    ("replay_notify", U32),
    ("notify_timer", U32),
)
_OPTIONAL = ("cpu", "replay_notify", "notify_timer")


@dataclass(frozen=True, slots=True)
class Sa:
    """One SA, as it is installed. Everything after ``replay`` may be left out.

    ``sel``            packets it is for; with family UNSPEC the kernel takes the SA's family
    ``reqid``          ties it to the templates of policies; 0: to none
    ``if_id``          XFRM interface; 0: none
    ``set_mark``       mark that its packets get
    ``counters``       count on from these
    ``mapping_threshold``  seconds between two MAPPING events, 0: each (inbound with ``encap``)
    ``nat_keepalive``  seconds between NAT keep-alive packets, 0: none (with ``encap``)
    ``tfc_pad``        bytes that packets are padded to (RFC 4303 §2.7)
    ``cpu``            the one CPU it is for
    ``care_of``        care-of address (Mobile IPv6)
    ``acquire_seq``    the ACQUIRE that it answers
    ``replay_notify``  packets after which a NEWAE event tells the sequence numbers;
    ``notify_timer``   the same by time, in tenths of a second
    """

    id: SaId
    saddr: Address
    mode: Mode
    algorithms: tuple[Algorithm, ...]
    replay: ReplayState
    reqid: int = 0
    sel: Selector = _ANY_FAMILY
    limits: Limits = NO_LIMITS
    flags: StateFlag = _NO_FLAG
    extra_flags: ExtraFlag = _NO_EXTRA_FLAG
    dir: SaDir | None = None
    if_id: int = 0
    set_mark: Mark | None = None
    encap: Encap | None = None
    mapping_threshold: int = 0
    nat_keepalive: int = 0
    offload: Offload | None = None
    tfc_pad: int = 0
    cpu: int | None = None
    iptfs: Iptfs | None = None
    context: SecurityContext | None = None
    care_of: Address | None = None
    counters: Counters | None = None
    acquire_seq: int = 0
    replay_notify: int | None = None
    notify_timer: int | None = None

    def __post_init__(self) -> None:
        if self.saddr.family != self.id.family:
            raise UsageError(f"SA {self.id}: its source {self.saddr} is of another family")
        for name, limit in _NUMBERS:
            value = getattr(self, name)
            if not fits(value, limit) and (value is not None or name not in _OPTIONAL):
                uint(f"SA {self.id}: {name}", value, limit)
        if self.flags & 128:
            raise UsageError(f"SA {self.id}: ESN is said by replay, not by flags")
        if len(self.algorithms) > 1:
            kinds = [a.kind for a in self.algorithms]
            if len(set(kinds)) != len(kinds):
                raise UsageError(f"SA {self.id}: two algorithms for one purpose")
            if AlgorithmKind.AEAD in kinds:
                raise UsageError(f"SA {self.id}: an AEAD stands alone")
        if self.care_of is not None and self.care_of.family != self.id.family:
            raise UsageError(f"SA {self.id}: its care-of address is of another family")

    def algorithm(self, kind: AlgorithmKind) -> Algorithm | None:
        """The algorithm for one purpose, if it has one."""
        return next((a for a in self.algorithms if a.kind is kind), None)
