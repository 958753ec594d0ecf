"""Linux's own queue for packets whose SA is not there yet: one a policy, with ``net.core.xfrm_larval_drop`` set to 0.

* It holds 101 packets; the sender of one more is told EAGAIN. No counter moves.
* Its timer looks after a tenth of a second whether the first packet could go, and after twice the time each time it could not; after a wait of a
  minute or more everything is dropped. If it can, all packets go in order, each by a lookup of its own; those that find no SA are dropped (XfrmOutNoStates).
* A policy that is replaced gives its packets to the new one, whose timer runs off at once: UPDPOLICY of the same policy is the kick. A policy that is
  deleted drops them.

Lookups from the queue use the policy's mark, not the packet's, and if_id 0.

Sources: net/xfrm/xfrm_policy.c: xdst_queue_output, xfrm_policy_queue_process, xfrm_policy_requeue, xfrm_policy_kill.
"""

from __future__ import annotations

from collections import deque
from errno import EAGAIN
from typing import TYPE_CHECKING

from pyxfrm.engine.datapath.verdict import Action, Verdict

if TYPE_CHECKING:
    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.policy import Policy

__all__ = ["CAPACITY", "PolicyQueue", "enqueue"]

CAPACITY = 101
_FIRST_WAIT = 0.1  # seconds; HZ/10
_LONGEST_WAIT = 60.0


class PolicyQueue:
    """Packets of one policy, each with its mark and the interface it leaves by; ``wait``: seconds to the next look, 0: none is due."""

    __slots__ = ("due", "packets", "wait")

    def __init__(self) -> None:
        self.packets: deque[tuple[bytes, int, int]] = deque()
        self.wait = 0.0
        self.due: float | None = None

    def hand_over(self, engine: Engine, policy: Policy) -> None:
        """Another policy has taken the place of this queue's: its packets and a look at once."""
        if not self.packets:
            return
        policy.queue = taken = PolicyQueue()
        taken.packets, self.packets = self.packets, deque()
        taken.wait = _FIRST_WAIT
        taken.due, self.due = engine.now, None
        engine.timers.set(policy, _look, engine.now)

    def purge(self, engine: Engine) -> None:
        """The policy is gone: drop everything."""
        lost = len(self.packets)
        self.packets.clear()
        self.due = None
        if engine.datapath is not None:
            for _ in range(lost):
                engine.datapath.leave(
                    Verdict(Action.DROPPED, why="the policy it waited for is gone")
                )


def enqueue(engine: Engine, policy: Policy, packet: bytes, mark: int, oif: int) -> Verdict:
    """Let a packet wait for the policy's SAs."""
    queue = policy.queue
    if queue is None:
        queue = policy.queue = PolicyQueue()
    if len(queue.packets) >= CAPACITY:
        return Verdict(
            Action.DROPPED, why="the policy's queue is full", errno=EAGAIN, policy=policy
        )
    queue.wait = queue.wait or _FIRST_WAIT
    due = engine.now + queue.wait
    if queue.due is None or due < queue.due:
        queue.due = due
        engine.timers.set(policy, _look, due)
    queue.packets.append((packet, mark, oif))
    return Verdict(Action.QUEUED, why="it waits for an SA", policy=policy)


def _look(engine: Engine, policy: Policy, when: float) -> None:
    """The timer of a queue ran off."""
    queue, datapath = policy.queue, engine.datapath
    if queue is None or not queue.packets or datapath is None:
        return
    queue.due = None
    packet, _, oif = queue.packets[0]
    fate = datapath.try_queued(packet, policy.mark[0], oif)
    if fate is Action.QUEUED and queue.wait < _LONGEST_WAIT:
        queue.wait *= 2
        queue.due = when + queue.wait
        engine.timers.set(policy, _look, queue.due)
        return
    queue.wait = 0.0
    waiting, queue.packets = queue.packets, deque()
    for packet, mark, oif in waiting:
        if fate is Action.PROTECTED or fate is Action.CLEAR:
            datapath.leave(datapath.send_queued(packet, mark, policy.mark[0], oif))
        else:
            datapath.leave(Verdict(Action.DROPPED, why="it waited in vain", policy=policy))
