"""Runs of payloads and the headers around them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.engine.datapath import Action, Verdict
from pyxfrm.esp.ip import locate, traffic_class, trim
from pyxfrm.tunnel.framing import MOST_SEGMENTS, Run, datagrams, gather, header
from pyxfrm.tunnel.place import UDP, Place, Via

ESP = 50
HERE4, THERE4 = bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))
HERE6, THERE6 = (
    bytes.fromhex("20010db8" + "00" * 11 + "01"),
    bytes.fromhex("20010db8" + "00" * 11 + "02"),
)
WAYS = (
    Via(Place(HERE4, UDP, 4500), THERE4, 1024),
    Via(Place(HERE6, UDP, 4500), THERE6, 1024),
    Via(Place(HERE4, ESP), THERE4),
    Via(Place(HERE6, ESP), THERE6),
)
ESP_PAYLOAD = b"\x12\x34\x56\x78\0\0\0\1" + bytes(40)


def turned(via: Via) -> Via:
    """The same way, seen from the other side."""
    return Via(Place(via.address, via.place.proto, via.port), via.place.address, via.place.port)


def sealed(via: Via, payload: bytes, tos: int = 0, *, df: bool = False, sas: Any = ()) -> Verdict:
    packet = header(turned(via), len(payload), tos) + payload
    if df and packet[0] >> 4 == 4:
        packet = packet[:6] + b"\x40" + packet[7:]
    return Verdict(Action.PROTECTED, packet, sas=sas)


@pytest.mark.parametrize("via", WAYS, ids=str)
def test_a_payload_gets_back_a_header_that_says_what_the_socket_said(via: Via) -> None:
    (packet,) = datagrams(Run(via, [ESP_PAYLOAD], len(ESP_PAYLOAD), 0xB9))
    assert trim(packet) == packet
    arrival = locate(packet)
    assert (arrival.saddr, arrival.daddr) == (via.address, via.place.address)
    assert arrival.spi == 0x12345678
    assert arrival.sport == (via.port or None)
    assert traffic_class(packet) == 0xB9


@pytest.mark.parametrize("via", WAYS, ids=str)
def test_what_is_gathered_is_what_was_sealed(via: Via) -> None:
    (run,) = gather([sealed(via, ESP_PAYLOAD, 0x28, df=True)])
    assert run == Run(via, [ESP_PAYLOAD], len(ESP_PAYLOAD), 0x28, df=True)


def test_ipv4_without_df_may_be_fragmented() -> None:
    (run,) = gather([sealed(WAYS[0], ESP_PAYLOAD)])
    assert not run.df


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(9, 40), st.sampled_from((0, 0x28)), st.booleans()),
        max_size=200,
    )
)
def test_runs_keep_order_and_are_what_one_send_can_carry(
    kinds: list[tuple[int, int, int, bool]],
) -> None:
    sas = [(object(),) for _ in WAYS]
    verdicts = []
    for serial, (way, size, tos, df) in enumerate(kinds):
        payload = serial.to_bytes(8, "big").ljust(size, b"x")
        verdicts.append(sealed(WAYS[way], payload, tos, df=df, sas=sas[way]))
    runs = gather(verdicts)
    flat = [(run.via, payload, run.tos) for run in runs for payload in run.payloads]
    assert [int.from_bytes(payload[:8], "big") for _, payload, _ in flat] == list(range(len(kinds)))
    for (via, payload, tos), (way, size, wanted, _) in zip(flat, kinds, strict=True):
        assert (via, len(payload), tos) == (WAYS[way], size, wanted)
    for run in runs:
        assert len(run.payloads) <= MOST_SEGMENTS
        assert {len(payload) for payload in run.payloads[:-1]} <= {run.size}
        assert len(run.payloads[-1]) <= run.size


def test_equal_packets_of_one_sa_are_one_run() -> None:
    sas = (object(),)
    runs = gather([sealed(WAYS[0], ESP_PAYLOAD, sas=sas) for _ in range(100)])
    assert [len(run.payloads) for run in runs] == [64, 36]


def test_the_last_of_a_run_may_be_shorter() -> None:
    run = Run(WAYS[0], [ESP_PAYLOAD, ESP_PAYLOAD[:20]], len(ESP_PAYLOAD))
    assert [len(packet) for packet in datagrams(run)] == [28 + len(ESP_PAYLOAD), 48]
    assert all(trim(packet) == packet for packet in datagrams(run))
