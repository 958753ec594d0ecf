"""Batches have the effects of single packets, all of them: verdicts, counters, SAs, policies, events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.xfrm import AF_INET6, XFRMNLGRP_AEVENTS
from pyxfrm.engine.datapath import Action, Verdict
from tests.engine.datapath.support import (
    FWD,
    IN,
    OUT,
    Host,
    limits,
    packet4,
    packet6,
    pair,
    tmpl,
    udp,
)
from tests.engine.helpers import ANY4, ZERO, sa_id, v4, v6

NET = (bytes((10, 0, 2, 0)) + bytes(12), bytes((10, 0, 3, 0)) + bytes(12), bytes((10, 0, 4, 0)))
ENCAP = (m.XFRMA_ENCAP, s.EncapTmpl(2, 4500, 4500, ZERO))
QUIET = (m.XFRMA_ETIMER_THRESH, 0)


def gateway(sender: bool, *, aevents: bool, lft: s.LifetimeCfg, local: bool) -> Host:
    """One of two gateways. Tunnels for 10.0.2.0/24 (limited), 10.0.3.0/24 (in UDP) and IPv6 (outside as well); 10.0.4.0/24 has a policy and no SA."""
    host = Host(local=lambda address: local or address[0] != 10)
    if not aevents:
        host.engine.leave(host.listener, XFRMNLGRP_AEVENTS)
    ends6 = v6(1), v6(2)
    host.sa(0x100, reqid=7, lft=lft, attrs=[QUIET])
    host.sa(0x101, reqid=8, attrs=[ENCAP, QUIET])
    host.sa(0x102, *ends6, reqid=9, family=AF_INET6, attrs=[QUIET])
    for direction in (OUT,) if sender else (IN, FWD):
        for number, net in enumerate(NET):
            sel = ANY4._replace(daddr=net.ljust(16, b"\0"), prefixlen_d=24)
            host.policy(direction, tmpl(reqid=7 + number), sel=sel)
        every6 = ANY4._replace(family=AF_INET6)
        host.policy(direction, tmpl(*ends6, reqid=9, family=AF_INET6), sel=every6)
    host.events()
    return host


def state(host: Host) -> list[Any]:
    """Everything that packets change."""
    sas = [
        (sa.spi, sa.state, sa.replay, sa.esn, sa.stats, sa.bytes, sa.packets, sa.lastused, sa.dying)
        for sa in host.engine.sadb
    ]
    policies = [(policy.index, policy.use_time) for policy in host.engine.spd]
    events = [(event.header.nlmsg_type, event.body, event.attrs) for event in host.events()]
    return [sorted(sas, key=str), policies, dict(host.datapath.stat), events]


def told(verdict: Verdict) -> tuple[Any, ...]:
    spis = [sa.spi for sa in verdict.sas]
    index = verdict.policy and verdict.policy.index
    return (verdict.action, verdict.packet, verdict.counters, verdict.why, verdict.errno, spis, index, verdict.mark)  # fmt: skip


def make(kind: int, data: bytes) -> bytes:
    """Packets of some flows, plain and strange."""
    inner = bytes((10, 0, 1, 1))
    makers: Sequence[Callable[[], bytes]] = (
        lambda: packet4(inner, bytes((10, 0, 2, 1)), udp(data=data)),
        lambda: packet4(inner, bytes((10, 0, 2, 2)), udp(data=data)),
        lambda: packet4(inner, bytes((10, 0, 3, 1)), udp(data=data), flags=0),
        lambda: packet4(inner, bytes((10, 0, 3, 1)), bytes((8, 0)) + bytes(6) + data, proto=1),
        lambda: packet4(inner, bytes((10, 0, 4, 1)), udp(data=data)),
        lambda: packet4(inner, bytes((10, 0, 5, 1)), udp(data=data)),
        lambda: packet6(v6(3), v6(4), udp(data=data)),
        lambda: packet6(v6(3), v6(4), bytes((17, 0)) + bytes(6) + udp(data=data), proto=60),
        lambda: packet4(inner, bytes((10, 0, 2, 1)), udp(data=data))[: 20 + len(data)],
        lambda: data,
    )
    return makers[kind]()


kinds = st.integers(0, 9)
# (which packet, how many of it in a row, payload)
rows = st.lists(
    st.tuples(kinds, st.integers(1, 9), st.sampled_from([b"", b"x" * 30, b"y" * 700])), max_size=6
)
damages = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 2000), st.integers(0, 255)), max_size=3)  # fmt: skip
limit = st.sampled_from([limits(), limits(hard_packet_limit=5), limits(soft_packet_limit=2, hard_byte_limit=900)])  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(rows, damages, limit, st.booleans(), st.booleans(), st.integers(0, 1))
def test_a_batch_is_as_good_as_its_packets(
    sent: list[tuple[int, int, bytes]],
    damage: list[tuple[int, int, int]],
    lft: s.LifetimeCfg,
    aevents: bool,
    local: bool,
    mark: int,
) -> None:
    packets = [make(kind, data) for kind, times, data in sent for _ in range(times)]
    senders = [gateway(True, aevents=aevents, lft=lft, local=True) for _ in range(2)]
    receivers = [gateway(False, aevents=aevents, lft=lft, local=local) for _ in range(2)]
    for now in (1.0, 2.5):
        ones = [senders[0].datapath.output(p, senders[0].now + now, mark=mark) for p in packets]
        batch = senders[1].datapath.output_batch(packets, senders[1].now + now, mark=mark)
        assert list(map(told, ones)) == list(map(told, batch))
        assert state(senders[0]) == state(senders[1])
        arriving = [verdict.packet for verdict in batch if verdict.action is Action.PROTECTED]
        for at, place, value in damage:
            if at < len(arriving):
                arriving.append(arriving[at])  # once more, and then
                arriving[at] = (
                    arriving[at][:place] + bytes((value,)) + arriving[at][place + 1 - value % 2 :]
                )
        now += receivers[0].now
        singles = [receivers[0].datapath.input(one, now, mark=mark) for one in arriving]
        batched = receivers[1].datapath.input_batch(arriving, now, mark=mark)
        assert list(map(told, singles)) == list(map(told, batched))
        assert state(receivers[0]) == state(receivers[1])


def test_rows_are_taken_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above would say little."""
    one, two = (gateway(side, aevents=False, lft=limits(), local=True) for side in (True, False))
    rows = {"seal_run": 0, "open_run": 0}
    for part, name in ((one.datapath.sealing, "seal_run"), (two.datapath.opening, "open_run")):
        whole = getattr(part, name)

        def counted(first: Any, packets: list[bytes], name: str = name, whole: Any = whole) -> Any:
            rows[name] += len(packets)
            return whole(first, packets)

        monkeypatch.setattr(part, name, counted)
    packets = [make(kind, b"%d" % number) for kind in (0, 2, 6) for number in range(20)]
    for _ in range(2):
        sealed = [verdict.packet for verdict in one.datapath.output_batch(packets, one.now)]
        delivered = [verdict.packet for verdict in two.datapath.input_batch(sealed, two.now)]
        assert delivered == packets
    alone = 3  # the first of each flow
    assert rows == {"seal_run": 120 - alone, "open_run": 120 - alone}


@pytest.mark.parametrize("at", [0, 2, 3, 6, 9, 16, 20, 24])
def test_an_odd_one_in_a_row(at: int) -> None:
    """A row of datagrams, one of which is otherwise in one byte of its headers."""
    one, two, alone = (
        gateway(side, aevents=False, lft=limits(), local=True) for side in (True, False, False)
    )
    for kind in (0, 2):
        packets = [make(kind, b"%2d" % number) for number in range(12)]
        sealed = [verdict.packet for verdict in one.datapath.output_batch(packets, one.now)]
        sealed[6] = sealed[6][:at] + bytes((sealed[6][at] ^ 0x41,)) + sealed[6][at + 1 :]
        expected = [alone.datapath.input(datagram, alone.now) for datagram in sealed]
        batch = two.datapath.input_batch(sealed[:2], two.now)
        batch += two.datapath.input_batch(sealed[2:], two.now)
        assert list(map(told, batch)) == list(map(told, expected))
        assert state(two) == state(alone)


def test_packets_wait_in_order_with_those_of_a_batch() -> None:
    one, two = pair()
    one.engine.leave(one.listener, XFRMNLGRP_AEVENTS)
    numbered = [packet4(payload=udp(data=b"%d" % i)) for i in range(9)]
    one.datapath.output_batch(numbered[:3], one.now)
    one.datapath.moves.wait(5.0)
    sa = next(iter(one.engine.sadb))
    one.move(sa, v4(1), v4(9))
    verdicts = one.datapath.output_batch(numbered[3:6], one.now)
    assert {verdict.action for verdict in verdicts} == {Action.QUEUED}
    one.policy(OUT, tmpl(v4(1), v4(9)))
    left = one.datapath.take() + one.datapath.output_batch(numbered[6:], one.now)
    two.move(next(iter(two.engine.sadb)), v4(1), v4(9))
    two.policy(IN, tmpl(v4(1), v4(9)))
    assert [two.into(verdict.packet).packet for verdict in left] == numbered[3:]
    one.ok(m.XFRM_MSG_DELSA, sa_id(0x100, v4(9)))
