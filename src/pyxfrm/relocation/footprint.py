"""What an SA is known by, without its keys.

A plan, a journal and a report hold :class:`Footprint`, never :class:`~pyxfrm.model.Sa`: what holds no key cannot give one away.
Keys are read at the moment they are needed, by the strategies that copy an SA, and forgotten after it.

An SA keeps its ``added`` time, its algorithms and its interface when it moves (net/xfrm/xfrm_state.c: xfrm_migrate_sync,
xfrm_state_clone_and_setup). An SA at the same tuple with another ``added`` is another SA: replaced, rekeyed, not ours to move.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyxfrm.model import (
    HOST_TO_HOST,
    INHERIT,
    REMOVE,
    Address,
    Encap,
    HostToHost,
    Migration,
    Mode,
    Network,
    Sa,
    SaDir,
    SaId,
    Selector,
)
from pyxfrm.model.checks import as_seen

if TYPE_CHECKING:
    from pyxfrm.client import SaRecord

__all__ = ["Footprint", "whole"]


def whole(record: SaRecord) -> Sa:
    """The SA of a record with what it has counted, as it was shown."""
    sa = record.sa
    values = {name: getattr(sa, name) for name in Sa.__slots__} | {"counters": record.counters}
    return as_seen(Sa, *values.values())


@dataclass(frozen=True, slots=True)
class Footprint:
    """One SA as it was seen.

    ``added``       seconds since the epoch when it was installed; 0: not told
    ``algorithms``  kernel names; none: a larval SA, which still waits for its keys
    ``window``      packets that its replay window covers
    ``label``       text of its security context
    ``offloaded``   a device carries it
    """

    id: SaId
    saddr: Address
    mode: Mode
    sel: Selector
    reqid: int = 0
    encap: Encap | None = None
    if_id: int = 0
    dir: SaDir | None = None
    cpu: int | None = None
    label: bytes | None = None
    added: int = 0
    algorithms: tuple[str, ...] = ()
    window: int = 0
    esn: bool = False
    offloaded: bool = False

    @classmethod
    def of(cls, sa: Sa) -> Footprint:
        """The footprint of an SA that was read."""
        return cls(
            sa.id,
            sa.saddr,
            sa.mode,
            sa.sel,
            sa.reqid,
            sa.encap,
            sa.if_id,
            sa.dir,
            sa.cpu,
            sa.context.text if sa.context else None,
            sa.counters.added if sa.counters else 0,
            tuple(a.name for a in sa.algorithms),
            sa.replay.window,
            sa.replay.esn,
            sa.offload is not None,
        )

    @property
    def larval(self) -> bool:
        """No keys yet: an SPI was reserved, or an ACQUIRE waits for an answer."""
        return not self.algorithms and self.id.proto.by_spi

    @property
    def tunnels(self) -> bool:
        """Its templates name the outer addresses (tunnel, BEET, IPTFS)."""
        return self.mode.has_ends

    def after(self, move: Migration) -> Footprint:
        """What it will be known by once ``move`` is done."""
        encap = self.encap if move.encap is INHERIT else move.encap
        return replace(
            self,
            id=move.new_id,
            saddr=move.new_saddr,
            sel=_selector(self, move),
            reqid=move.reqid,
            encap=None if encap is REMOVE else encap,
            offloaded=self.offloaded and move.offload is not REMOVE,
        )

    def back(self, move: Migration) -> Migration:
        """The request that undoes ``move`` of this SA: from the new place to where it stands here."""
        sel: Selector | HostToHost = self.sel
        if move.sel is HOST_TO_HOST:
            sel = HOST_TO_HOST
        return Migration(
            move.new_id,
            self.saddr,
            self.id.daddr,
            self.reqid,
            sel,
            encap=INHERIT if move.encap is INHERIT else self.encap or REMOVE,
            offload=INHERIT,
        )

    def same_sa(self, other: Footprint) -> bool:
        """Whether both are one SA, wherever each of them stands."""
        mine = (self.id.spi, self.id.proto, self.id.mark, self.mode, self.if_id, self.algorithms)
        its = (
            other.id.spi,
            other.id.proto,
            other.id.mark,
            other.mode,
            other.if_id,
            other.algorithms,
        )
        return mine == its and (self.added == other.added or not (self.added and other.added))

    def same_place(self, other: Footprint) -> bool:
        """Whether both have the same addresses, encapsulation and reqid: all that a move changes."""
        mine = (self.id.daddr, self.saddr, self.reqid, self.encap)
        return mine == (other.id.daddr, other.saddr, other.reqid, other.encap)

    def __str__(self) -> str:
        parts = [f"{self.id.proto} spi {self.id.spi:#010x} {self.saddr} -> {self.id.daddr}"]
        parts.append(f"{self.mode} reqid {self.reqid}")
        if self.encap:
            parts.append(f"encap {self.encap.sport}:{self.encap.dport}")
        if self.id.mark:
            parts.append(f"mark {self.id.mark}")
        if self.if_id:
            parts.append(f"if_id {self.if_id:#x}")
        if self.cpu is not None:
            parts.append(f"cpu {self.cpu}")
        if self.label is not None:
            parts.append(f"label {self.label.rstrip(bytes(1)).decode('ascii', 'replace')}")
        return " ".join(parts)


def _selector(old: Footprint, move: Migration) -> Selector:
    if move.sel is not HOST_TO_HOST:
        return move.sel
    return replace(old.sel, saddr=Network.host(move.new_saddr), daddr=Network.host(move.new_daddr))
