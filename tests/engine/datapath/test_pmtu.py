"""How long packets may be: what routes and routers say, who is told, and until when. (Linux's figures: cases "path_mtu" of tests.engine.datapath.cases.)"""

from __future__ import annotations

from errno import EMSGSIZE

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.xfrm import AF_INET6, XFRM_POLICY_OUT
from pyxfrm.engine.datapath import Action, Verdict
from pyxfrm.esp.ip import checksum
from tests.engine.datapath.support import FWD, IN, OUT, Host, packet4, packet6, tmpl, udp
from tests.engine.helpers import ANY4, ZERO, v4, v6

SMALL4 = 1500 - 54  # AES-GCM, IPv4 outside


def sender(**options: object) -> Host:
    host = Host(**{"mtu": lambda _: 1500, **options})
    host.sa()
    host.policy(OUT, tmpl())
    return host


def of_size(size: int, flags: int = 0x4000) -> bytes:
    return packet4(payload=udp(data=bytes(size - 28)), flags=flags)


def report(spi: int = 0x100, mtu: int = 1300, *, udp_port: int = 0) -> bytes:
    head = udp(udp_port, 4500, b"") if udp_port else b""
    proto = 17 if udp_port else 50
    quote = packet4(v4(1), v4(2), head + spi.to_bytes(4, "big") + bytes(4), proto=proto)
    message = b"\3\4\0\0\0\0" + mtu.to_bytes(2, "big") + quote
    return packet4(v4(77), v4(1), message, proto=1)


def test_what_fits_goes_and_what_does_not_is_told() -> None:
    host = sender()
    verdict = host.out(of_size(SMALL4))
    assert (verdict.action, len(verdict.packet)) == (Action.PROTECTED, 1500)
    verdict = host.out(of_size(SMALL4 + 1))
    assert (verdict.action, verdict.errno, verdict.counters) == (Action.DROPPED, EMSGSIZE, ())
    icmp = verdict.icmp
    assert (icmp[9], icmp[20:22], len(icmp)) == (1, b"\3\4", 576)
    assert int.from_bytes(icmp[26:28], "big") == SMALL4
    assert icmp[28:] == of_size(SMALL4 + 1)[: 576 - 28]
    assert (icmp[12:16], icmp[16:20]) == (of_size(99)[16:20], of_size(99)[12:16])
    assert checksum(icmp[:20]) == checksum(icmp[20:]) == 0
    assert host.out(of_size(SMALL4 + 1, flags=0)).action is Action.PROTECTED


def test_a_batch_with_one_too_long() -> None:
    host, other = sender(), sender()
    packets = [of_size(size) for size in (100, 100, SMALL4, SMALL4 + 1, 100)] * 2
    batch = host.datapath.output_batch(packets, host.now)
    assert batch == [
        verdict._replace(sas=mine.sas, policy=mine.policy)
        for verdict, mine in zip(map(other.out, packets), batch, strict=True)
    ]
    assert [bool(verdict.icmp) for verdict in batch] == [False, False, False, True, False] * 2


def test_ipv6_never_less_than_1280() -> None:
    host = Host(mtu=lambda _: 1290, address=lambda version: v6(7) if version == 6 else None)
    host.sa(0x100, v6(1), v6(2), family=AF_INET6)
    host.policy(OUT, tmpl(v6(1), v6(2), family=AF_INET6), sel=ANY4._replace(family=AF_INET6))
    assert host.out(packet6(v6(3), v6(4), udp(data=bytes(1232)))).action is Action.PROTECTED
    icmp = host.out(packet6(v6(3), v6(4), udp(data=bytes(1233)))).icmp
    assert (icmp[6], icmp[40:42], len(icmp)) == (58, b"\2\0", 1280)
    assert (icmp[8:24], icmp[24:40]) == (v6(7), v6(3))
    assert int.from_bytes(icmp[44:48], "big") == 1280
    pseudo = icmp[8:40] + (len(icmp) - 40).to_bytes(4, "big") + bytes((0, 0, 0, 58))
    assert checksum(pseudo + icmp[40:]) == 0


def longest(host: Host) -> int:
    """By asking, which changes nothing."""
    low, high = 100, 4000
    while low < high:
        middle = (low + high + 1) // 2
        told = host.datapath.explain(of_size(middle), XFRM_POLICY_OUT)
        low, high = (middle, high) if told.action is Action.PROTECTED else (low, middle - 1)
    assert host.out(of_size(low)).action is Action.PROTECTED
    assert host.out(of_size(low + 1)).errno == EMSGSIZE
    return low


def test_what_routers_say_is_good_for_ten_minutes() -> None:
    host = sender()
    host.policy(IN, sel=ANY4._replace(proto=1))
    assert longest(host) == SMALL4
    assert host.into(report()).action is Action.DELIVERED
    assert longest(host) == 1300 - 54
    host.wait(599)
    assert longest(host) == 1300 - 54
    assert host.engine.next_deadline() is not None
    host.wait(1)
    assert longest(host) == SMALL4


def test_what_routers_say_of_strangers_is_not_believed() -> None:
    host = sender()
    for strange in (report(0x101), report(udp_port=4500), report(mtu=4000), report()[:40]):
        host.into(strange)
        assert longest(host) == SMALL4
    host.policy(IN, action=1)
    assert host.into(report()).counters == ("XfrmInPolBlock",)
    assert longest(host) == SMALL4


def test_an_encapsulated_sa_is_known_by_its_ends() -> None:
    encap = (m.XFRMA_ENCAP, s.EncapTmpl(2, 4500, 4500, ZERO))
    host = Host(mtu=lambda _: 1500)
    host.sa(attrs=[encap])
    host.policy(OUT, tmpl())
    assert host.into(report(0, udp_port=4501)).action is Action.DELIVERED
    assert longest(host) == SMALL4 - 8
    host.into(report(0, udp_port=4500))
    assert longest(host) == 1300 - 54 - 8


def test_no_less_than_the_floor_and_then_no_more() -> None:
    host = sender()
    host.into(report(mtu=0))
    assert longest(host) == 552 - 54
    host.into(report(mtu=1000))
    host.into(report(mtu=500))
    assert longest(host) == 552 - 54


def test_without_a_word_there_is_no_limit_until_a_router_says_one() -> None:
    host = sender(mtu=lambda _: 0)
    assert host.out(of_size(9000)).action is Action.PROTECTED
    assert host.datapath.paths.learn(v4(2)[:4], 1400)
    assert longest(host) == 1400 - 54
    assert not host.datapath.paths.learn(v4(2)[:4], 1500)


@pytest.mark.parametrize(
    "packet",
    [
        packet4(payload=b"\3\1" + bytes(1500), proto=1),
        packet4(payload=bytes(1500), flags=0x4001),
        packet4(bytes((224, 0, 0, 1)), payload=bytes(1500)),
        packet4(bytes(4), payload=bytes(1500)),
    ],
)
def test_nobody_to_be_told(packet: bytes) -> None:
    verdict = sender().out(packet)
    assert (verdict.errno, verdict.icmp) == (EMSGSIZE, b"")


def test_forwarded_packets() -> None:
    host = sender()
    verdict = host.datapath.forward(of_size(SMALL4 + 1), host.now)
    assert (verdict.counters, len(verdict.icmp)) == ((), 576)
    host.policy(FWD, tmpl())
    assert host.datapath.forward(of_size(SMALL4 + 1), host.now).icmp == b""


@given(st.binary(max_size=90), st.sampled_from([0, 20, 1300]))
def test_total(data: bytes, mtu: int) -> None:
    host = sender(mtu=lambda _: mtu)
    for packet in (data, of_size(60)[:20] + data, packet6(v6(1), v6(2), data, proto=60)):
        verdict: Verdict = host.out(packet)
        assert verdict.action in (Action.PROTECTED, Action.DROPPED, Action.CLEAR)
        host.into(report(mtu=mtu)[:28] + data)
