"""What happens to a kernel from outside netlink, told afterwards: what packets have done, and when the kernel found time.

The engine carries no packets of its own accord; a data path, a test, or the replay of a recording tells it here what packets have done. Everything
told must be possible: a counter never falls, a time never goes back, a sequence number once seen stays seen. What is not
possible is refused with a :class:`pyxfrm.errors.UsageError`, and nothing is changed. (:mod:`pyxfrm.engine.traffic` is for those who have the packets, and need
not be asked whether they can be.)

Sources: net/xfrm/xfrm_replay.c: xfrm_replay_advance_legacy, xfrm_replay_advance_bmp; net/xfrm/xfrm_state.c: xfrm_state_check_expire.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pyxfrm.abi.structs import LifetimeCur, ReplayState, ReplayStateEsn
from pyxfrm.abi.xfrm import XFRM_SA_XFLAG_OSEQ_MAY_WRAP
from pyxfrm.engine.sa import Sa, State
from pyxfrm.engine.sadb import Sadb
from pyxfrm.errors import UsageError

if TYPE_CHECKING:
    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.policy import Policy

__all__ = ["SaUse", "grow_tables", "run_timer", "use_policy", "use_sa"]


class SaUse(NamedTuple):
    """What packets have done to an SA so far; None: not told.

    ``cur``       bytes, packets, time of the first one (its ``add_time`` is not looked at)
    ``lastused``  time of the latest packet, in seconds since the epoch
    ``stats``     packets refused: (replay_window, replay, integrity_failed)
    ``replay``, ``esn``  sequence numbers and windows: the one of both that the SA has
    """

    cur: LifetimeCur | None = None
    lastused: int | None = None
    stats: tuple[int, int, int] | None = None
    replay: ReplayState | None = None
    esn: ReplayStateEsn | None = None


def use_sa(sa: Sa, use: SaUse, now: float) -> set[str]:
    """Set what packets change of an SA; gives the kinds of what was different before."""
    told: dict[str, Any] = use._asdict()
    cur = told.pop("cur")
    if cur is not None:
        told |= {"bytes": cur.bytes, "packets": cur.packets, "use_time": cur.use_time}
    changed = _changed(sa, told)
    if changed and sa.state not in (State.VALID, State.EXPIRED):
        raise UsageError(f"{sa!r} has no keys yet, packets cannot have used it")
    return _apply(sa, changed, now)


def use_policy(policy: Policy, cur: LifetimeCur, now: float) -> set[str]:
    """Set what packets change of a policy; gives the kinds of what was different before."""
    told = {"bytes": cur.bytes, "packets": cur.packets, "use_time": cur.use_time}
    return _apply(policy, _changed(policy, told), now)


def _changed(subject: Sa | Policy, told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in told.items()
        if value is not None and getattr(subject, name) != value
    }


def _apply(subject: Sa | Policy, changed: Mapping[str, Any], now: float) -> set[str]:
    for name, value in changed.items():
        _, possible = _RULES[name]
        if not possible(subject, getattr(subject, name), value, now):
            raise UsageError(
                f"{subject!r}: {name} cannot go from {getattr(subject, name)} to {value}"
            )
    for name, value in changed.items():
        setattr(subject, name, value)
    return {_RULES[name][0] for name in changed}


# -- what is possible ------------------------------------------------------------------------------


def _grows(_: Any, old: int, new: int, __: float) -> bool:
    return new > old


def _each_grows(_: Any, old: tuple[int, ...], new: tuple[int, ...], __: float) -> bool:
    return all(a <= b for a, b in zip(old, new, strict=True))


def _later(_: Any, old: int, new: int, now: float) -> bool:
    return old < new < now + 1


def _first_use(subject: Any, old: int, new: int, now: float) -> bool:
    """An SA keeps the time of its first packet, a policy that of its latest."""
    if isinstance(subject, Sa) and old:
        return False
    least: int = max(old, min(subject.add_time, int(now)))
    return least <= new < now + 1


def _advances(sa: Sa, old: ReplayState, new: ReplayState, _: float) -> bool:
    if sa.esn is not None:
        return False
    if new.oseq < old.oseq and not sa.traits.extra_flags & XFRM_SA_XFLAG_OSEQ_MAY_WRAP:
        return False
    window = min(sa.traits.replay_window, 32)
    return new.seq >= old.seq and _stays_seen(old.bitmap, new.bitmap, new.seq - old.seq, window)


def _stays_seen(old: int, new: int, moved: int, window: int) -> bool:
    """Bit 0 is the highest number seen. What was seen and is still inside the window must be seen."""
    if moved >= window:
        return True
    kept = old << moved & (1 << window) - 1
    return kept & ~new == 0


def _advances_esn(_: Sa, old: ReplayStateEsn | None, new: ReplayStateEsn, __: float) -> bool:
    if old is None or (old.bmp_len, old.replay_window) != (new.bmp_len, new.replay_window):
        return False
    if len(old.bmp) != len(new.bmp) or _oseq(new) < _oseq(old) or _seq(new) < _seq(old):
        return False
    if new.seq_hi != old.seq_hi:
        return True  # bits are numbered within 2^32, so the window's place in the bitmap may jump
    return _stays_seen(_seen(old), _seen(new), new.seq - old.seq, new.replay_window)


def _oseq(state: ReplayStateEsn) -> int:
    return state.oseq_hi << 32 | state.oseq


def _seq(state: ReplayStateEsn) -> int:
    return state.seq_hi << 32 | state.seq


def _seen(state: ReplayStateEsn) -> int:
    """The bitmap turned so that bit 0 is the highest number seen: number n has bit (n - 1) % window."""
    window = state.replay_window
    ring = 0
    for i, (word,) in enumerate(struct.iter_unpack("=I", state.bmp)):
        ring |= word << 32 * i
    top = (state.seq - 1) % window if window else 0
    turned = 0
    for back in range(min(window, state.seq)):
        turned |= (ring >> (top - back) % window & 1) << back
    return turned


_RULES: dict[str, tuple[str, Callable[[Any, Any, Any, float], bool]]] = {
    "bytes": ("counters", _grows),
    "packets": ("counters", _grows),
    "use_time": ("use times", _first_use),
    "lastused": ("use times", _later),
    "stats": ("refused packets", _each_grows),
    "replay": ("replay state", _advances),
    "esn": ("replay state", _advances_esn),
}


# -- time --------------------------------------------------------------------------------------------


def run_timer(engine: Engine, subject: Sa | Policy, until: float) -> bool:
    """Run a subject's own timer if it is due until then; False if it is not.

    In which order a kernel runs timers that are due within one tick is its own matter: :meth:`Engine.expire` has one order, a recording may have another.
    """
    due = engine.timers.take(subject, until)
    if due is None:
        return False
    engine.now = max(engine.now, due.when)
    due.action(engine, due.subject, due.when)
    return True


def grow_tables(engine: Engine, *, sas: int | None = None, policies: int | None = None) -> bool:
    """Let the tables have so many buckets: they grow in the background, when the kernel finds time. True if one had not."""
    changed = False
    for table, buckets in ((engine.sadb, sas), (engine.spd, policies)):
        if buckets is None or buckets == table.buckets:
            continue
        if buckets < 8 or buckets & (buckets - 1):
            raise UsageError(f"a table cannot have {buckets} buckets")
        if isinstance(table, Sadb):
            table.resize(buckets)
        else:
            table.buckets = buckets
        changed = True
    return changed
