"""The two things one can do with an SA's packets, whatever its protocol: seal and open.

ESP, AH, IPComp and the bare tunnel all come as an :class:`Outbound` and an :class:`Inbound`. Both
take and give whole IP packets as bytes and raise Drop for those that cannot pass. One SA's packets
are handled by one thread at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

from pyxfrm.errors import UsageError
from pyxfrm.esp.association import Association, Mode
from pyxfrm.esp.drop import Counter, Drop
from pyxfrm.esp.framing import Framing, Idents
from pyxfrm.esp.inorder import InOrder
from pyxfrm.esp.modes import make_framing
from pyxfrm.esp.replay import Window
from pyxfrm.esp.sequence import Sequence

__all__ = ["Inbound", "Outbound", "same_sa"]


class Outbound(ABC):
    """One SA's way out.

    ``seal(packet)``  one inner packet -> one protected packet; raises Drop
    ``payload_length(packet)``  bytes of an inner packet that count for the SA's lifetime
                      (``curlft.bytes``); raises Drop where the mode cannot carry it
    ``sequence``      its numbers and IVs; only the sealer takes from it
    ``idents``        asked for the identification of each IPv4 header that is new and may be
                      fragmented; the others say 0 (RFC 6864)
    """

    __slots__ = ("association", "framing", "idents", "payload_length", "seal", "sequence")

    def __init__(self, sa: Association, sequence: Sequence, idents: Idents | None) -> None:
        if sequence.esn != sa.esn:
            raise UsageError("the sequence and the SA's ESN flag differ")
        self.association = sa
        self.sequence = sequence
        self.idents: Idents = idents or int
        self.framing: Framing = make_framing(sa)
        self.payload_length: Callable[[bytes], int] = self.framing.payload_length
        self.seal: Callable[[bytes], bytes] = self._seal

    @abstractmethod
    def _seal(self, packet: bytes) -> bytes: ...

    @abstractmethod
    def _successor(self, sa: Association) -> Outbound:
        """A sealer for ``sa`` with the same keys, which takes over the sequence."""

    @abstractmethod
    def _restart(self) -> None:
        """Take up the sequence where it stands."""

    def restore(self, last: int, *, force: bool = False) -> None:
        """Go on after the sequence number ``last`` (``Sequence.restore``: back only if forced)."""
        self.sequence.restore(last, force=force)
        self._restart()

    def seal_batch(self, packets: Iterable[bytes]) -> list[bytes | Drop]:
        """``seal`` for each; a packet that is dropped leaves its Drop in its place."""
        seal, results = self.seal, list[bytes | Drop]()
        for packet in packets:
            try:
                results.append(seal(packet))
            except Drop as drop:
                results.append(drop)
        return results

    def room(self, mtu: int) -> int:
        """The longest packet that fits, sealed, into ``mtu`` bytes; at least 1 (xfrm_state_mtu)."""
        return max(1, mtu - self._header_length())

    def _header_length(self) -> int:
        """Bytes in front of the payload: of the protocol, and of a tunnel's outer header."""
        tunnel = self.association.mode is Mode.TUNNEL
        return (20 if self.association.family == 4 else 40) if tunnel else 0

    def move(self, sa: Association) -> Outbound:
        """The SA has moved: its sealer at the new place, with the same keys and the next numbers.

        ``sa`` has the old SPI and keys, only addresses, encapsulation and flags may be others.
        This sealer is finished: it drops everything as XfrmOutStateInvalid.
        """
        same_sa(sa, self.association)
        successor = self._successor(sa)
        self.seal = _moved
        return successor


def same_sa(new: Association, old: Association) -> None:
    """Raise UsageError where ``new`` is not the same SA at another place."""
    if (new.proto, new.spi, new.esn) != (old.proto, old.spi, old.esn):
        raise UsageError("an SA that moves keeps its protocol, its SPI and the size of its numbers")


def _moved(packet: bytes) -> bytes:
    del packet
    raise Drop(Counter.OUT_STATE_INVALID, "the SA has moved")


class Inbound(ABC):
    """One SA's way in.

    ``open(packet)`` one protected packet (a whole IP datagram) -> the inner packet; raises
                     Drop. What the caller found the SA by, addresses and protocol, is not
                     looked at again
    ``payload_length(packet)``  bytes of an opened packet that count for the SA's lifetime
    """

    __slots__ = ("_run", "association", "framing", "open", "payload_length")

    def __init__(self, sa: Association, run: InOrder) -> None:
        self.association = sa
        self.framing: Framing = make_framing(sa)
        self.payload_length: Callable[[bytes], int] = self.framing.payload_length
        self._run = run
        self.open: Callable[[bytes], bytes] = self._open

    @abstractmethod
    def _open(self, packet: bytes) -> bytes: ...

    @abstractmethod
    def at(self, sa: Association) -> Inbound:
        """An opener for the SA at another place, with the same keys and the same window.

        Both may be used, in any order: a packet that one has accepted is seen by the other.
        """

    @property
    def replay(self) -> Window:
        """The window as it is now. Look it up again after each packet: it may lag behind."""
        return self._run.settle()

    def restore(self, window: Window) -> None:
        """Go on with another window (for all openers that share the old one)."""
        self._run.start(window)

    def open_batch(self, packets: Iterable[bytes]) -> list[bytes | Drop]:
        """``open`` for each; a packet that is dropped leaves its Drop in its place."""
        results = list[bytes | Drop]()
        for packet in packets:
            try:
                results.append(self.open(packet))
            except Drop as drop:
                results.append(drop)
        return results

    def _unwrap(self, header: bytes, proto_at: int, next_header: int, payload: bytes) -> bytes:
        try:
            return self.framing.unwrap(header, proto_at, next_header, payload)
        except Drop as drop:
            drop.opened = len(payload)
            raise
