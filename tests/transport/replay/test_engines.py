"""Recordings of an engine itself: whatever it did for reasons that are no netlink, the replay must find out."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyxfrm.abi import messages as m
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_REQUEST
from pyxfrm.abi.profiles import LINUX_7_2, Profile
from pyxfrm.abi.structs import (
    AeventId,
    MarkVM,
    UserExpire,
    UserMigrateState,
    UserOffload,
    UserPolicyDefault,
    UserSaFlush,
)
from pyxfrm.abi.xfrm import (
    AF_INET,
    XFRM_OFFLOAD_PACKET,
    XFRM_POLICY_OUT,
    XFRM_STATE_ESN,
    XFRMNLGRP_MAX,
)
from pyxfrm.engine.core import Engine
from pyxfrm.engine.devices import Device
from pyxfrm.transport.recording import Record
from pyxfrm.transport.replay.session import Report, replay
from pyxfrm.wire.describe import difference
from pyxfrm.wire.messages import build
from tests.transport.replay.edit import saved
from tests.transport.replay.scene import (
    ASK,
    DUMP,
    GCM,
    GET,
    HERE,
    NO_SEL,
    SPI,
    alloc,
    name,
    policy,
    sa,
    tmpl,
)
from tests.wire.bytes_of import mutations

ELSEWHERE = bytes((127, 0, 0, 3)) + bytes(12)


def move_body() -> UserMigrateState:
    return UserMigrateState(name(SPI), ELSEWHERE, HERE, MarkVM(0, 0), NO_SEL, 1, 0, AF_INET, 0)


class Tape:
    """An engine, and everything it is asked and says."""

    def __init__(self, profile: Profile = LINUX_7_2) -> None:
        self.records: list[Record] = []
        self.engine = Engine(profile, observer=self._said)
        self.port = self.engine.port(5, ext_ack=True, cap_ack=True)
        self.engine.port(6, [g for g in range(1, XFRMNLGRP_MAX + 1) if g != 5])
        self.seq = 0

    def _add(self, direction: Any, message: bytes) -> None:
        line = len(self.records) + 1
        wanted = True if direction == "event" else None
        self.records.append(Record(line, line / 100, "a", direction, message, wanted))

    def _said(self, _: int, group: int, datagram: bytes) -> None:
        self._add("event" if group else "reply", datagram)

    def ask(self, kind: int, flags: int, body: Any, attrs: Any = ()) -> None:
        self.send(build(kind, flags, body, attrs).encode())

    def send(self, message: bytes) -> None:
        """A request, given the next sequence number and the port's own."""
        self.seq += 1
        _, kind, flags, _, _ = struct.unpack_from("=IHHII", message)
        head = struct.pack("=IHHII", len(message), kind, flags | NLM_F_REQUEST, self.seq, 5)
        request = head + message[16:]
        self._add("req", request)
        self.engine.handle(request, self.port, 1_000_000 + len(self.records) / 100)

    def replay(self, path: Path) -> Report:
        """Run what was recorded; there must be no difference."""
        report = replay(saved(path / "x.jsonl", self.records), self.engine.profile)
        assert [list(difference(one.expected, one.got)) for one in report.differences] == []
        return report


# What a mutation should hit: messages that change things, and those that show them.
SEEDS = [
    build(m.XFRM_MSG_NEWSA, ASK, sa(SPI), [GCM]),
    build(m.XFRM_MSG_NEWSA, ASK, sa(SPI + 1), [GCM, (m.XFRMA_MARK, MarkVM(1, 3))]),
    build(m.XFRM_MSG_UPDSA, ASK, sa(SPI), [GCM, (m.XFRMA_IF_ID, 4)]),
    build(m.XFRM_MSG_ALLOCSPI, GET, alloc()),
    build(m.XFRM_MSG_GETSA, GET, name(SPI)),
    build(m.XFRM_MSG_GETSA, DUMP),
    build(m.XFRM_MSG_DELSA, ASK, name(SPI)),
    build(m.XFRM_MSG_FLUSHSA, ASK, UserSaFlush(0)),
    build(m.XFRM_MSG_NEWPOLICY, ASK, policy(XFRM_POLICY_OUT), [tmpl()]),
    build(m.XFRM_MSG_UPDPOLICY, ASK, policy(XFRM_POLICY_OUT, 7), [tmpl()]),
    build(m.XFRM_MSG_GETPOLICY, DUMP),
    build(m.XFRM_MSG_FLUSHPOLICY, ASK),
    build(m.XFRM_MSG_MIGRATE_STATE, ASK, move_body(), ()),
    build(m.XFRM_MSG_GETAE, GET, AeventId(name(SPI), HERE, 0, 0)),
    build(m.XFRM_MSG_EXPIRE, ASK, UserExpire(sa(SPI), 0)),
    build(m.XFRM_MSG_GETSADINFO, GET, 0),
    build(m.XFRM_MSG_SETDEFAULT, ASK, UserPolicyDefault(1, 2, 2)),
]
seeds = st.sampled_from([seed.encode() for seed in SEEDS])
requests = st.one_of(seeds, mutations(seeds)).filter(lambda raw: len(raw) >= 16)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(requests, min_size=1, max_size=25))
def test_whatever_was_asked_of_an_engine_replays(tmp_path: Path, asked: list[bytes]) -> None:
    tape = Tape()
    for message in asked:
        tape.send(message)
    tape.replay(tmp_path)


def offload(flags: int = 0) -> tuple[int, Any]:
    return m.XFRMA_OFFLOAD_DEV, UserOffload(9, flags)


def move(*attrs: tuple[int, Any]) -> tuple[int, int, Any, Any]:
    return m.XFRM_MSG_MIGRATE_STATE, ASK, move_body(), attrs


@pytest.mark.parametrize("fixed", [False, True])
def test_a_device_that_takes_sas_is_found(fixed: bool, tmp_path: Path) -> None:
    tape = Tape(LINUX_7_2._replace(clone_offload_type=fixed))
    tape.engine.devices.add(Device(9, "nic", crypto=True))
    tape.ask(m.XFRM_MSG_NEWSA, ASK, sa(SPI), [GCM, offload()])
    tape.ask(m.XFRM_MSG_GETSA, GET, name(SPI))
    tape.ask(*move(offload()))
    tape.ask(m.XFRM_MSG_GETSA, GET, name(SPI))
    assert tape.replay(tmp_path).inputs["devices"] == 1


def test_a_device_is_found_by_what_it_refuses(tmp_path: Path) -> None:
    tape = Tape()
    tape.engine.devices.add(Device(9, "nic", crypto=True, esn=False))
    esn = sa(SPI)._replace(flags=XFRM_STATE_ESN, replay_window=0)
    window = (m.XFRMA_REPLAY_ESN_VAL, (1).to_bytes(4, "little") + bytes(16) + b"\x20" + bytes(7))
    tape.ask(m.XFRM_MSG_NEWSA, ASK, esn, [GCM, window, offload()])
    tape.ask(m.XFRM_MSG_NEWSA, ASK, sa(SPI), [GCM])
    tape.ask(*move(offload()))
    assert tape.replay(tmp_path).inputs["devices"] == 1


def test_a_device_that_takes_whole_packets_is_found(tmp_path: Path) -> None:
    tape = Tape()
    tape.engine.devices.add(Device(9, "nic", crypto=True, packet=True))
    tape.ask(m.XFRM_MSG_NEWSA, ASK, sa(SPI), [GCM, offload(XFRM_OFFLOAD_PACKET)])
    packet = offload(XFRM_OFFLOAD_PACKET)
    tape.ask(m.XFRM_MSG_NEWPOLICY, ASK, policy(XFRM_POLICY_OUT), [tmpl(), packet])
    assert tape.replay(tmp_path).inputs["devices"] == 1


def test_without_a_device_none_is_made_up(tmp_path: Path) -> None:
    tape = Tape()
    tape.ask(m.XFRM_MSG_NEWSA, ASK, sa(SPI), [GCM, offload()])
    tape.ask(m.XFRM_MSG_NEWSA, ASK, sa(SPI + 1), [GCM, offload(XFRM_OFFLOAD_PACKET)])
    assert tape.replay(tmp_path).inputs["devices"] == 0


def test_sockets_policies_are_counted_as_recorded(tmp_path: Path) -> None:
    tape = Tape()
    tape.ask(m.XFRM_MSG_GETSPDINFO, GET, 0)
    tape.engine.spd.socket_counts[:] = [4, 4, 0]
    tape.ask(m.XFRM_MSG_GETSPDINFO, GET, 0)
    tape.ask(m.XFRM_MSG_GETSPDINFO, GET, 0)
    assert tape.replay(tmp_path).inputs["socket policies"] == 1


def test_a_port_without_capped_acks_is_recognised(tmp_path: Path) -> None:
    tape = Tape()
    tape.port.cap_ack = False
    tape.ask(m.XFRM_MSG_DELSA, ASK, name(SPI))
    tape.ask(m.XFRM_MSG_NEWSA, ASK, sa(SPI), [GCM])
    tape.replay(tmp_path)


def test_requests_that_make_no_sense_are_refused_alike(tmp_path: Path) -> None:
    tape = Tape()
    for kind in (m.XFRM_MSG_NEWSA, m.XFRM_MSG_MIGRATE_STATE, 0x60):
        tape.ask(kind, ASK, None)
    tape.ask(m.XFRM_MSG_GETSA, GET | NLM_F_ACK, name(SPI), [(m.XFRMA_MARK, b"\1")])
    tape.ask(m.XFRM_MSG_NEWSA, NLM_F_REQUEST, sa(0), [(m.XFRMA_OFFLOAD_DEV, b"\1")])
    assert tape.replay(tmp_path).replies.compared == 5
