"""Whatever arrives or is sent: nothing is raised, and what is not let through ends in one counter. By every way in and out, alone and in batches."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.xfrm import AF_INET, AF_INET6, XFRMNLGRP_AEVENTS
from pyxfrm.engine.datapath import Action, Verdict
from pyxfrm.esp import Algorithm, Association, Drop, Encap, Mode, Outbound, make_sealer
from tests.engine.datapath.support import FWD, IN, OUT, Host, packet4, packet6, pair, tmpl, udp
from tests.engine.helpers import ANY4, ZERO, v4, v6

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


def told(verdict: Verdict) -> tuple[object, ...]:
    return verdict.action, verdict.packet, verdict.counters, verdict.why, verdict.errno


def try_everything(data: bytes) -> None:
    """In, out and through, by a host that has SAs for it and by one that has a policy for everything; alone, and three times in a row."""
    for host in (receiver_once()[0], sender_once()):
        datapath = host.datapath
        for way in (datapath.input, datapath.output, datapath.forward):
            before = dict(datapath.stat)
            verdict = way(data, host.now)
            check(host, verdict)
            assert sum(datapath.stat.moved(before).values()) == len(verdict.counters)
            assert len(verdict.counters) == (verdict.action is Action.DROPPED)
        for batch, one in (
            (datapath.input_batch, datapath.input),
            (datapath.output_batch, datapath.output),
        ):
            before = dict(datapath.stat)
            verdicts = batch([data] * 3, host.now)
            moved = datapath.stat.moved(before)
            assert moved == Counter(name for verdict in verdicts for name in verdict.counters)
            for verdict in verdicts:
                check(host, verdict)
            alone = one(data, host.now)
            if alone.action is Action.DROPPED:
                assert told(verdicts[2]) == told(alone)


_senders: list[Host] = []


def sender_once() -> Host:
    """A host whose policies protect everything: IPv4 in a tunnel, IPv6 in BEET mode."""
    if not _senders:
        host = Host()
        host.sa(0x100)
        host.sa(0x101, v6(1), v6(2), family=AF_INET6, reqid=8, mode=4)
        host.policy(OUT, tmpl())
        ends = tmpl(v6(1), v6(2), reqid=8, mode=4, family=AF_INET6)
        host.policy(OUT, ends, sel=ANY4._replace(family=AF_INET6))
        host.engine.leave(host.listener, XFRMNLGRP_AEVENTS)
        _senders.append(host)
    return _senders[0]


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=120))
def test_any_bytes(data: bytes) -> None:
    try_everything(data)


short = st.binary(max_size=24)
lies = st.sampled_from([0, 0, 0, 0, 1, -1, 8, -8, 40, 70_000])
v4_headers = st.tuples(
    st.sampled_from([5, 5, 5, 6, 15, 0, 4]),  # length of the header
    st.sampled_from([0, 0x4000, 0x2000, 0x0001, 0x3FFF, 0xFFFF]),  # fragment bits
    st.sampled_from([17, 6, 1, 50, 51, 108, 4, 41, 59, 94, 47, 253]),
)
extensions = st.lists(
    st.tuples(
        st.sampled_from([0, 43, 44, 60, 60, 51, 135, 59, 50]),
        st.sampled_from([0, 0, 0, 1, 2, 255]),  # its length field
        st.sampled_from(["", "c204ffffffff", "050200000100", "c910" + "00" * 16, "0104"]),
    ),
    max_size=5,
)


def strange4(header: tuple[int, int, int], options: bytes, payload: bytes, lie: int) -> bytes:
    """An IPv4 packet: options, fragments, a length that lies."""
    words, bits, proto = header
    options = options.ljust(40, b"\1")[: max(0, words - 5) * 4]
    total = (20 + len(options) + len(payload) + lie) & 0xFFFF
    head = bytes((0x40 | words, 0)) + total.to_bytes(2, "big") + b"\0\1" + bits.to_bytes(2, "big")
    return head + bytes((64, proto, 0, 0)) + v4(1)[:4] + v4(2)[:4] + options + payload


def strange6(chain: list[tuple[int, int, str]], proto: int, payload: bytes, lie: int) -> bytes:
    """An IPv6 packet: extension headers, also cut short and endless ones, a jumbo option, a length that lies."""
    numbers = [kind for kind, _, _ in chain] + [proto]
    body = b""
    for at, (_, size, options) in enumerate(chain):
        inside = bytes.fromhex(options).ljust(6 + 8 * min(size, 2), b"\0")
        body += bytes((numbers[at + 1], size)) + inside
    body += payload
    size = 0 if lie == 70_000 else (len(body) + lie) & 0xFFFF
    return b"\x60\0\0\0" + size.to_bytes(2, "big") + bytes((numbers[0], 64)) + v6(1) + v6(2) + body


def wrapped(length: int, payload: bytes, marker: bytes) -> bytes:
    """Something for an encapsulation port; ``length``: what its UDP header says."""
    datagram = bytes.fromhex("11941194") + length.to_bytes(2, "big") + bytes(2) + marker + payload
    return packet4(v4(1), v4(2), datagram)


strange = st.one_of(
    st.builds(strange4, v4_headers, short, st.binary(max_size=60), lies),
    st.builds(
        strange6, extensions, st.sampled_from([17, 58, 50, 59, 4]), st.binary(max_size=60), lies
    ),
    st.builds(
        wrapped,
        st.integers(0, 0xFFFF) | st.just(24),
        st.binary(max_size=60),
        st.sampled_from([b"", bytes(4), b"\xff", bytes.fromhex("00000101")]),
    ),
)


@settings(max_examples=250, deadline=None)
@given(strange)
def test_strange_packets(packet: bytes) -> None:
    try_everything(packet)


@settings(max_examples=150, deadline=None)
@given(strange)
def test_strange_packets_in_every_kind_of_sa(packet: bytes) -> None:
    """Authentic, whatever is in it: in tunnel, transport and BEET mode, AH, IPComp, UDP, ESN."""
    for sealer, host in every_kind():
        try:
            sealed = sealer.seal(packet)
        except Drop:
            continue
        before = dict(host.datapath.stat)
        for verdict in (host.into(sealed), *host.datapath.input_batch([sealed] * 2, host.now)):
            check(host, verdict)
            if verdict.action is Action.DROPPED:
                assert len(verdict.counters) == 1
        assert sum(host.datapath.stat.moved(before).values()) <= 3


_kinds: list[tuple[Outbound, Host]] = []
GCM_HERE = {"aead": Algorithm("rfc4106(gcm(aes))", bytes(range(20)), 128)}
SHA_HERE = {"auth": Algorithm("hmac(sha256)", bytes(range(32)), 128)}
SHA_THERE = s.AlgoAuth(b"hmac(sha256)".ljust(64, b"\0"), 256, 128, bytes(range(32)))
COMP_THERE = s.Algo(b"deflate".ljust(64, b"\0"), 0, b"")
ENCAP_THERE = (m.XFRMA_ENCAP, s.EncapTmpl(2, 4500, 4500, ZERO))
ESN_THERE = (m.XFRMA_REPLAY_ESN_VAL, s.ReplayStateEsn(2, 0, 0, 0, 0, 64, bytes(8)))
BEET4 = ANY4._replace(saddr=v4(1), daddr=v4(2), prefixlen_s=32, prefixlen_d=32)
BEET6 = BEET4._replace(family=AF_INET6, saddr=v6(1), daddr=v6(2), prefixlen_s=128, prefixlen_d=128)
# (what NEWSA is asked for, what the sealer is made of)
KINDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, GCM_HERE),
    ({"attrs": [ENCAP_THERE]}, {**GCM_HERE, "encap": Encap(4500, 4500)}),
    ({"attrs": [ESN_THERE], "flags": 128, "replay_window": 0}, {**GCM_HERE, "flags": 128}),
    ({"mode": 0}, {**GCM_HERE, "mode": Mode.TRANSPORT}),
    ({"mode": 4, "sel": BEET4}, {**GCM_HERE, "mode": Mode.BEET, "inner": (v4(1)[:4], v4(2)[:4])}),
    ({"mode": 4, "sel": BEET6}, {**GCM_HERE, "mode": Mode.BEET, "inner": (v6(1), v6(2))}),
    ({"proto": 51, "keys": [(m.XFRMA_ALG_AUTH_TRUNC, SHA_THERE)]}, {**SHA_HERE, "proto": 51}),
    (
        {"proto": 51, "mode": 0, "keys": [(m.XFRMA_ALG_AUTH_TRUNC, SHA_THERE)]},
        {**SHA_HERE, "proto": 51, "mode": Mode.TRANSPORT},
    ),
    (
        {"proto": 108, "replay_window": 0, "keys": [(m.XFRMA_ALG_COMP, COMP_THERE)]},
        {"proto": 108, "comp": Algorithm("deflate")},
    ),
]


def every_kind() -> list[tuple[Outbound, Host]]:
    """Sealers, and a host that has their SAs and lets in what comes by them."""
    if _kinds:
        return _kinds
    host = Host()
    host.engine.leave(host.listener, XFRMNLGRP_AEVENTS)
    for family, size, ends in ((AF_INET, 4, (v4(1), v4(2))), (AF_INET6, 16, (v6(1), v6(2)))):
        for number, (asked, made) in enumerate(KINDS):
            spi = 0x1000 + 16 * size + number
            host.sa(spi, *ends, family=family, **asked)
            sa = Association(spi=spi, saddr=ends[0][:size], daddr=ends[1][:size], **made)
            _kinds.append((make_sealer(sa), host))
        every = [
            tmpl(ZERO, ZERO, mode=mode, proto=50, optional=1, family=family) for mode in (1, 4)
        ]
        for direction in (IN, FWD):
            host.policy(direction, *every, sel=ANY4._replace(family=family))
    return _kinds


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
    try_everything(good)


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


def test_udp_lengths_that_lie() -> None:
    host, packets = receiver_once()
    wrapped = packets[1]
    assert wrapped[9] == 17
    for length in (0, 7, len(wrapped) - 19, 0xFFFF):
        lying = wrapped[:24] + length.to_bytes(2, "big") + wrapped[26:]
        assert host.into(lying).counters == ("XfrmInHdrError",)
        batch = host.datapath.input_batch([lying, wrapped, lying], host.now)
        assert [verdict.counters for verdict in batch[::2]] == [("XfrmInHdrError",)] * 2
    cut = packet4(v4(1), v4(2), b"\x11\x94\x11\x94")
    assert host.into(cut).counters == ("XfrmInHdrError",)
