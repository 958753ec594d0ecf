"""The short road gives what the long road gives: same bytes, same drops, same state."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxfrm.abi import xfrm as abi
from pyxfrm.esp import Association, Drop, Encap, EspOpener, EspSealer, LegacyWindow, Sequence
from pyxfrm.esp.shortcut import _Heads, applies_in, applies_out
from tests.esp.support import ESN, esp_sa, ipv4, ipv6, outcome

payloads = st.binary(min_size=1, max_size=200)


def tunnels() -> list[Association]:
    flags = [0, ESN, abi.XFRM_STATE_NOECN, abi.XFRM_STATE_NOPMTUDISC]
    return [
        *(esp_sa(outer=outer, flags=flag) for outer in (4, 6) for flag in flags),
        esp_sa(encap=Encap(4500, 4500)),
        esp_sa(extra_flags=abi.XFRM_SA_XFLAG_DONT_ENCAP_DSCP),
        esp_sa(tfcpad=120),
        esp_sa(bare=True),
        *(esp_sa(name) for name in ("gcm192-64", "ccm128", "gmac128", "chacha", "cbc128-sha1")),
        esp_sa("ctr256-sha1", flags=ESN),
        esp_sa("null-sha512", outer=6),
    ]


packets = st.one_of(
    st.builds(
        ipv4,
        payloads,
        tos=st.integers(0, 255),
        ident=st.integers(0, 0xFFFF),
        frag=st.sampled_from([0, 0x4000, 0x2000, 0x4001]),
        options=st.sampled_from([b"", bytes(4), bytes(40)]),
    ),
    st.builds(ipv6, payloads, tos=st.integers(0, 255), flow=st.integers(0, 0xFFFFF)),
    st.binary(max_size=50),
)


@pytest.mark.parametrize("sa", tunnels(), ids=range(len(tunnels())))
@settings(max_examples=40)
@given(st.lists(packets, max_size=6))
def test_out(sa: Association, sent: list[bytes]) -> None:
    assert applies_out(sa)
    start = Sequence(250, esn=sa.esn)
    short = EspSealer(sa, sequence=start, idents=count(1).__next__)
    long = EspSealer(sa, sequence=Sequence(250, esn=sa.esn), idents=count(1).__next__)
    batch = EspSealer(sa, sequence=Sequence(250, esn=sa.esn), idents=count(1).__next__)
    assert short.seal != long._seal
    wanted = [outcome(long._seal, packet) for packet in sent]
    assert [outcome(short.seal, packet) for packet in sent] == wanted
    batched = [r.counter if isinstance(r, Drop) else r for r in batch.seal_batch(sent)]
    assert batched == wanted
    assert short.sequence.last == long.sequence.last == batch.sequence.last


@pytest.mark.parametrize("sa", tunnels(), ids=range(len(tunnels())))
@settings(max_examples=25)
@given(packets, st.integers(2, 12), st.none() | packets, st.sampled_from([250, (1 << 32) - 8]))
def test_runs_out(
    sa: Association, packet: bytes, count_: int, other: bytes | None, last: int
) -> None:
    """Packets that are alike, to the last number and beyond, and perhaps one that is not."""
    sent = [packet[:-1] + bytes((i,)) for i in range(count_)] if packet else [packet]
    sent += [] if other is None else [other]
    long, batch = (
        EspSealer(sa, sequence=Sequence(last, esn=sa.esn), idents=count(1).__next__)
        for _ in range(2)
    )
    wanted = [outcome(long._seal, packet) for packet in sent]
    batched = [r.counter if isinstance(r, Drop) else r for r in batch.seal_batch(sent)]
    assert batched == wanted
    assert long.sequence.last == batch.sequence.last


moves = st.lists(
    st.one_of(
        st.just(1), st.just(1), st.integers(-3, 5), st.sampled_from([-40, 40, 300]), st.none()
    ),
    max_size=40,
)


@pytest.mark.parametrize("sa", tunnels(), ids=range(len(tunnels())))
@settings(max_examples=25)
@given(moves, st.lists(packets, min_size=3, max_size=3), st.integers(0, 255))
def test_in(sa: Association, steps: list[int | None], inner: list[bytes], mark: int) -> None:
    """A stream with gaps, late ones, repeats, forgeries and marks, by both roads and in batches."""
    assert applies_in(sa)
    sealer = EspSealer(sa)
    inner = [packet for packet in inner if not isinstance(outcome(sealer.seal, packet), str)]
    if not inner:
        return
    stream, at = [], 1
    for number, step in enumerate(steps):
        at = max(0, at + (step or 0))
        sealer = EspSealer(sa, sequence=Sequence(at, esn=sa.esn))
        packet = bytearray(sealer.seal(inner[number % len(inner)]))
        if step is None:
            packet[-1] ^= 1
        if number % 5 == 4 and not sa.bare:
            packet[1] ^= mark & (0xFF if sa.family == 4 else 0xF0)
        stream.append(bytes(packet))
    short, long, batch = EspOpener(sa), EspOpener(sa), EspOpener(sa)
    wanted = [outcome(long._open, packet) for packet in stream]
    assert [outcome(short.open, packet) for packet in stream] == wanted
    cut = len(stream) // 3
    opened = batch.open_batch(stream[:cut]) + batch.open_batch(stream[cut:])
    assert [r.counter if isinstance(r, Drop) else r for r in opened] == wanted
    states = [vars_of(opener) for opener in (short, long, batch)]
    assert states[0] == states[1] == states[2]


def vars_of(opener: EspOpener) -> dict[str, object]:
    window = opener.replay
    names = [name for kind in type(window).__mro__ for name in getattr(kind, "__slots__", ())]
    return {name: getattr(window, name) for name in names}


def test_where_there_is_none() -> None:
    assert not applies_out(esp_sa(outer=6, encap=Encap(1, 2)))
    assert not applies_in(esp_sa(flags=abi.XFRM_STATE_DECAP_DSCP))


def test_the_store_of_heads_does_not_grow_for_ever() -> None:
    heads = _Heads(EspSealer(esp_sa()))
    for size in range(20, 720):
        for tos in range(0, 64, 8):
            assert heads[size, 0x45, tos, 0x40][0]
    assert 0 < len(heads) <= 4096


def test_the_last_numbers() -> None:
    sa = esp_sa()
    sealer = EspSealer(sa, sequence=Sequence(2**32 - 4))
    opener = EspOpener(sa, window=LegacyWindow(32, seq=2**32 - 4))
    packet = ipv4(bytes(40))
    sealed = [sealer.seal(packet) for _ in range(3)]
    assert [opener.open(p) for p in sealed] == [packet] * 3
    assert isinstance(opener.open_batch(sealed)[2], Drop)
    assert opener.replay.top == 2**32 - 1
