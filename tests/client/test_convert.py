"""Values to bytes and back; and bytes that C's own rules of layout have made."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.abi import messages as m
from pyxfrm.client import events, from_wire, verbs
from pyxfrm.client.records import PolicyRecord, SaRecord
from pyxfrm.client.request import Request
from pyxfrm.errors import MalformedError
from pyxfrm.model import (
    INHERIT,
    REMOVE,
    Algorithm,
    Encap,
    Family,
    Mark,
    Migration,
    Mode,
    Policy,
    PolicyMigration,
    Proto,
    ReplayState,
    Sa,
    SaId,
    Selector,
    ip,
    network,
)
from pyxfrm.wire import messages
from tests.client import values


def message(request: Request[Any]) -> bytes:
    header = struct.pack("=IHHII", 16 + len(request.payload), request.type, 5, 7, 9)
    return header + request.payload


@given(values.sas())
def test_an_sa_comes_back(sa: Sa) -> None:
    raw = message(verbs.add_sa(sa))
    record = SaRecord.of(raw)
    assert record.sa == sa
    assert record.message.encode() == raw
    assert record.message.rest == b""
    assert (record.id, record.saddr, record.daddr) == (sa.id, sa.saddr, sa.id.daddr)
    assert (record.spi, record.proto, record.mode) == (sa.id.spi, sa.id.proto, sa.mode)
    assert (record.reqid, record.sel, record.dir) == (sa.reqid, sa.sel, sa.dir)
    assert (record.encap, record.replay, record.limits) == (sa.encap, sa.replay, sa.limits)
    assert (record.mark, record.if_id) == (sa.id.mark, sa.if_id)
    assert record.algorithms == sa.algorithms


def test_a_record_does_not_show_its_key() -> None:
    key = b"0123456789abcdefSALT"
    name = SaId(ip("192.0.2.1"), Proto.ESP, 5)
    algorithms = (Algorithm.aes_gcm(key),)
    sa = Sa(name, ip("192.0.2.2"), Mode.TUNNEL, algorithms, ReplayState.of(32))
    request = verbs.add_sa(sa)
    record = SaRecord.of(message(request))
    event = events.read(message(request))
    for text in (repr(request), repr(record), repr(record.sa), repr(record.message), repr(event)):
        assert key.hex() not in text
        assert "0123456789abcdef" not in text


@given(values.policies())
def test_a_policy_comes_back(policy: Policy) -> None:
    raw = message(verbs.add_policy(policy))
    record = PolicyRecord.of(raw)
    assert record.policy == policy
    assert record.message.encode() == raw
    assert record.message.rest == b""
    assert (record.dir, record.index) == (policy.dir, policy.index)
    assert (record.priority, record.sel) == (policy.priority, policy.sel)
    assert record.templates == policy.templates
    assert record.id == policy.id


@given(values.migrations())
def test_a_migration_says_what_it_says(move: Migration) -> None:
    raw = message(verbs.migrate_sa(move))
    decoded = messages.decode(raw)
    assert decoded.encode() == raw
    body = decoded.body
    assert body.old_mark == ((move.sa.mark.value, move.sa.mark.mask) if move.sa.mark else (0, 0))
    assert body.new_reqid == move.reqid
    assert body.reserved == 0
    present = {a.number for a in decoded.attrs}
    for name, number in (
        ("mark", m.XFRMA_MARK),
        ("encap", m.XFRMA_ENCAP),
        ("set_mark", m.XFRMA_SET_MARK),
        ("mapping_threshold", m.XFRMA_MTIMER_THRESH),
        ("nat_keepalive", m.XFRMA_NAT_KEEPALIVE_INTERVAL),
    ):
        assert (number in present) == (getattr(move, name) is not INHERIT), name
    assert bool(body.flags & 1) == (move.offload is REMOVE)
    event = events.read(raw)
    assert isinstance(event, events.SaMigrated)
    # The event has only the mark's number: no mark and {0, 0} look alike there.
    assert event.sa == (move.sa if move.sa.key or move.sa.mark != Mark(0, 0) else event.sa)
    assert (event.new_saddr, event.new_daddr) == (move.new_saddr, move.new_daddr)
    assert event.encap == (None if move.encap is INHERIT else move.encap)
    if move.mark is REMOVE:
        assert event.mark == Mark(0, 0)
    else:
        assert event.mark == (None if move.mark is INHERIT else move.mark)
    if isinstance(move.sel, Selector):
        assert event.sel == move.sel


@given(values.policy_migrations())
def test_an_old_migration_comes_back(move: PolicyMigration) -> None:
    event = events.read(message(verbs.migrate(move)))
    assert isinstance(event, events.PolicyMigrated)
    assert event.moves == move.moves
    assert (event.sel, event.dir, event.type) == (move.sel, move.dir, move.type)
    assert (event.encap, event.km_address) == (move.encap, move.km_address)


@given(values.policy_ids())
def test_a_policys_name_is_sent_whole(name: Any) -> None:
    decoded = messages.decode(message(verbs.get_policy(name)))
    assert decoded.body.index == name.index
    assert decoded.body.dir == name.dir
    if name.sel is not None:
        assert from_wire.selector(decoded.body.sel) == name.sel
    assert from_wire.mark(decoded.get(m.XFRMA_MARK)) == name.mark
    assert (decoded.get(m.XFRMA_IF_ID) or 0) == name.if_id


def test_a_mark_of_zeros_is_sent_and_no_mark_is_not() -> None:
    bare = SaId(ip("192.0.2.1"), Proto.ESP, 5)
    assert verbs.get_sa(bare).payload.endswith(b"\x02\x00\x32\x00")
    zeros = verbs.get_sa(replace(bare, mark=Mark(0, 0)))
    assert zeros.payload == verbs.get_sa(bare).payload + struct.pack("=HHII", 12, 21, 0, 0)


def test_an_sa_looks_as_c_lays_it_out() -> None:
    """Offsets worked out by hand from <linux/xfrm.h>, little-endian or not."""
    sa = Sa(
        SaId(ip("198.51.100.1"), Proto.ESP, 0xC0FFEE01, Mark(7, 0xFF)),
        ip("192.0.2.10"),
        Mode.TUNNEL,
        (Algorithm.aead("gcm", b"\xaa" * 20, 96),),
        ReplayState.of(64, esn=True),
        reqid=0x1234,
        sel=Selector(network("10.1.0.0/16"), network("10.2.0.0/24")),
        encap=Encap(4500, 4501),
    )
    raw = verbs.add_sa(sa).payload
    assert raw[0:4] == bytes((10, 2, 0, 0))  # sel.daddr
    assert raw[16:20] == bytes((10, 1, 0, 0))  # sel.saddr
    assert raw[40:44] == struct.pack("=HBB", 2, 24, 16)  # family, prefixlen_d, prefixlen_s
    assert raw[56:60] == bytes((198, 51, 100, 1))
    assert raw[72:77] == b"\xc0\xff\xee\x01\x32"  # spi, proto
    assert raw[80:84] == bytes((192, 0, 2, 10))
    assert raw[96:128] == b"\xff" * 32  # no limits of bytes and packets
    assert raw[128:160] == bytes(32)  # nor of time
    assert raw[160:192] == bytes(32)  # curlft
    assert raw[204:224] == struct.pack("=IIHBBB7x", 0, 0x1234, 2, 1, 0, 128)
    attrs = raw[224:]
    aead = b"gcm".ljust(64, b"\0") + struct.pack("=II", 160, 96) + b"\xaa" * 20
    assert attrs[:96] == struct.pack("=HH", 96, 18) + aead
    assert attrs[96:124] == struct.pack("=HHH", 28, 4, 2) + b"\x11\x94\x11\x95" + bytes(18)
    assert attrs[124:136] == struct.pack("=HHII", 12, 21, 7, 0xFF)
    esn = struct.pack("=6I", 2, 0, 0, 0, 0, 64) + bytes(8)
    assert attrs[136:] == struct.pack("=HH", 36, 23) + esn


def test_removing_a_set_mark_removes_its_mask_too() -> None:
    name = SaId(ip("192.0.2.1"), Proto.ESP, 5)
    here = ip("192.0.2.9")
    move = Migration(name, here, here, 0, Selector.any(Family.INET), set_mark=REMOVE)
    decoded = messages.decode(message(verbs.migrate_sa(move)))
    assert decoded.get(m.XFRMA_SET_MARK) == 0
    assert decoded.get(m.XFRMA_SET_MARK_MASK) == 0


@given(st.binary(min_size=224, max_size=400))
def test_any_bytes_that_are_long_enough_are_an_sa(body: bytes) -> None:
    record = SaRecord.of(struct.pack("=IHHII", 16 + len(body), 16, 0, 0, 0) + body)
    try:
        sa = record.sa
    except MalformedError:
        return  # an attribute too short for what it is
    repr(sa)
    str(sa.id)
    assert repr(record)


@given(st.binary(min_size=168, max_size=300))
def test_any_bytes_that_are_long_enough_are_a_policy(body: bytes) -> None:
    record = PolicyRecord.of(struct.pack("=IHHII", 16 + len(body), 19, 0, 0, 0) + body)
    try:
        repr(record.policy)
    except MalformedError:
        return


@given(st.sampled_from([*m.MESSAGES, 99]), st.binary(max_size=400))
def test_any_bytes_are_an_event(kind: int, body: bytes) -> None:
    raw = struct.pack("=IHHII", 16 + len(body), kind, 0, 3, 4) + body
    event = events.read(raw)
    assert (event.port, event.seq) == (4, 3)
    repr(event)
