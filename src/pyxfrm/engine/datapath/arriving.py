"""What an IP datagram says of itself before XFRM looks at it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from struct import Struct

from pyxfrm.engine.datapath.flow import uniform, whole
from pyxfrm.engine.datapath.verdict import Action
from pyxfrm.esp import Counter, Datagram, Drop, classify
from pyxfrm.esp.ip import upper_layer

__all__ = ["arrival_key", "destination", "other_than_esp", "rows", "udp_trimmed"]

_ESP, _UDP = 50, 17
_FRAGMENT = 0x3FFF
_UDP_HEADER = 8
_PLAIN4 = 0x45  # IPv4, no options
_KEYED = 52  # no shorter datagram surely has all that keys are made of
_UP_TO_SPI = {b"\x32": 24, b"\x11": 32}  # bytes of an IPv4 datagram, by its protocol
_telling = itemgetter(slice(6, 8), slice(9, 10), slice(12, 24))
_length_and_spi = itemgetter(slice(24, 26), slice(28, 32))  # of a UDP header, and behind it
_head4 = Struct(">BxH2xHxB2x12s").unpack_from  # length, fragment bits, protocol, addresses and SPI


def arrival_key(datagram: bytes) -> bytes | None:
    """Bytes that only datagrams of one SA share: addresses, UDP ports, SPI. None for all but whole packets without options."""
    if len(datagram) < _KEYED:
        return None
    first, total, fragment, proto, ends = _head4(datagram)
    if first == _PLAIN4:
        if total != len(datagram) or fragment & _FRAGMENT:
            return None
        if proto == _ESP:
            return bytes(ends)
        if proto == _UDP and int.from_bytes(datagram[24:26], "big") == total - 20:
            return bytes(ends + datagram[28:32])
        return None
    if first >> 4 == 6:
        return _arrival_key6(datagram)
    return None


def _arrival_key6(datagram: bytes) -> bytes | None:
    if int.from_bytes(datagram[4:6], "big") + 40 != len(datagram):
        return None
    if datagram[6] == _ESP:
        return datagram[8:44]
    if datagram[6] == _UDP and datagram[44:46] == datagram[4:6]:
        return datagram[8:44] + datagram[48:52]
    return None


def rows(datagrams: Iterable[bytes]) -> Iterator[tuple[bytes | None, list[bytes]]]:
    """Datagrams that come one after the other and have the same :func:`arrival_key`, with it; most told by few comparisons."""
    datagrams = list(datagrams)
    if datagrams and uniform(datagrams, _UP_TO_SPI.get(datagrams[0][9:10], _KEYED)):
        yield arrival_key(datagrams[0]), datagrams
        return
    for (_, proto, _), group in groupby(datagrams, _telling):
        row = list(group)
        if whole(row) and (
            proto == b"\x32" or (proto == b"\x11" and len(set(map(_length_and_spi, row))) == 1)
        ):
            yield arrival_key(row[0]), row
        else:
            for key, some in groupby(row, arrival_key):
                yield key, list(some)


def destination(packet: bytes) -> bytes:
    """Destination address of an IP packet, 4 or 16 bytes."""
    return packet[16:20] if packet[0] >> 4 == 4 else packet[24:40]


def udp_trimmed(packet: bytes) -> bytes:
    """A datagram to an encapsulation port without what follows what UDP says is its end.

    Raises Drop where there is less than that. (net/ipv4/udp.c: udp4_lib_rcv; net/ipv6/udp.c: a length of 0 is a jumbogram's.)
    """
    at = upper_layer(packet).at
    length, left = int.from_bytes(packet[at + 4 : at + 6], "big"), len(packet) - at
    if length == 0 and packet[0] >> 4 == 6:
        length = left
    if left < _UDP_HEADER or not _UDP_HEADER <= length <= left:
        raise Drop(Counter.IN_HDR_ERROR, f"UDP length {length} in {left} bytes")
    return packet[: at + length]


def other_than_esp(packet: bytes) -> Action | None:
    """What a datagram to an encapsulation port is, if it is not ESP."""
    kind = classify(packet[upper_layer(packet).at + 8 :])
    if kind is Datagram.ESP:
        return None
    return Action.KEEPALIVE if kind is Datagram.KEEPALIVE else Action.IKE
