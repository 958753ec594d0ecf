"""Copies of an SA: the same keys at another place, without using a number twice.

A key and an IV must never meet twice, and the kernel makes the IV from the sequence number (crypto/seqiv.c) and a salt of its own for each SA that it
instantiates. So two SAs with one key must never send the same number: the copy starts behind a *cut*, and the old SA must not reach it. That is checked before the old SA goes.
"""

from __future__ import annotations

from dataclasses import replace

from pyxfrm.model import ExtraFlag, Sa, SaDir, StateFlag
from pyxfrm.relocation.footprint import Footprint

__all__ = ["copied", "cut_of", "readable", "receiving"]

_NOT_INBOUND = StateFlag.NOPMTUDISC


def readable(sa: Sa) -> bool:
    """Whether its keys can be read: a locked-down kernel shows zeros."""
    return not any(a.key.unreadable for a in sa.algorithms)


def cut_of(sa: Sa, jump: int) -> int | None:
    """The number behind which a copy starts; None where so many are not left."""
    return sa.replay.oseq + jump if sa.replay.left > 2 * jump else None


def copied(sa: Sa, new: Footprint, *, oseq: int | None = None) -> Sa:
    """``sa`` at the place of ``new``, sending on from ``oseq`` (its own number unless told)."""
    inbound = sa.dir == SaDir.IN
    encapped = new.encap is not None
    return replace(
        sa,
        id=new.id,
        saddr=new.saddr,
        sel=new.sel,
        reqid=new.reqid,
        encap=new.encap,
        offload=sa.offload if new.offloaded else None,
        mapping_threshold=sa.mapping_threshold if encapped else 0,
        nat_keepalive=sa.nat_keepalive if encapped else 0,
        # Kernels set it by themselves where net.ipv4.ip_no_pmtu_disc asks, and refuse it inbound.
        flags=StateFlag(sa.flags & ~_NOT_INBOUND) if inbound else sa.flags,
        extra_flags=ExtraFlag(0) if inbound else sa.extra_flags,
        replay=sa.replay if oseq is None else replace(sa.replay, oseq=oseq),
    )


def receiving(sa: Sa, new: Footprint, cut: int) -> Sa:
    """``sa`` at the place of ``new``, as the receiver of a copy: all up to ``cut`` counts as seen.

    So no packet that the old SA took, or will take, is taken a second time by this one.
    """
    made = copied(sa, new)
    bits = 32 if made.replay.words is None else 32 * made.replay.words
    return replace(made, replay=replace(made.replay, seq=cut, bitmap=(1 << bits) - 1))
