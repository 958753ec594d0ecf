"""Replay events: telling a stand-by node how far an SA's sequence numbers have come (NEWAE to XFRMNLGRP_AEVENTS).

An event goes out when a number has moved ``maxdiff`` packets past the one last told (cause XFRM_AE_CR), or ``maxage`` ticks after the last event if
anything has changed at all (cause XFRM_AE_CE). A timer that runs off with nothing new, or with nobody to hear it, leaves a mark on the SA, *deferred*: the next
packet then sends at once what the timer did not.

The mark is wiped only when the timer is started again while it is not running: an event by distance that finds it running leaves the mark.

**One timer less.** Every SA has this timer, and nearly always nobody listens. So it is only noted when it would run off (``replay_due``), and set in earnest
where somebody listens, or joins (:func:`watch`); one that has run off unheard is found out when the next packet comes.

Sources: net/xfrm/xfrm_replay.c: xfrm_replay_notify, xfrm_replay_notify_bmp, xfrm_replay_notify_esn; net/xfrm/xfrm_state.c:
xfrm_replay_timer_handler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxfrm.abi.xfrm import XFRM_AE_CE, XFRM_AE_CR, XFRMNLGRP_AEVENTS
from pyxfrm.engine import notify_events
from pyxfrm.engine.sa import State

if TYPE_CHECKING:
    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.sa import Sa

__all__ = ["numbers_moved", "start", "stop", "watch"]

_U32 = 0xFFFFFFFF


def start(engine: Engine, sa: Sa) -> None:
    """Start the timer of an SA, if it has a ``maxage``."""
    maxage = sa.traits.maxage
    if maxage:
        due = sa.replay_due = engine.now + maxage / engine.profile.hz
        if engine.listens(XFRMNLGRP_AEVENTS):
            engine.timers.set(sa, _ran_off, due, coarse=True)


def stop(engine: Engine, sa: Sa) -> None:
    """Forget the timer of an SA."""
    if sa.replay_due:
        sa.replay_due = 0.0
        engine.timers.cancel(sa, _ran_off)


def watch(engine: Engine) -> None:
    """Set all timers in earnest; called when the first port joins XFRMNLGRP_AEVENTS."""
    for sa in engine.sadb:
        if sa.replay_due > engine.now:
            engine.timers.set(sa, _ran_off, sa.replay_due, coarse=True)


def numbers_moved(engine: Engine, sa: Sa) -> None:
    """After a packet has moved a sequence number: tell, if it is time to."""
    if not engine.listens(XFRMNLGRP_AEVENTS):
        return
    if 0 < sa.replay_due <= engine.now:
        _ran_off(engine, sa, sa.replay_due, heard=False)
    if _far(sa):
        _tell(engine, sa, XFRM_AE_CR)
    elif sa.deferred:
        _tell(engine, sa, XFRM_AE_CE)


def _far(sa: Sa) -> bool:
    """Whether a sequence number is ``maxdiff`` or more past the one last told."""
    limit = sa.traits.maxdiff
    now, told = sa.esn or sa.replay, sa.told
    return bool(limit) and (
        (now.seq - told.seq) & _U32 >= limit or (now.oseq - told.oseq) & _U32 >= limit
    )


def _ran_off(engine: Engine, sa: Sa, _: float, *, heard: bool = True) -> None:
    sa.replay_due = 0.0
    if sa.state != State.VALID:
        return
    if heard and engine.listens(XFRMNLGRP_AEVENTS) and (sa.esn or sa.replay) != sa.told:
        _tell(engine, sa, XFRM_AE_CE)
    else:
        sa.deferred = True


def _tell(engine: Engine, sa: Sa, cause: int) -> None:
    sa.told = sa.esn or sa.replay
    notify_events.told_aevent(engine, sa, cause, *engine.chance.leftovers())
    if sa.traits.maxage:
        if not sa.replay_due:
            sa.deferred = False
        start(engine, sa)
