"""The ESP trailer, and how much fits into a packet (RFC 4303 §2.4 to §2.7).

    payload | TFC padding: zeros | padding: 1, 2, 3, ... | pad length | next header

Padding brings the whole to a multiple of the cipher's block, at least of 4. TFC padding hides the
length of short payloads: Linux pads them up to XFRMA_TFCPAD, or to what the path carries if that
is less (net/ipv4/esp4.c: esp_output; not on the road through the modules esp4_offload and
esp6_offload, which software packets without UDP encapsulation take where they are loaded). The
receiver finds the end of the inner packet by its own length field. What the padding bytes are is
not checked on the way in, as in Linux.
"""

from __future__ import annotations

from pyxfrm.esp.association import Association, Mode
from pyxfrm.esp.drop import Counter, Drop
from pyxfrm.esp.transforms import Transform

__all__ = ["payload_mtu", "split_trailer", "trailer"]

_PADDING = bytes(range(1, 256))


def trailer(length: int, block: int, next_header: int, pad_to: int = 0) -> bytes:
    """What follows a payload of ``length`` bytes. ``pad_to``: TFC padding up to this length."""
    tfc = max(0, pad_to - length)
    padding = -(length + tfc + 2) % block
    return bytes(tfc) + _PADDING[:padding] + bytes((padding, next_header))


def split_trailer(plain: bytes) -> tuple[int, bytes]:
    """(next header, payload with its TFC padding) of a decrypted packet.

    Raises Drop where the pad length leaves no payload (esp_remove_trailer).
    """
    end = len(plain) - 2 - plain[-2] if len(plain) >= 2 else 0
    if end <= 0:
        raise Drop(Counter.IN_STATE_PROTO_ERROR, "ESP padding leaves no payload")
    return plain[-1], plain[:end]


def payload_mtu(sa: Association, transform: Transform, mtu: int) -> int:
    """The longest packet that fits, sealed, into ``mtu`` bytes; at least 1.

    (net/xfrm/xfrm_state.c: xfrm_state_mtu.) In BEET mode Linux reserves room for the IPv4 options'
    pseudo header although few packets have one.
    """
    outer = 20 if sa.family == 4 else 40
    overhead = 8 + transform.iv_size + transform.icv_size + (8 if sa.encap else 0)
    header = 0
    if sa.mode is Mode.TUNNEL:
        overhead += outer
    else:
        header = outer
        if sa.mode is Mode.BEET and sa.inner is not None and len(sa.inner[1]) == 4:
            overhead += 8 if sa.family == 4 else 28
    room = mtu - overhead - header
    room -= room % transform.block
    return room + header - 2 if room > 2 else 1
