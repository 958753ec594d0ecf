"""ESP end to end: what was sealed opens, what was touched does not."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxfrm.abi import xfrm as abi
from pyxfrm.errors import UsageError
from pyxfrm.esp import (
    Association,
    BitmapWindow,
    Counter,
    Drop,
    Encap,
    EsnWindow,
    EspOpener,
    EspSealer,
    LegacyWindow,
    Mode,
    Proto,
    Sequence,
    make_opener,
    make_sealer,
    make_window,
    trim,
)
from tests.esp.support import (
    A4,
    ALGORITHMS,
    B4,
    ENCAPS,
    ESN,
    SHAPES,
    esp_sa,
    inner_packet,
    ipv4,
    ipv6,
    outcome,
    shapes_of,
)

payloads = st.binary(min_size=1, max_size=200)
COMBINATIONS = list(product(sorted(ALGORITHMS), SHAPES, ENCAPS, [0, ESN]))


def ends(sa: Association) -> tuple[EspSealer, EspOpener]:
    return EspSealer(sa), EspOpener(sa)


def refusal(opener: EspOpener, packet: bytes) -> Counter:
    with pytest.raises(Drop) as drop:
        opener.open(packet)
    return drop.value.counter


@pytest.mark.parametrize(("name", "shape", "encap", "flags"), COMBINATIONS)
@settings(max_examples=4)
@given(st.lists(payloads, min_size=1, max_size=4))
def test_every_combination_round_trip(
    name: str, shape: tuple[Mode, int, int], encap: Encap | None, flags: int, sent: list[bytes]
) -> None:
    mode, outer, inner = shape
    sa = esp_sa(name, mode, outer, inner, encap=encap, flags=flags)
    sealer, opener = ends(sa)
    for payload in sent:
        packet = inner_packet(sa, inner, payload)
        sealed = sealer.seal(packet)
        opened = opener.open(sealed)
        assert trim(sealed) == sealed
        assert opened == packet
    assert opener.replay.top == len(sent) == sealer.sequence.last


@settings(max_examples=200)
@given(
    st.sampled_from(COMBINATIONS),
    payloads,
    st.integers(0, 255),
    st.integers(0, 0xFFFF),
    st.integers(1, 255),
)
def test_fields_of_the_inner_header_survive(
    combination: tuple[str, tuple[Mode, int, int], Encap | None, int],
    payload: bytes,
    tos: int,
    ident: int,
    ttl: int,
) -> None:
    name, (mode, outer, inner), encap, flags = combination
    if mode is Mode.BEET and outer != inner:
        return  # not all fields have a place in the other family's header
    sa = esp_sa(name, mode, outer, inner, encap=encap, flags=flags)
    sealer, opener = ends(sa)
    more = {"tos": tos, "ident": ident, "ttl": ttl} if inner == 4 else {"tos": tos, "hops": ttl}
    packet = inner_packet(sa, inner, payload, **more)
    opened = opener.open(sealer.seal(packet))
    if mode is Mode.TUNNEL and tos & 3 == 3:
        assert opened[2:10] == packet[2:10]
    assert opened == packet


@settings(max_examples=400)
@given(st.sampled_from(COMBINATIONS), payloads, st.data())
def test_a_changed_packet_is_refused_or_the_same(
    combination: tuple[str, tuple[Mode, int, int], Encap | None, int],
    payload: bytes,
    data: st.DataObject,
) -> None:
    """What ESP covers cannot be changed; the headers outside are not its business."""
    name, (mode, outer, inner), encap, flags = combination
    sa = esp_sa(name, mode, outer, inner, encap=encap, flags=flags)
    sealer, opener = ends(sa)
    packet = inner_packet(sa, inner, payload)
    sealed = sealer.seal(packet)
    at = data.draw(st.integers(0, len(sealed) - 1))
    changed = sealed[:at] + bytes((sealed[at] ^ data.draw(st.integers(1, 255)),)) + sealed[at + 1 :]
    start = (20 if outer == 4 else 40) + (8 if encap else 0)
    opened = outcome(opener.open, changed)
    if isinstance(opened, Counter):
        assert opener.replay.top == 0
        return
    assert at < start, "a byte under the ICV was changed"
    header = 20 if inner == 4 else 40
    assert opened == packet if mode is Mode.TUNNEL else opened[header:] == packet[header:]


@settings(max_examples=200)
@given(st.sampled_from(COMBINATIONS), payloads, st.data())
def test_a_packet_cut_short_is_refused(
    combination: tuple[str, tuple[Mode, int, int], Encap | None, int],
    payload: bytes,
    data: st.DataObject,
) -> None:
    name, (mode, outer, inner), encap, flags = combination
    sa = esp_sa(name, mode, outer, inner, encap=encap, flags=flags)
    sealer, opener = ends(sa)
    sealed = sealer.seal(inner_packet(sa, inner, payload))
    length = data.draw(st.integers(0, len(sealed) - 1))
    assert refusal(opener, sealed[:length]) in (Counter.IN_HDR_ERROR, Counter.IN_STATE_PROTO_ERROR)
    assert opener.replay.top == 0


@settings(max_examples=300)
@given(st.sampled_from(shapes_of()), st.binary(max_size=200))
def test_opening_anything_gives_a_counter(sa: Association, junk: bytes) -> None:
    opener = EspOpener(sa)
    headers = {4: ipv4(junk, Proto.ESP), 6: ipv6(junk, Proto.ESP)}
    spi = sa.spi.to_bytes(4, "big")
    for packet in (
        junk,
        headers[sa.family],
        EspSealer(sa).seal(inner_packet(sa, 4 if len(sa.daddr) == 4 else 6, b"x"))[:44] + junk,
        (ipv4 if sa.family == 4 else ipv6)(spi + junk, Proto.ESP),
    ):
        with pytest.raises(Drop):
            opener.open(packet)


@settings(max_examples=300)
@given(st.sampled_from(shapes_of()), st.binary(max_size=120), st.sampled_from([0x45, 0x4F, 0x60]))
def test_sealing_anything_gives_a_packet_or_a_counter(
    sa: Association, junk: bytes, first: int
) -> None:
    sealer = EspSealer(sa)
    for packet in (junk, bytes((first,)) + junk):
        sealed = outcome(sealer.seal, packet)
        if isinstance(sealed, bytes):
            assert trim(sealed) == sealed
        else:
            assert sealed is Counter.OUT_STATE_MODE_ERROR


@pytest.mark.parametrize("flags", [0, ESN])
def test_the_order_of_refusals_is_linux_own(flags: int) -> None:
    """Header, SPI, encapsulation, number, ICV, trailer, mode (xfrm_input.c: xfrm_input)."""
    sa = esp_sa(flags=flags)
    sealer, opener = ends(sa)
    good = sealer.seal(inner_packet(sa, 4, b"x"))
    assert refusal(opener, good[:27]) is Counter.IN_HDR_ERROR
    assert refusal(opener, good[:20] + b"\0\0\0\1" + good[24:]) is Counter.IN_NO_STATES
    assert refusal(opener, good[:28]) is Counter.IN_STATE_PROTO_ERROR
    assert refusal(opener, good[:-1]) is Counter.IN_STATE_PROTO_ERROR
    assert opener.replay.forged == 1  # only what had a whole ICV was wrong
    opener.open(good)
    assert refusal(opener, good[:-1]) is Counter.IN_STATE_SEQ_ERROR  # not worth a look at its ICV
    assert (opener.replay.forged, opener.replay.seen) == (1, 1)


def test_encapsulated_or_not() -> None:
    plain, encap = esp_sa(), esp_sa(encap=Encap(4500, 4500))
    packet = inner_packet(plain, 4, b"x")
    for sent, other in ((plain, encap), (encap, plain)):
        sealed = EspSealer(sent).seal(packet)
        assert refusal(EspOpener(other), sealed) is Counter.IN_STATE_MISMATCH


def dummy(sa: Association, next_header: int) -> bytes:
    """A packet with this next header, rightly sealed."""
    sealer = EspSealer(sa)
    aad, nonce, shown = sealer.ahead.take()
    plain = b"inside" + bytes(2) + bytes((1, 2, 2, next_header))
    body = shown + sealer.transform.encrypt(nonce, plain, aad)
    return ipv4(sa.spi.to_bytes(4, "big") + body, Proto.ESP, addresses=(A4, B4))


def test_dummy_packets_are_dropped_and_not_remembered() -> None:
    """RFC 4303 §2.6; net/ipv4/esp4.c: esp_input_done2 (before the window moves)."""
    opener = EspOpener(esp_sa())
    assert refusal(opener, dummy(esp_sa(), Proto.NONE)) is Counter.IN_STATE_PROTO_ERROR
    assert opener.replay.top == 0
    assert opener.replay.forged == 0


def test_what_does_not_fit_the_mode_has_been_accepted_all_the_same() -> None:
    opener = EspOpener(esp_sa())
    assert refusal(opener, dummy(esp_sa(), Proto.UDP)) is Counter.IN_STATE_MODE_ERROR
    assert opener.replay.top == 1


def test_tfc_padding() -> None:
    sa = esp_sa(tfcpad=500)
    sealer, opener = ends(sa)
    sizes = {len(sealer.seal(inner_packet(sa, 4, bytes(size)))) for size in (0, 7, 100, 479)}
    assert len(sizes) == 1
    packet = inner_packet(sa, 4, b"short")
    opened = opener.open(EspSealer(sa).seal(packet))
    assert len(opened) == 500
    assert trim(opened) == packet
    capped = esp_sa(tfcpad=2000, mtu=1400)
    assert len(EspSealer(capped).seal(packet)) == 1400
    beyond = inner_packet(sa, 4, bytes(1500))
    assert len(EspSealer(capped).seal(beyond)) > 1500


@pytest.mark.parametrize(
    ("sa", "last"), [(esp_sa(), 2**32 - 1), (esp_sa(flags=ESN), 2**64 - 1)], ids=["32", "esn"]
)
def test_when_the_numbers_are_used_up(sa: Association, last: int) -> None:
    sealer = EspSealer(sa, sequence=Sequence(last - 2, esn=sa.esn))
    packet = inner_packet(sa, 4, b"x")
    sealed = sealer.seal_batch([packet] * 4)
    assert [isinstance(result, Drop) for result in sealed] == [False, False, True, True]
    with pytest.raises(Drop) as drop:
        sealer.seal(packet)
    assert drop.value.counter is Counter.OUT_STATE_SEQ_ERROR
    assert sealer.sequence.last == last


def test_numbers_that_may_wrap() -> None:
    sa = esp_sa(extra_flags=abi.XFRM_SA_XFLAG_OSEQ_MAY_WRAP)
    sealer = EspSealer(sa, sequence=Sequence(2**32 - 2, may_wrap=True))
    packets = [sealer.seal(inner_packet(sa, 4, b"x")) for _ in range(3)]
    assert [p[24:28].hex() for p in packets] == ["ffffffff", "00000000", "00000001"]
    assert [p[28:36].hex() for p in packets] == [
        "00000000ffffffff",
        "0000000100000000",
        "0000000100000001",
    ]
    opener = EspOpener(sa, window=make_window(0))
    assert opener.open_batch(packets) == [inner_packet(sa, 4, b"x")] * 3


def test_esn_over_the_edge() -> None:
    """RFC 4303 Appendix A: the high half is never sent, and both ends agree on it."""
    top = 2**32 - 300
    sa = esp_sa(flags=ESN)
    sealer = EspSealer(sa, sequence=Sequence(top, esn=True))
    opener = EspOpener(sa, window=EsnWindow(64, seq=top))
    packet = inner_packet(sa, 4, bytes(40))
    sealed = [sealer.seal(packet) for _ in range(600)]
    late = sealed.pop(290)
    assert opener.open_batch(sealed[:310]) == [packet] * 310
    assert opener.open(late) == packet
    assert opener.open_batch(sealed[310:]) == [packet] * 289
    assert refusal(opener, sealed[-1]) is Counter.IN_STATE_SEQ_ERROR
    assert opener.replay.top == top + 600


def test_esn_with_the_wrong_high_half_fails() -> None:
    sa = esp_sa(flags=ESN)
    sealed = EspSealer(sa, sequence=Sequence(5 * 2**32, esn=True)).seal(inner_packet(sa, 4, b"x"))
    opener = EspOpener(sa, window=EsnWindow(64, seq=0, seq_hi=4))
    assert refusal(opener, sealed) is Counter.IN_STATE_PROTO_ERROR
    assert EspOpener(sa, window=EsnWindow(64, seq_hi=5)).open(sealed)


def test_sequence_window_and_flag_must_agree() -> None:
    with pytest.raises(UsageError):
        EspOpener(esp_sa(flags=ESN), window=LegacyWindow(32))
    with pytest.raises(UsageError):
        EspOpener(esp_sa(), window=EsnWindow(32))
    with pytest.raises(UsageError):
        EspSealer(esp_sa(), sequence=Sequence(esn=True))


def test_too_long_for_ip() -> None:
    packet = ipv4(bytes(65500))
    for sa, counter in (
        (esp_sa(), Counter.OUT_ERROR),
        (esp_sa(encap=Encap(1, 2)), Counter.OUT_STATE_PROTO_ERROR),
        (esp_sa(outer=6, encap=Encap(1, 2)), Counter.OUT_STATE_PROTO_ERROR),
    ):
        with pytest.raises(Drop) as drop:
            EspSealer(sa).seal(packet)
        assert drop.value.counter is counter


class TestMove:
    def test_sealer_takes_keys_and_numbers_along(self) -> None:
        old = esp_sa()
        new = replace(old, saddr=bytes((10, 9, 9, 9)), encap=Encap(4500, 4501))
        sealer = EspSealer(old)
        packet = inner_packet(old, 4, b"x")
        before = sealer.seal(packet)
        moved = sealer.move(new)
        after = moved.seal(packet)
        assert moved.sequence.last == 2
        assert isinstance(moved, EspSealer)
        assert moved.transform is sealer.transform
        assert after[12:16] == bytes((10, 9, 9, 9))
        assert (before[27], after[35]) == (1, 2)
        assert outcome(sealer.seal, packet) is Counter.OUT_STATE_INVALID
        (dropped,) = sealer.seal_batch([packet])
        assert isinstance(dropped, Drop)
        assert dropped.counter is Counter.OUT_STATE_INVALID

    def test_to_the_other_family(self) -> None:
        sealer = EspSealer(esp_sa())
        packet = inner_packet(esp_sa(), 4, b"x")
        sealer.seal(packet)
        moved = sealer.move(esp_sa(outer=6))
        opener = EspOpener(esp_sa(outer=6))
        assert opener.open(moved.seal(packet)) == packet
        assert opener.replay.top == 2

    def test_only_the_same_sa_moves(self) -> None:
        for other in (esp_sa(spi=1), esp_sa(flags=ESN), esp_sa(proto=Proto.AH)):
            with pytest.raises(UsageError):
                EspSealer(esp_sa()).move(other)
            with pytest.raises(UsageError):
                EspOpener(esp_sa()).at(other)

    def test_one_window_at_two_places(self) -> None:
        old, new = esp_sa(), esp_sa(outer=6)
        packet = inner_packet(old, 4, bytes(40))
        sealer = EspSealer(old)
        early = [sealer.seal(packet) for _ in range(20)]
        moved = sealer.move(new)
        late = [moved.seal(packet) for _ in range(20)]
        opener = EspOpener(old)
        beside = opener.at(new)
        for left, right in zip(early, late, strict=True):
            assert beside.open(right) == packet
            assert opener.open(left) == packet
            assert refusal(beside, right) is Counter.IN_STATE_SEQ_ERROR
            assert refusal(opener, left) is Counter.IN_STATE_SEQ_ERROR
        assert opener.replay is beside.replay


class TestRestore:
    def test_numbers_go_on_where_they_are_told(self) -> None:
        sa = esp_sa()
        sealer = EspSealer(sa)
        packet = inner_packet(sa, 4, b"x")
        sealer.seal(packet)
        sealer.restore(1000)
        assert sealer.seal(packet)[24:28] == (1001).to_bytes(4, "big")
        with pytest.raises(UsageError):
            sealer.restore(5)
        sealer.restore(5, force=True)
        sealed = sealer.seal(packet)
        assert sealed[24:28] == (6).to_bytes(4, "big")
        assert int.from_bytes(sealed[28:36], "big") > 1001
        assert EspOpener(sa).open(sealed) == packet

    def test_the_window_can_be_replaced(self) -> None:
        sa = esp_sa()
        sealer, opener = ends(sa)
        packet = inner_packet(sa, 4, bytes(40))
        sealed = [sealer.seal(packet) for _ in range(100)]
        assert opener.open_batch(sealed[:50]) == [packet] * 50
        window = BitmapWindow(64, seq=80, bmp=[0xFFFFFFFF, 0xFFFFFFFF])
        opener.restore(window)
        assert refusal(opener, sealed[60]) is Counter.IN_STATE_SEQ_ERROR
        assert opener.open_batch(sealed[80:]) == [packet] * 20
        assert opener.replay is window
        assert window.top == 100


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(ALGORITHMS)),
    st.lists(st.sampled_from(["seal", "batch", "move", "restore", "back"]), max_size=30),
)
def test_never_the_same_iv_twice(name: str, steps: list[str]) -> None:
    """With one key, whatever happens to the SA."""
    places = [esp_sa(name), esp_sa(name, outer=6), esp_sa(name, encap=Encap(1, 2))]
    if ALGORITHMS[name].get("aead") is None and name.startswith("null"):
        return
    sealer: EspSealer = EspSealer(places[0])
    nonces: list[bytes] = []
    encrypt = sealer.transform.encrypt

    def spy(nonce: bytes, plain: bytes, aad: bytes) -> bytes:
        nonces.append(nonce)
        return encrypt(nonce, plain, aad)

    sealer.transform.encrypt = spy
    sealer.restore(0)
    for step in steps:
        packet = inner_packet(sealer.association, 4, b"payload")
        if step == "seal":
            sealer.seal(packet)
        elif step == "batch":
            sealer.seal_batch([packet] * 5)
        elif step == "move":
            place = places[(places.index(sealer.association) + 1) % len(places)]
            moved = sealer.move(place)
            assert isinstance(moved, EspSealer)
            sealer = moved
        else:
            last = sealer.sequence.last + (100 if step == "restore" else -3)
            sealer.restore(max(0, last), force=True)
    assert len(set(nonces)) == len(nonces)


def test_batches() -> None:
    sa = esp_sa()
    sealer, opener = ends(sa)
    good = inner_packet(sa, 4, bytes(30))
    sealed = sealer.seal_batch([good, b"", good, b"\x45", good])
    assert [type(result) for result in sealed] == [bytes, Drop, bytes, Drop, bytes]
    packets = [result for result in sealed if isinstance(result, bytes)]
    opened = opener.open_batch([packets[0], packets[2], packets[1], packets[0], b"junk"])
    assert opened[:3] == [good] * 3
    assert [drop.counter for drop in opened[3:] if isinstance(drop, Drop)] == [
        Counter.IN_STATE_SEQ_ERROR,
        Counter.IN_HDR_ERROR,
    ]
    assert sealer.seal_batch([]) == opener.open_batch([]) == []


def test_made_by_protocol() -> None:
    sa = esp_sa()
    packet = inner_packet(sa, 4, b"x")
    assert make_opener(sa).open(make_sealer(sa).seal(packet)) == packet


def test_no_key_in_sight() -> None:
    for name in ALGORITHMS:
        sealer, opener = ends(esp_sa(name))
        shown = repr((sealer, opener, sealer.sequence, opener.replay, sealer.association))
        for algorithm in ALGORITHMS[name].values():
            assert not algorithm.key or repr(algorithm.key)[2:20] not in shown


@pytest.mark.parametrize(
    "wrong",
    [
        {"spi": 2**32},
        {"saddr": A4, "daddr": bytes(16)},
        {"saddr": b"", "daddr": b""},
        {"mode": Mode.BEET},
        {"mode": Mode.BEET, "inner": (A4, bytes(16))},
        {"ttl": 0},
        {"tfcpad": 70000},
        {"mode": Mode.TRANSPORT, "bare": True},
        {"proto": Proto.AH, "encap": Encap(1, 2)},
    ],
)
def test_associations_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        replace(esp_sa(), **wrong)  # type: ignore[arg-type]
