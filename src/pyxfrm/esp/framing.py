"""What the modes have in common: a packet taken apart before protection, put together after.

A mode has two methods. ``wrap`` says which IP header goes outside, and which payload, of which
protocol, is protected; ESP, AH or IPComp then stand between the two. ``unwrap`` is the way back.

==============================  ========================  ==========================
tunnel  (tunnel.py)             a new header              the whole packet
transport  (transport.py)       the packet's own header   what follows the header
BEET  (beet.py)                 its header, rewritten     what follows the header
==============================  ========================  ==========================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

__all__ = ["Framing", "Idents", "Parts"]

Idents = Callable[[], int]  # gives the next IPv4 identification, 0 to 65535


class Parts(NamedTuple):
    """An outbound packet, taken apart.

    ``header``       IP header to go outside, with extension headers; its length, its protocol
                     field and its checksum are written at the end (``ip.finish``)
    ``proto_at``     where in it the number of what follows stands
    ``next_header``  protocol of the payload
    ``payload``      what is to be protected
    """

    header: bytes
    proto_at: int
    next_header: int
    payload: bytes


class Framing(Protocol):
    """One mode of one SA."""

    def wrap(self, packet: bytes, idents: Idents) -> Parts:
        """Take apart. A new IPv4 header that may be fragmented takes one of ``idents``.

        Raises Drop(XfrmOutStateModeError) where the mode cannot carry the packet.
        """

    def unwrap(self, header: bytes, proto_at: int, next_header: int, payload: bytes) -> bytes:
        """The inner packet. ``header``: everything that stood before the IPsec header, no UDP.

        Raises Drop(XfrmInStateModeError) where payload and mode do not fit.
        """

    def payload_length(self, packet: bytes) -> int:
        """Bytes of an inner packet that are protected: what Linux adds to ``curlft.bytes``."""
