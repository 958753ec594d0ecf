"""One packet, one SA's keys: seal it, open it.

    sealer = make_sealer(sa)         opener = make_opener(sa, window=make_window(2048, bmp_len=64))
    protected = sealer.seal(packet)  packet = opener.open(protected)

``sa`` is an :class:`Association`. Packets are whole IP packets, as bytes. What cannot pass raises
:class:`Drop`, which names the counter of /proc/net/xfrm_stat that Linux would move.

No policies, no sockets, no clocks, no randomness: whoever calls has found the SA, looks after its
lifetime, and gives the IPv4 identifications. The files, in the order in which to read them:

=================  ===============================================================================
association        what the packets need to know of an SA
drop               why a packet goes no further
ip                 IPv4 and IPv6 headers
framing, modes     how a packet is taken apart and put together: tunnel, transport, beet
auth, transforms   MACs and ciphers by the kernel's names
ahead, sequence    sequence numbers and IVs out
replay, inorder    sequence numbers in
trailer, udpencap  ESP padding; ESP inside UDP
icmp               packets that are too big: what routers report, what senders are told
base               what all protocols have in common
esp, shortcut      ESP, and ESP in a hurry
ah, ipcomp         the other protocols
=================  ===============================================================================

The ``cryptography`` package (``pip install pyxfrm[esp]``) is imported with the first key.
"""

from __future__ import annotations

from pyxfrm.esp.ah import AhOpener, AhSealer
from pyxfrm.esp.association import Algorithm, Association, Encap, Mode, Proto
from pyxfrm.esp.base import Inbound, Outbound
from pyxfrm.esp.drop import Counter, Drop
from pyxfrm.esp.esp import EspOpener, EspSealer
from pyxfrm.esp.framing import Idents
from pyxfrm.esp.icmp import TooBig, report_too_big, too_big
from pyxfrm.esp.ip import Arrival, locate, trim
from pyxfrm.esp.ipcomp import CompOpener, CompSealer, TunnelOpener, TunnelSealer
from pyxfrm.esp.replay import BitmapWindow, EsnWindow, LegacyWindow, Window, make_window
from pyxfrm.esp.sequence import Sequence
from pyxfrm.esp.udpencap import KEEPALIVE, Datagram, classify

__all__ = [
    "AhOpener",
    "AhSealer",
    "Algorithm",
    "Arrival",
    "Association",
    "BitmapWindow",
    "CompOpener",
    "CompSealer",
    "Counter",
    "Datagram",
    "Drop",
    "Encap",
    "EsnWindow",
    "EspOpener",
    "EspSealer",
    "Idents",
    "Inbound",
    "KEEPALIVE",
    "LegacyWindow",
    "Mode",
    "Outbound",
    "Proto",
    "Sequence",
    "TooBig",
    "TunnelOpener",
    "TunnelSealer",
    "Window",
    "classify",
    "locate",
    "make_opener",
    "make_sealer",
    "make_window",
    "report_too_big",
    "too_big",
    "trim",
]


def make_sealer(
    sa: Association, *, sequence: Sequence | None = None, idents: Idents | None = None
) -> Outbound:
    """The way out of an SA.

    ``sequence``  where its numbers stand; default: nothing sent yet
    ``idents``    gives IPv4 identifications; default: all 0
    Raises UsageError for algorithms and keys that cannot be.
    """
    if sa.proto == Proto.ESP:
        return EspSealer(sa, sequence=sequence, idents=idents)
    if sa.proto == Proto.AH:
        return AhSealer(sa, sequence=sequence, idents=idents)
    if sa.proto == Proto.COMP:
        return CompSealer(sa, idents=idents)
    return TunnelSealer(sa, idents=idents)


def make_opener(sa: Association, *, window: Window | None = None) -> Inbound:
    """The way in of an SA. ``window``: default as the kernel's with a size of 32 packets."""
    if sa.proto == Proto.ESP:
        return EspOpener(sa, window=window)
    if sa.proto == Proto.AH:
        return AhOpener(sa, window=window)
    if sa.proto == Proto.COMP:
        return CompOpener(sa, window=window)
    return TunnelOpener(sa)
