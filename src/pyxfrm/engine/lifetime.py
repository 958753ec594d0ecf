"""The life of an SA in time: soft and hard limits, and the end of a larval one.

Each SA has one timer. It runs one second after the SA was inserted (or its limits were changed), looks at the clock, and sets itself again for the
nearest limit. What counts are whole seconds of the clock of the day:

* a hard limit of age or use that is reached deletes the SA and tells XFRMNLGRP_EXPIRE (``hard`` 1);
* a soft one is told once (``hard`` 0); the SA is *dying* from then on and no soft limit is looked at again;
* XFRM_INF, which means "none" for bytes and packets, is -1 here: reached at the first look.

A use limit counts from the first packet; until there was one, from now, so that it never comes nearer. Byte and packet
limits are looked at when a packet is counted (:func:`check_counters`). A larval SA has a hard limit like any other.

There is one repair: when the hard limit comes before the soft one was seen (somebody set the clock), the SA is made so much younger that the
soft limit is due at the next look. It fails where an update has meanwhile set a hard limit shorter than what was left to the soft one: the SA
is over its limit again at once. Such a timer is not set any more: the SA stays until it is updated or deleted.

Sources: net/xfrm/xfrm_state.c: xfrm_timer_handler, xfrm_state_check_expire, __xfrm_state_insert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxfrm.engine import aevents, ipcomp, notify
from pyxfrm.engine.offload import drop_offload
from pyxfrm.engine.sa import State

if TYPE_CHECKING:
    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.sa import Sa

__all__ = ["check_counters", "delete_sa", "end_if_expired", "start", "stop"]

FIRST_LOOK = 1.0  # seconds after insertion

_S64 = 1 << 63
_U64 = (1 << 64) - 1
_NEVER = _S64 - 1
_NO_SPI = bytes(4)


def start(engine: Engine, sa: Sa, delay: float = FIRST_LOOK) -> None:
    """Set the timer of an SA, ``delay`` seconds from now; one whose look would do nothing is not set."""
    limits = sa.traits.lft
    if limits[4] or limits[5] or limits[6] or limits[7]:
        engine.timers.set(sa, _look, engine.now + delay)


def stop(engine: Engine, sa: Sa) -> None:
    """Forget the timer of an SA."""
    engine.timers.cancel(sa, _look)


def check_counters(engine: Engine, sa: Sa) -> bool:
    """Before a packet is counted: False if a hard limit of bytes or packets is reached.

    The SA is expired then, and the caller ends it (:func:`end_if_expired`) when it is done with it. The first call notes
    the time of first use.
    """
    limits = sa.traits.lft
    if not sa.use_time:
        sa.use_time = int(engine.now)
    if sa.bytes >= limits.hard_byte_limit or sa.packets >= limits.hard_packet_limit:
        sa.state = State.EXPIRED
        return False
    if not sa.dying and (
        sa.bytes >= limits.soft_byte_limit or sa.packets >= limits.soft_packet_limit
    ):
        sa.dying = True
        notify.sa_expired(engine, sa, hard=False)
    return True


def end_if_expired(engine: Engine, sa: Sa) -> None:
    """End an SA whose hard limit of bytes or packets was reached.

    The kernel sets its timer to "now", which runs off as soon as the SA's lock is free: before anything else is said.
    """
    if sa.state == State.EXPIRED:
        _expire(engine, sa)


def _signed(value: int) -> int:
    """What C makes of a sum of u64 and s64 that is kept as s64."""
    return ((value + _S64) & _U64) - _S64


def _left(limit: int, since: int, now: int) -> int:
    return _signed(limit + since - now)


def _look(engine: Engine, sa: Sa, when: float) -> None:
    now = int(when)
    nearest = _hard(sa, now)
    if nearest is None:
        _expire(engine, sa)
        return
    if not sa.dying:
        nearest, warn = _soft(sa, now, nearest)
        sa.dying = warn
        if warn:
            notify.sa_expired(engine, sa, hard=False)
    if nearest <= 0 and sa.soft_left is not None:
        return  # the next look would find the same, and so on
    if nearest != _NEVER:
        engine.timers.set(sa, _look, when + max(nearest, 0))


def _hard(sa: Sa, now: int) -> int | None:
    """Seconds to the nearest hard limit; None if one is reached."""
    limits = sa.traits.lft
    nearest = _NEVER
    if limits.hard_add_expires_seconds:
        left = _left(limits.hard_add_expires_seconds, sa.add_time, now)
        if left <= 0:
            if sa.soft_left is None:
                return None
            sa.add_time = now - sa.soft_left - 1
            left = _signed(limits.hard_add_expires_seconds - sa.soft_left)
        nearest = min(nearest, left)
    if limits.hard_use_expires_seconds:
        left = _left(limits.hard_use_expires_seconds, sa.use_time or now, now)
        if left <= 0:
            return None
        nearest = min(nearest, left)
    return nearest


def _soft(sa: Sa, now: int, nearest: int) -> tuple[int, bool]:
    """Seconds to the nearest limit, and whether a soft one is reached."""
    limits = sa.traits.lft
    warn = False
    if limits.soft_add_expires_seconds:
        left = _left(limits.soft_add_expires_seconds, sa.add_time, now)
        if left <= 0:
            warn = True
            sa.soft_left = None
        elif left < nearest:
            nearest = sa.soft_left = left
    if limits.soft_use_expires_seconds:
        left = _left(limits.soft_use_expires_seconds, sa.use_time or now, now)
        if left <= 0:
            warn = True
        else:
            nearest = min(nearest, left)
    return nearest, warn


def _expire(engine: Engine, sa: Sa) -> None:
    """The hard end: the SA goes, and then it is told."""
    if delete_sa(engine, sa):
        notify.sa_expired(engine, sa, hard=True)


def delete_sa(engine: Engine, sa: Sa) -> bool:
    """Delete an SA and what hangs on it; False if it was dead already. Nobody is told (__xfrm_state_delete)."""
    if not engine.sadb.remove(sa):
        return False
    stop(engine, sa)
    aevents.stop(engine, sa)
    if sa.offload is not None:
        drop_offload(engine, sa)
    if sa.tunnel is not None:
        ipcomp.detach(engine, sa)
    elif not sa.tunnel_users:
        ipcomp.release(engine, sa)
    return True
