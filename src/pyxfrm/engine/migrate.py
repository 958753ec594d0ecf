"""The rule of a move: old SA + what is asked + profile -> new SA, or a refusal. Nothing is changed here.

Both migration messages share it: MIGRATE_STATE names one SA (handlers/migrate_state.py), the old MIGRATE finds SAs through a policy's
templates (handlers/migrate.py). A clone takes over everything that is not asked for: the traits as they are (but for the security context, which gets longer), the
marks and wrapping as the :class:`Move` says, sequence numbers and lifetime counters at the moment of the hand-over
(:func:`synchronise`), which must be the moment at which the old SA stops: a number used twice is an IV used twice. If packets have used it,
the new SA then goes on with the same cipher, sequence and window objects (:func:`hand_over`).

Sources: net/xfrm/xfrm_state.c: xfrm_state_clone_and_setup, xfrm_state_migrate_create; include/net/xfrm.h: xfrm_migrate_sync.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pyxfrm.engine.sa import Sa, State
from pyxfrm.engine.security import clone_sec_ctx

if TYPE_CHECKING:
    from pyxfrm.abi.structs import Selector
    from pyxfrm.engine.core import Engine

__all__ = ["Move", "clone", "hand_over", "synchronise"]


class Move(NamedTuple):
    """What is asked of one SA; addresses are 16 raw bytes.

    ``sel``            the new selector
    ``encap``          the new encapsulation as 24 bytes, None for none: what to inherit is settled before
    ``mark``, ``smark``  (value, mask)
    ``mapping_maxage``, ``nat_keepalive``  seconds; they count only with encapsulation
    """

    daddr: bytes
    saddr: bytes
    family: int
    reqid: int
    sel: Selector
    encap: bytes | None
    mark: tuple[int, int]
    smark: tuple[int, int]
    mapping_maxage: int
    nat_keepalive: int


def clone(old: Sa, move: Move) -> Sa:
    """The SA as it will be, not yet checked or installed. A security context may have grown too long to be cloned."""
    traits = old.traits
    if traits.sec_ctx is not None:
        traits = traits._replace(sec_ctx=clone_sec_ctx(traits.sec_ctx))
    new = Sa(traits, move.daddr, old.spi, old.proto, move.family, move.saddr, move.reqid, move.sel)
    if move.encap is not None:
        new.encap = move.encap
        new.mapping_maxage = move.mapping_maxage
        new.nat_keepalive = move.nat_keepalive
    new.mark = move.mark
    new.smark = move.smark
    new.lastused = old.lastused
    new.state = State.VALID
    synchronise(new, old)
    return new


def synchronise(new: Sa, old: Sa) -> None:
    """Hand over lifetime counters, sequence numbers and replay windows."""
    new.bytes = old.bytes
    new.packets = old.packets
    new.add_time = old.add_time
    new.use_time = old.use_time
    new.take_numbers(old)


def hand_over(engine: Engine, new: Sa, old: Sa) -> None:
    """The old SA has stopped: its live parts are the new one's now."""
    live = old.live
    if live is not None:
        old.stats = old.stats
        old.live = None
        live.stale()
        live.restore_stats(new.stats)
        new.live = live
    if engine.datapath is not None:
        engine.datapath.moves.moved(old, new)
