"""What the kernel counts when IPsec drops a packet, and why it does so.

``/proc/net/xfrm_stat`` has one line a counter, name and number, for one network namespace (net/xfrm/xfrm_proc.c: xfrm_statistics_seq_show). A counter
says where in the code a packet was dropped, not which SA it was for: :data:`CAUSES` says what mostly brings a packet there, and where to look next.

The file is read by others; here is only its text. A counter that this table does not know (of a newer kernel) is kept, without a cause.

>>> reading = parse("XfrmInNoStates          \\t7\\n")
>>> reading
{'XfrmInNoStates': 7}
>>> CAUSES["XfrmInNoStates"].likely
'a packet came with an SPI that no SA here has: an old SA, or one that was not installed'
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pyxfrm.errors import UsageError

__all__ = ["CAUSES", "Cause", "delta", "parse"]


class Cause(NamedTuple):
    """``likely``: what mostly makes it count; ``next_step``: what to look at, or to do."""

    likely: str
    next_step: str


# In the order of the file, names as Linux 7.2 has them.
CAUSES = {
    "XfrmInError": Cause(
        "a packet could not be handled for want of memory or of a route",
        "look for memory pressure, and at `dmesg`",
    ),
    "XfrmInBufferError": Cause(
        "no buffer was left, or a packet was wrapped in more than 6 SAs",
        "look for memory pressure; else look for a packet that is sent into its own tunnel",
    ),
    "XfrmInHdrError": Cause(
        "a packet is too short for its headers, or is not what they say",
        "capture it (`tcpdump -x`); middle boxes and a wrong encapsulation (ESP in UDP) do this",
    ),
    "XfrmInNoStates": Cause(
        "a packet came with an SPI that no SA here has: an old SA, or one that was not installed",
        "compare SPI and destination (`tcpdump esp`) with `xfrm state list`; see also the SAs' marks",
    ),
    "XfrmInStateProtoError": Cause(
        "an SA could not decrypt or authenticate a packet: the keys differ, or the high half of ESN does",
        "`xfrm -s state list`: the SA whose `failed` grows; compare its keys and algorithms on both ends",
    ),
    "XfrmInStateModeError": Cause(
        "what came out of an SA is no packet of the SA's mode: the two ends disagree about tunnel or transport",
        "compare mode and selector of the SA on both ends",
    ),
    "XfrmInStateSeqError": Cause(
        "a packet came twice, or so late that it is behind the replay window",
        "`xfrm -s state list`: where `replay-window` grows, packets are reordered: ask for a wider window; "
        "where `replay` grows, they are doubled on the way",
    ),
    "XfrmInStateExpired": Cause(
        "a packet came for an SA whose hard limit is used up",
        "see whether the IKE daemon rekeys before the limit; `xfrm -s state list` shows both",
    ),
    "XfrmInStateMismatch": Cause(
        "the packet came in UDP and its SA has no encapsulation, or the other way round; or an inner selector does not fit",
        "compare `encap` of the SA with `tcpdump 'esp or udp port 4500'`; after a move: was the encapsulation moved too?",
    ),
    "XfrmInStateInvalid": Cause(
        "a packet came for an SA that is being deleted, or has expired",
        "harmless around a rekey; else see who deletes SAs (`xfrm monitor`)",
    ),
    "XfrmInTmplMismatch": Cause(
        "a packet came through an SA that its policy does not ask for: the template names other addresses, reqid or mode",
        "compare `xfrm policy list dir in` and `dir fwd` with the SA; after a move the policies must follow",
    ),
    "XfrmInNoPols": Cause(
        "no policy allows the packet: it came through an SA without a policy, or the default is to block",
        "add the `in` policy (`fwd` for packets that are handed on), or see why it is gone; `xfrm policy getdefault`",
    ),
    "XfrmInPolBlock": Cause(
        "an `in` or `fwd` policy blocks the packet, or asks for IPsec and the packet came in clear text",
        "find the policy that matches (lowest priority number) in `xfrm policy list`",
    ),
    "XfrmInPolError": Cause(
        "the lookup of an `in` or `fwd` policy failed, as it does when an LSM forbids it",
        "look at the audit log",
    ),
    "XfrmOutError": Cause(
        "a packet could not be sent: no memory, a device that refused, or a packet that is too big",
        "compare the route's MTU with the SA's overhead; look at the device's own counters",
    ),
    "XfrmOutBundleGenError": Cause(
        "there are SAs for a packet, but no route for what they make of it",
        "`ip route get` the SA's destination from its source; is that address on an interface?",
    ),
    "XfrmOutBundleCheckError": Cause(
        "a route that was kept for an SA is no longer good",
        "Linux 7.2 has no code that counts this: see which kernel it is",
    ),
    "XfrmOutNoStates": Cause(
        "a policy asks for an SA that is not there; the kernel has asked for it (ACQUIRE) and dropped the packet",
        "compare the policy's template with `xfrm state list`: addresses and reqid must be equal; does the IKE daemon answer?",
    ),
    "XfrmOutStateProtoError": Cause(
        "an SA could not encrypt a packet",
        "look at `dmesg`, at the crypto module and, with offload, at the device",
    ),
    "XfrmOutStateModeError": Cause(
        "a packet does not fit the SA's mode, or is larger than the tunnel lets through",
        "compare the inner MTU with the SA's overhead; see the mode of the SA",
    ),
    "XfrmOutStateSeqError": Cause(
        "the SA's sequence numbers are used up: 2^32 packets without ESN",
        "rekey now; use ESN, or rekey earlier",
    ),
    "XfrmOutStateExpired": Cause(
        "a packet was to go out on an SA whose hard limit is used up",
        "see whether the IKE daemon rekeys before the limit",
    ),
    "XfrmOutPolBlock": Cause(
        "an `out` policy blocks the packet",
        "find the policy that matches (lowest priority number); it may be meant so",
    ),
    "XfrmOutPolDead": Cause(
        "a policy was deleted while a packet was on its way",
        "Linux 7.2 has no code that counts this: see which kernel it is",
    ),
    "XfrmOutPolError": Cause(
        "the lookup of an `out` policy or of its SAs failed",
        "look at the audit log; then for a template that cannot be met (family, unknown mode)",
    ),
    "XfrmFwdHdrError": Cause(
        "a packet to be handed on has a header from which no flow can be read",
        "capture it where it comes in",
    ),
    "XfrmOutStateInvalid": Cause(
        "a packet was to go out on an SA that is being deleted, or is not ready",
        "harmless around a rekey; else see who deletes SAs (`xfrm monitor`)",
    ),
    "XfrmAcquireError": Cause(
        "a packet came for an SA that has an SPI, but no keys yet (ALLOCSPI)",
        "the peer sends before we have installed the SA: see why the IKE daemon is late",
    ),
    "XfrmOutStateDirError": Cause(
        "the SA found for an outgoing packet is marked `dir in`",
        "see `dir` in `xfrm state list`, and whether two SAs share destination, protocol and reqid",
    ),
    "XfrmInStateDirError": Cause(
        "the SA found for an incoming packet is marked `dir out`",
        "see `dir` in `xfrm state list`: the two ends use one SPI for one address, or the SA is installed for the wrong side",
    ),
    "XfrmInIptfsError": Cause(
        "a payload of mode IPTFS makes no sense, or packets in it were lost",
        "is the other end in mode IPTFS, too? Then look for loss and reordering on the way",
    ),
    "XfrmOutNoQueueSpace": Cause(
        "the queue of an SA of mode IPTFS is full: more was to be sent than goes out",
        "raise its `max-queue-size`, or send less",
    ),
}


def parse(text: str, source: str = "xfrm_stat") -> dict[str, int]:
    """Counters by name, in the order of the file. UsageError, with ``source`` and the line, if it is no such file."""
    found: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or not (words[1].isascii() and words[1].isdigit()):
            raise UsageError(f"{source}:{number}: not a counter's name and its number")
        if words[0] in found:
            raise UsageError(f"{source}:{number}: {words[0]} is there twice")
        found[words[0]] = int(words[1])
    if not found:
        raise UsageError(f"{source}: no counters in it (this kernel lacks CONFIG_XFRM_STATISTICS)")
    return found


def delta(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """By how much each counter of ``after`` grew, those that did not left out.

    One that fell was set back (another namespace, a restart): then all it has counts.
    """
    grown = {}
    for name, now in after.items():
        was = before.get(name, 0)
        grown[name] = now - was if now >= was else now
    return {name: by for name, by in grown.items() if by}
