"""Putting an SA into the database: as a new one, in the place of a larval one, or onto one that is there.

A new SA must not meet one that its own key and mark find (``EEXIST``). The larval SA that waited for it goes, silently: the one whose ACQUIRE
it names, or the one with the same addresses, protocol, mode and reqid.

An update keeps the SA that is there and takes over only some of what the request says: ports of an encapsulation of the same
type, limits, set-mark and if_id if given; a care-of address, and a selector where there is no SPI. Keys, mark, flags
and replay state stay what they were, whatever was asked. On a larval SA an update is a new SA.

Sources: net/xfrm/xfrm_state.c: xfrm_state_add, xfrm_state_update, __xfrm_state_insert, __xfrm_state_delete.
"""

from __future__ import annotations

from errno import EEXIST, EINVAL, ESRCH
from typing import TYPE_CHECKING

from pyxfrm.engine import aevents, ipcomp, lifetime
from pyxfrm.engine.lifetime import delete_sa
from pyxfrm.engine.offload import drop_offload
from pyxfrm.engine.refusal import Refusal
from pyxfrm.engine.sa import NAMED_BY_SPI, State, same_address

if TYPE_CHECKING:
    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.sa import Sa

__all__ = ["add_sa", "delete_sa", "discard", "insert_sa", "update_sa"]


def insert_sa(engine: Engine, sa: Sa) -> None:
    """Put an SA into the database, whatever is there, and start its timers."""
    engine.sadb.insert(sa)
    lifetime.start(engine, sa)
    aevents.start(engine, sa)


def discard(engine: Engine, sa: Sa) -> None:
    """Give back what an SA holds that is not (or not any more) in the database."""
    sa.state = State.DEAD
    drop_offload(engine, sa)
    ipcomp.detach(engine, sa)
    ipcomp.release(engine, sa)


def _locate(engine: Engine, sa: Sa) -> Sa | None:
    """The SA that a new one would meet: by SPI, or by both addresses where the protocol has none."""
    if sa.proto in NAMED_BY_SPI:
        return engine.sadb.lookup(sa.key, sa.mark)
    return engine.sadb.lookup_addresses(sa.daddr, sa.saddr, sa.proto, sa.family, sa.mark)


def add_sa(engine: Engine, sa: Sa) -> None:
    """Install a new SA; the larval one that waited for it goes."""
    if _locate(engine, sa) is not None:
        discard(engine, sa)
        raise Refusal(EEXIST)
    larval = _waiting(engine, sa) if sa.proto in NAMED_BY_SPI else None
    insert_sa(engine, sa)
    if larval is not None:
        delete_sa(engine, larval)


def _waiting(engine: Engine, sa: Sa) -> Sa | None:
    """The larval SA that this one replaces."""
    sadb, traits = engine.sadb, sa.traits
    if traits.seq:
        found = sadb.by_seq(traits.seq, sa.mark, traits.pcpu_num)
        if (
            found is not None
            and found.proto == sa.proto
            and same_address(found.daddr, sa.daddr, sa.family)
        ):
            return found
    return sadb.larval(
        sa.daddr,
        sa.saddr,
        sa.family,
        sa.proto,
        traits.mode,
        sa.reqid,
        traits.pcpu_num,
        sa.mark,
    )


def update_sa(engine: Engine, sa: Sa) -> None:
    """Change the SA that ``sa`` meets, or put ``sa`` in the place of a larval one.

    ``sa`` is what the notification shows. Where there is an SA with keys, only that one changes, and ``sa`` is dead afterwards.
    """
    old = _locate(engine, sa)
    try:
        if old is None:
            raise Refusal(ESRCH)
        if old.tunnel_users:
            raise Refusal(EEXIST)
        if old.state == State.ACQ:
            if sa.traits.dir and old.traits.dir != sa.traits.dir:
                raise Refusal(ESRCH)
        else:
            if old.traits.dir != sa.traits.dir:
                raise Refusal(ESRCH)
            _check_change(old, sa)
    except Refusal:
        discard(engine, sa)
        raise
    if old.state == State.ACQ:
        insert_sa(engine, sa)
        delete_sa(engine, old)
    else:
        _change(engine, old, sa)
        discard(engine, sa)


def _check_change(old: Sa, sa: Sa) -> None:
    if old.state != State.VALID:
        raise Refusal(EINVAL)
    if sa.encap is None and old.encap is None:
        return
    if sa.encap is None or old.encap is None or sa.encap[:2] != old.encap[:2]:
        raise Refusal(EINVAL)


def _change(engine: Engine, old: Sa, sa: Sa) -> None:
    """Take over what an update may change."""
    traits = sa.traits
    old.encap = sa.encap
    if engine.sadb.touched is not None:
        engine.sadb.touched.append(old)
    if old.live is not None:
        old.live.stale()
    coaddr = old.traits.coaddr
    if traits.coaddr is not None and coaddr is not None:
        coaddr = traits.coaddr
    if sa.proto not in NAMED_BY_SPI:
        old.sel = sa.sel
    old.dying = False
    old.traits = old.traits._replace(lft=traits.lft, coaddr=coaddr)
    lifetime.stop(engine, old)
    lifetime.start(engine, old)
    if old.use_time:
        lifetime.check_counters(engine, old)
    if sa.smark != (0, 0):
        old.smark = sa.smark
    if traits.if_id:
        old.traits = old.traits._replace(if_id=traits.if_id)
    lifetime.end_if_expired(engine, old)
