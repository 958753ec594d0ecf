"""Packets through an engine: policies, SAs, and the counters of Linux. See :class:`Datapath`, and in this order:

=========  ==========================================================================
verdict    what became of a packet
stat       the counters of /proc/net/xfrm_stat
path       one packet's way, out and in; what is remembered and what waits
flow       a packet as selectors see it
runs       many packets at once
bundle     out: from a flow to policies and SAs
choose     out: which SA a template gets
sealing    out: through the SAs
opening    in: which SA, and what is inside
check      in: whether a packet may come in as it came
pmtu       how long a packet may be
queue      Linux's queue for packets whose SA is not there yet
arriving   a datagram before XFRM looks at it
explain    all of this in words
moves      beyond Linux: packets that wait for a move, and an SA's old place
refused    how one of these says no
=========  ==========================================================================
"""

from pyxfrm.engine.datapath.explain import Explanation
from pyxfrm.engine.datapath.moves import Hold
from pyxfrm.engine.datapath.path import Datapath
from pyxfrm.engine.datapath.stat import COUNTERS, Stat
from pyxfrm.engine.datapath.verdict import Action, Verdict

__all__ = ["Action", "COUNTERS", "Datapath", "Explanation", "Hold", "Stat", "Verdict"]
