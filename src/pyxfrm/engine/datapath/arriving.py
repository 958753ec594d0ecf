"""What an IP datagram says of itself before XFRM looks at it."""

from __future__ import annotations

from pyxfrm.engine.datapath.verdict import Action
from pyxfrm.esp import Datagram, classify
from pyxfrm.esp.ip import upper_layer

__all__ = ["arrival_key", "destination", "other_than_esp"]

_ESP, _UDP = 50, 17
_FRAGMENT = 0x3FFF


def arrival_key(datagram: bytes) -> bytes | None:
    """Bytes that datagrams of one SA share: addresses, UDP ports, SPI. None for all but whole IPv4 packets without options."""
    if (
        len(datagram) < 40
        or datagram[0] != 0x45
        or int.from_bytes(datagram[2:4], "big") != len(datagram)
        or int.from_bytes(datagram[6:8], "big") & _FRAGMENT
    ):
        return None
    if datagram[9] == _ESP:
        return datagram[12:24]
    return datagram[12:24] + datagram[28:32] if datagram[9] == _UDP else None


def destination(packet: bytes) -> bytes:
    """Destination address of an IP packet, 4 or 16 bytes."""
    return packet[16:20] if packet[0] >> 4 == 4 else packet[24:40]


def other_than_esp(packet: bytes) -> Action | None:
    """What a datagram to an encapsulation port is, if it is not ESP."""
    kind = classify(packet[upper_layer(packet).at + 8 :])
    if kind is Datagram.ESP:
        return None
    return Action.KEEPALIVE if kind is Datagram.KEEPALIVE else Action.IKE
