"""What somebody asks for: which endpoint moves, where to, and which of its SAs.

>>> wish = Wish(local=ip("192.0.2.10"), new_local=ip("203.0.113.10"))
>>> str(wish)
'local 192.0.2.10 -> 203.0.113.10'
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pyxfrm.errors import UsageError
from pyxfrm.model import INHERIT, REMOVE, Address, Encap, Inherit, Mark, Remove, SaDir, ip
from pyxfrm.relocation.footprint import Footprint

__all__ = ["Select", "Wish", "ip"]


@dataclass(frozen=True, slots=True)
class Select:
    """Narrows an endpoint's SAs; an empty set lets all through. Sets are joined with "and"."""

    spis: frozenset[int] = frozenset()
    reqids: frozenset[int] = frozenset()
    marks: frozenset[Mark] = frozenset()
    if_ids: frozenset[int] = frozenset()
    cpus: frozenset[int] = frozenset()
    labels: frozenset[bytes] = frozenset()

    def admits(self, reqid: int) -> bool:
        """Whether a template with this reqid is meant, though it has no SA."""
        wide = Select(reqids=self.reqids) == self
        return wide and (not self.reqids or reqid in self.reqids)

    def why_not(self, sa: Footprint) -> str:
        """What keeps ``sa`` out; "" if it is chosen."""
        label = None if sa.label is None else sa.label.rstrip(b"\0")
        tests: tuple[tuple[str, frozenset[object], object], ...] = (
            ("SPI", frozenset(self.spis), sa.id.spi),
            ("reqid", frozenset(self.reqids), sa.reqid),
            ("mark", frozenset(self.marks), sa.id.mark),
            ("if_id", frozenset(self.if_ids), sa.if_id),
            ("CPU", frozenset(self.cpus), sa.cpu),
            ("label", frozenset(self.labels), label),
        )
        for name, wanted, has in tests:
            if wanted and has not in wanted:
                return f"its {name} was not selected"
        return ""


@dataclass(frozen=True, slots=True)
class Wish:
    """One endpoint's move, as seen from this machine.

    ``local``, ``remote``          the tunnel's ends now; one may be left out: whatever it is
    ``new_local``, ``new_remote``  afterwards; None: stays
    ``encap``    UDP encapsulation afterwards, ports as an *outbound* packet has them; REMOVE: none
    ``reqid``    afterwards; None: stays. Templates follow
    ``offload``  REMOVE: afterwards in software
    """

    local: Address | None = None
    remote: Address | None = None
    new_local: Address | None = None
    new_remote: Address | None = None
    encap: Encap | Inherit | Remove = INHERIT
    reqid: int | None = None
    offload: Inherit | Remove = INHERIT
    select: Select = field(default=Select())

    def __post_init__(self) -> None:
        if self.local is None and self.remote is None:
            raise UsageError("relocation: say which endpoint: its local or its remote address now")
        for name in ("local", "remote"):
            if getattr(self, name) is None and getattr(self, f"new_{name}") is not None:
                raise UsageError(f"relocation: a new {name} address, but not which one it replaces")
        if self.local is not None and self.local == self.remote:
            raise UsageError(f"relocation: local and remote address are both {self.local}")
        if not self.changes:
            raise UsageError("relocation: nothing changes: give a new address, encap or reqid")

    @property
    def changes(self) -> bool:
        """Whether anything is asked to change at all."""
        return (
            (self.new_local or self.local) != self.local
            or (self.new_remote or self.remote) != self.remote
            or self.encap is not INHERIT
            or self.reqid is not None
            or self.offload is REMOVE
        )

    def direction(self, saddr: Address, daddr: Address) -> SaDir | None:
        """Which way an SA with these addresses carries this endpoint's packets; None: not its own."""
        if self._is(saddr, daddr):
            return SaDir.OUT
        if self._is(daddr, saddr):
            return SaDir.IN
        return None

    def _is(self, local: Address, remote: Address) -> bool:
        return self.local in (None, local) and self.remote in (None, remote)

    def moved(self, direction: SaDir, saddr: Address, daddr: Address) -> tuple[Address, Address]:
        """Source and destination afterwards, for an SA of that direction."""
        if direction == SaDir.OUT:
            return self.new_local or saddr, self.new_remote or daddr
        return self.new_remote or saddr, self.new_local or daddr

    @property
    def mirrored(self) -> Wish:
        """The same move as the other end sees it."""
        encap = self.encap_for(SaDir.IN)
        return replace(
            self,
            local=self.remote,
            remote=self.local,
            new_local=self.new_remote,
            new_remote=self.new_local,
            encap=encap,
        )

    def encap_for(self, direction: SaDir) -> Encap | Inherit | Remove:
        """The encapsulation with the ports in that direction's order."""
        if direction == SaDir.OUT or not isinstance(self.encap, Encap):
            return self.encap
        return Encap(self.encap.dport, self.encap.sport, self.encap.kind, self.encap.oa)

    def __str__(self) -> str:
        parts = []
        for name in ("local", "remote"):
            now, then = getattr(self, name), getattr(self, f"new_{name}")
            if now is not None:
                parts.append(f"{name} {now} -> {then}" if then else f"{name} {now}")
        if isinstance(self.encap, Encap):
            parts.append(f"encap {self.encap.sport}:{self.encap.dport}")
        elif self.encap is REMOVE:
            parts.append("encap none")
        if self.reqid is not None:
            parts.append(f"reqid {self.reqid}")
        return ", ".join(parts)
