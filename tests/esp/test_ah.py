from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxfrm.abi import xfrm as abi
from pyxfrm.errors import UsageError
from pyxfrm.esp import (
    AhOpener,
    AhSealer,
    Association,
    Counter,
    Drop,
    Mode,
    Proto,
    Sequence,
    make_opener,
    make_sealer,
)
from pyxfrm.esp.ah import immutable
from tests.esp.support import (
    ESN,
    IN_A4,
    IN_B4,
    IN_B6,
    INSIDE,
    OUTSIDE,
    SHAPES,
    ah_sa,
    inner_packet,
    ipv4,
    ipv6,
    key,
    outcome,
)
from tests.esp.test_ip import DEST, HOME, HOP, ROUTE, chain, extension

payloads = st.binary(min_size=1, max_size=200)
MACS = [
    ("hmac(md5)", 96),
    ("hmac(sha1)", 96),
    ("hmac(sha256)", 96),
    ("hmac(sha256)", 128),
    ("hmac(sha384)", 192),
    ("hmac(sha512)", 256),
    ("hmac(sha512)", 512),
]


def sa_of(
    shape: tuple[Mode, int, int], flags: int = 0, auth: tuple[str, int] = MACS[3]
) -> Association:
    mode, outer, inner = shape
    saddr, daddr = OUTSIDE[outer]
    beet = INSIDE[inner] if mode is Mode.BEET else None
    return ah_sa(*auth, mode=mode, saddr=saddr, daddr=daddr, inner=beet, flags=flags)


def refusal(opener: AhOpener, packet: bytes) -> Counter:
    with pytest.raises(Drop) as drop:
        opener.open(packet)
    return drop.value.counter


@pytest.mark.parametrize(
    ("shape", "flags", "auth"), list(product(SHAPES, [0, ESN, abi.XFRM_STATE_ALIGN4], MACS))
)
@settings(max_examples=4)
@given(st.lists(payloads, min_size=1, max_size=3))
def test_round_trip(
    shape: tuple[Mode, int, int], flags: int, auth: tuple[str, int], sent: list[bytes]
) -> None:
    sa = sa_of(shape, flags, auth)
    sealer, opener = make_sealer(sa), make_opener(sa)
    for payload in sent:
        packet = inner_packet(sa, shape[2], payload)
        assert opener.open(sealer.seal(packet)) == packet
    assert opener.replay.top == len(sent)


@settings(max_examples=300)
@given(st.sampled_from(SHAPES), st.sampled_from([0, ESN]), payloads, st.data())
def test_everything_immutable_is_covered(
    shape: tuple[Mode, int, int], flags: int, payload: bytes, data: st.DataObject
) -> None:
    sa = sa_of(shape, flags)
    sealed = AhSealer(sa).seal(inner_packet(sa, shape[2], payload))
    at = data.draw(st.integers(0, len(sealed) - 1))
    changed = sealed[:at] + bytes((sealed[at] ^ data.draw(st.integers(1, 255)),)) + sealed[at + 1 :]
    opener = AhOpener(sa)
    try:
        opener.open(changed)
    except Drop:
        assert opener.replay.top == 0
    else:
        mutable = {1, 6, 7, 8, 10, 11} if sa.family == 4 else {0, 1, 2, 3, 7}
        assert at in mutable


@settings(max_examples=200)
@given(st.sampled_from(SHAPES), payloads, st.data())
def test_cut_short(shape: tuple[Mode, int, int], payload: bytes, data: st.DataObject) -> None:
    sa = sa_of(shape)
    sealed = AhSealer(sa).seal(inner_packet(sa, shape[2], payload))
    refusal(AhOpener(sa), sealed[: data.draw(st.integers(0, len(sealed) - 1))])


@settings(max_examples=200)
@given(st.sampled_from(SHAPES), st.binary(max_size=120))
def test_opening_anything_gives_a_counter(shape: tuple[Mode, int, int], junk: bytes) -> None:
    sa = sa_of(shape)
    make = ipv4 if sa.family == 4 else ipv6
    start = bytes((4, 5, 0, 0)) + sa.spi.to_bytes(4, "big")
    for packet in (junk, make(junk, Proto.AH), make(start + junk, Proto.AH)):
        refusal(AhOpener(sa), packet)


def test_the_icv_computed_by_hand() -> None:
    """RFC 4302 §3.3.3.1.1: mutable fields as zeros; with ESN the high half at the end."""
    sa = ah_sa(mode=Mode.TRANSPORT, saddr=IN_A4, daddr=IN_B4, flags=ESN)
    packet = ipv4(b"payload.", 6, tos=0xFF, ident=99, ttl=7)
    sealed = AhSealer(sa, sequence=Sequence(2**32 * 3 + 8, esn=True)).seal(packet)
    header, ah, payload = sealed[:20], sealed[20:52], sealed[52:]
    assert ah[:12] == bytes((6, 6, 0, 0)) + sa.spi.to_bytes(4, "big") + (9).to_bytes(4, "big")
    assert ah[28:] == bytes(4)  # 12 + 16 bytes, and 4 to the next multiple of 8
    seen = header[:1] + b"\0" + header[2:6] + b"\0\0\0" + header[9:10] + b"\0\0" + header[12:]
    covered = seen + ah[:12] + bytes(20) + payload + (3).to_bytes(4, "big")
    assert ah[12:28] == hmac.new(key(32), covered, hashlib.sha256).digest()[:16]


@pytest.mark.parametrize(
    ("flags", "auth", "size"),
    [
        (0, MACS[3], 32),
        (abi.XFRM_STATE_ALIGN4, MACS[3], 28),
        (0, MACS[1], 24),
        (abi.XFRM_STATE_ALIGN4, MACS[1], 24),
    ],
)
def test_alignment(flags: int, auth: tuple[str, int], size: int) -> None:
    sa = sa_of((Mode.TUNNEL, 4, 4), flags, auth)
    assert AhSealer(sa).seal(ipv4(b""))[21] == size // 4 - 2
    six = sa_of((Mode.TUNNEL, 6, 4), flags, auth)
    assert (AhSealer(six).seal(ipv4(b""))[41] + 2) * 4 % 8 == 0


def test_padding_may_be_anything_that_is_covered() -> None:
    sa = sa_of((Mode.TUNNEL, 4, 4))
    sealed = bytearray(AhSealer(sa).seal(ipv4(b"")))
    sealed[49] ^= 1
    assert refusal(AhOpener(sa), bytes(sealed)) is Counter.IN_STATE_PROTO_ERROR


def test_a_header_of_the_uncut_icv_is_taken() -> None:
    """net/ipv4/ah4.c: ah_input takes both lengths; only the first bytes are compared."""
    sa = sa_of((Mode.TUNNEL, 4, 4))
    inner = ipv4(b"")
    fixed = bytes((4, 48 // 4 - 2, 0, 0)) + sa.spi.to_bytes(4, "big") + bytes((0, 0, 0, 1))
    outer = ipv4(bytes(48) + inner, Proto.AH, addresses=OUTSIDE[4])[:20]
    covered = immutable(outer, outbound=False) + fixed + bytes(36) + inner
    icv = hmac.new(key(32), covered, hashlib.sha256).digest()[:16]
    assert AhOpener(sa).open(outer + fixed + icv + bytes(20) + inner) == inner


@pytest.mark.parametrize(
    ("options", "covered"),
    [
        ("94040000", "94040000"),  # router alert
        ("8206000000000000", "8206000000000000"),  # security
        ("860600000001" + "0000", "860600000001" + "0000"),  # CIPSO
        ("0101010107030400", "0101010100000000"),  # record route
        ("44040500", "00000000"),  # timestamp
    ],
)
def test_ipv4_options(options: str, covered: str) -> None:
    packet = ipv4(b"", options=bytes.fromhex(options))
    for outbound in (True, False):
        assert immutable(packet, outbound=outbound)[20:].hex() == covered


def test_ipv4_source_route_names_the_destination() -> None:
    route = bytes((0x83, 7, 4)) + bytes((9, 9, 9, 9)) + b"\0"
    packet = ipv4(b"", options=route)
    sent, received = (immutable(packet, outbound=out) for out in (True, False))
    assert sent[20:27] == received[20:27] == bytes(7)
    assert (sent[16:20], received[16:20]) == (bytes((9, 9, 9, 9)), IN_B4)


@pytest.mark.parametrize("options", ["07000000", "07090000", "83040000", "07", "01010107"])
def test_ipv4_options_that_make_no_sense(options: str) -> None:
    packet = ipv4(b"", options=bytes.fromhex(options).rjust(4, b"\1"))
    with pytest.raises(ValueError, match=r"option|source route"):
        immutable(packet, outbound=True)
    sa = sa_of((Mode.TRANSPORT, 4, 4))
    with pytest.raises(Drop) as drop:
        AhSealer(sa).seal(packet)
    assert drop.value.counter is Counter.OUT_STATE_PROTO_ERROR


def test_ipv6_options_that_may_change() -> None:
    fixed, changing = bytes((0x05, 2)) + b"ab", bytes((0x25, 2)) + b"cd"
    packet = chain((HOP, fixed + changing), (DEST, changing))
    end = len(packet) - 8
    covered = immutable(packet[:end], outbound=True)
    assert covered[:8] == b"\x60\0\0\0" + packet[4:7] + b"\0"
    assert covered[42:50] == fixed + bytes((0x25, 2, 0, 0))
    at = 40 + len(extension(0, fixed + changing))
    assert covered[at + 2 : at + 6] == bytes((0x25, 2, 0, 0))


def test_ipv6_routing_header_as_it_will_arrive() -> None:
    """RFC 4302 Appendix A2: three stops, two still to come."""
    stops = [bytes((n,)) * 16 for n in (1, 2, 3)]
    packet = chain((ROUTE, bytes((0, 2)) + bytes(4) + b"".join(stops)))
    covered = immutable(packet[: 40 + 56], outbound=True)
    assert covered[24:40] == stops[2]
    assert covered[43] == 0
    assert covered[48:96] == stops[0] + IN_B6 + stops[1]
    arrived = bytearray(packet[:96])
    arrived[24:40], arrived[43], arrived[48:96] = stops[2], 0, stops[0] + IN_B6 + stops[1]
    assert immutable(bytes(arrived), outbound=False) == covered


def test_ipv6_home_address_is_swapped_on_the_way_out_only() -> None:
    packet = chain((DEST, HOME[:2] + bytes(range(16))))
    sent = immutable(packet[: 40 + 24], outbound=True)
    assert sent[8:24] == bytes(range(16))
    assert sent[44:60] == packet[8:24]
    assert immutable(packet[: 40 + 24], outbound=False)[8:24] == packet[8:24]


@pytest.mark.parametrize(
    "header", [(ROUTE, bytes((0, 4)) + bytes(4) + bytes(48)), (HOP, b"\x25\x90ab")]
)
def test_ipv6_headers_that_make_no_sense(header: tuple[int, bytes]) -> None:
    sa = sa_of((Mode.TRANSPORT, 6, 6))
    with pytest.raises(Drop) as drop:
        AhSealer(sa).seal(chain(header))
    assert drop.value.counter is Counter.OUT_STATE_PROTO_ERROR


REFUSED = (Counter.OUT_STATE_MODE_ERROR, Counter.OUT_STATE_PROTO_ERROR)


@given(st.binary(max_size=80), st.sampled_from([HOP, ROUTE, DEST]))
def test_headers_of_anything(rest: bytes, proto: int) -> None:
    for packet in (ipv6(rest, proto), ipv4(b"", options=rest[:40].ljust(40, b"\7"))):
        sealer = AhSealer(sa_of((Mode.TRANSPORT, 4 if packet[0] >> 4 == 4 else 6, 4)))
        result = outcome(sealer.seal, packet)
        assert isinstance(result, bytes) or result in REFUSED


def test_refusals_and_numbers() -> None:
    sa = sa_of((Mode.TUNNEL, 4, 4))
    sealer, opener = AhSealer(sa), AhOpener(sa)
    good = sealer.seal(ipv4(b""))
    assert refusal(opener, good[:31]) is Counter.IN_HDR_ERROR
    assert refusal(opener, good[:24] + bytes(4) + good[28:]) is Counter.IN_NO_STATES
    assert refusal(opener, good[:21] + b"\5" + good[22:]) is Counter.IN_STATE_PROTO_ERROR
    assert refusal(opener, good[:-1] + b"\1") is Counter.IN_STATE_PROTO_ERROR
    assert opener.replay.forged == 1
    opener.open(good)
    assert refusal(opener, good) is Counter.IN_STATE_SEQ_ERROR
    sealer.restore(2**32 - 1)
    with pytest.raises(Drop) as drop:
        sealer.seal(ipv4(b""))
    assert drop.value.counter is Counter.OUT_STATE_SEQ_ERROR


def test_move() -> None:
    old, new = sa_of((Mode.TUNNEL, 4, 4)), sa_of((Mode.TUNNEL, 6, 4))
    sealer, opener = AhSealer(old), AhOpener(old)
    opener.open(sealer.seal(ipv4(b"")))
    moved, beside = sealer.move(new), opener.at(new)
    late = moved.seal(ipv4(b""))
    assert beside.open(late) == ipv4(b"")
    assert opener.replay.top == 2
    assert refusal(beside, late) is Counter.IN_STATE_SEQ_ERROR
    with pytest.raises(Drop):
        sealer.seal(ipv4(b""))


def test_it_needs_a_mac() -> None:
    with pytest.raises(UsageError, match="AUTH"):
        AhSealer(replace(ah_sa(), auth=None))
