"""Whatever arrives or is sent: nothing is raised, and what is not let through ends in one counter."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.engine.datapath import Action, Verdict
from tests.engine.datapath.support import FWD, IN, OUT, Host, packet4, packet6, pair, tmpl, udp
from tests.engine.helpers import ZERO, v4, v6

LET_THROUGH = {Action.DELIVERED, Action.CLEAR, Action.PROTECTED, Action.IKE, Action.KEEPALIVE}


def receiver() -> tuple[Host, list[bytes]]:
    """A host with an SA of every kind, and good packets for them."""
    one, two = pair()
    encap = [(m.XFRMA_ENCAP, s.EncapTmpl(2, 4500, 4500, ZERO))]
    sha = s.AlgoAuth(b"hmac(sha256)".ljust(64, b"\0"), 256, 128, bytes(range(32)))
    comp = s.Algo(b"deflate".ljust(64, b"\0"), 0, b"")
    packets = [one.out(packet4()).packet]
    for spi, more in (
        (0x101, {"attrs": encap}),
        (0x102, {"proto": 51, "keys": [(m.XFRMA_ALG_AUTH_TRUNC, sha)]}),
        (0x103, {"proto": 108, "keys": [(m.XFRMA_ALG_COMP, comp)], "replay_window": 0}),
        (0x104, {"mode": 0}),
    ):
        for host in (one, two):
            host.sa(spi, reqid=spi, **more)
        proto, mode = more.get("proto", 50), more.get("mode", 1)
        one.policy(OUT, tmpl(proto=proto, mode=mode, reqid=spi))  # type: ignore[arg-type]
        inner = (
            packet4(v4(1), v4(2), udp(data=b"z" * 200))
            if mode == 0
            else packet4(payload=udp(data=b"z" * 200))
        )
        verdict = one.out(inner)
        assert verdict.action is Action.PROTECTED
        packets.append(verdict.packet)
    two.ok(m.XFRM_MSG_SETDEFAULT, s.UserPolicyDefault(2, 2, 2))
    return two, packets


def check(host: Host, verdict: Verdict) -> None:
    before = host.datapath.stat
    if verdict.action in LET_THROUGH:
        assert verdict.counters == ()
    else:
        assert verdict.action is Action.DROPPED
        assert verdict.why
        assert all(before[name] for name in verdict.counters)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=120))
def test_any_bytes(data: bytes) -> None:
    host, _ = receiver_once()
    for verdict in (host.into(data), host.out(data), host.datapath.forward(data, host.now)):
        check(host, verdict)


_once: list[tuple[Host, list[bytes]]] = []


def receiver_once() -> tuple[Host, list[bytes]]:
    if not _once:
        _once.append(receiver())
    return _once[0]


@settings(max_examples=400, deadline=None)
@given(
    st.integers(0, 4),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), max_size=3),
    st.integers(0, 400),
)
def test_mutated_packets(which: int, flips: list[tuple[int, int]], cut: int) -> None:
    host, packets = receiver_once()
    data = bytearray(packets[which])
    for at, bits in flips:
        data[at % len(data)] ^= bits
    good = bytes(data[: len(data) - cut % len(data)] if cut > 300 else data)
    before = dict(host.datapath.stat)
    verdict = host.into(good)
    check(host, verdict)
    assert sum(host.datapath.stat.moved(before).values()) == len(verdict.counters)
    assert len(verdict.counters) == (verdict.action is Action.DROPPED)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 255), st.booleans())
def test_strange_packets_inside_a_tunnel(payload: bytes, proto: int, six: bool) -> None:
    """Authentic, but with anything inside: fragments, extension headers, lengths that lie."""
    one, two = pair()
    two.policy(FWD, tmpl())
    made = (
        packet6(v6(1), v6(2), payload, proto=proto)
        if six
        else packet4(payload=payload, proto=proto)
    )
    sealed = next(iter(one.engine.sadb))
    packet = one.datapath.sealing.seal(sealed, made)
    verdict = two.into(packet)
    check(two, verdict)


def test_no_packet_at_all() -> None:
    host = Host()
    assert host.into(b"").counters == ("XfrmInHdrError",)
    assert host.out(b"").counters == ("XfrmOutError",)
    assert host.datapath.forward(b"", host.now).counters == ("XfrmFwdHdrError",)
    assert host.datapath.input_batch([b"", b"E"], host.now)[1].action is Action.DROPPED
    host.policy(IN, tmpl())
    assert host.into(packet4()).counters == ("XfrmInTmplMismatch",)
