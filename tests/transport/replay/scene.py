"""Scenes played on a real kernel and recorded there, to be replayed: what the bundled recordings have too little of."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from typing import Any

from pyxfrm.abi import messages as m
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NlMsgHdr
from pyxfrm.abi.structs import (
    AddressFilter,
    AeventId,
    Algo,
    AlgoAead,
    Id,
    LifetimeCfg,
    LifetimeCur,
    Selector,
    Stats,
    UserExpire,
    UserPolExpire,
    UserPolicyDefault,
    UserPolicyId,
    UserPolicyInfo,
    UserPolicyType,
    UserSaFlush,
    UserSaId,
    UserSaInfo,
    UserSpiInfo,
    UserTmpl,
)
from pyxfrm.abi.xfrm import (
    AF_INET,
    IPPROTO_ESP,
    XFRM_INF,
    XFRM_MODE_TRANSPORT,
    XFRM_POLICY_OUT,
    XFRMNLGRP_AEVENTS,
    XFRMNLGRP_MAX,
)
from pyxfrm.lab.kernel import Executor
from pyxfrm.lab.script import Link, Open, Receive, Script, Send, Sleep, Step, Sysctl, Udp
from pyxfrm.transport.recording import Record, write
from pyxfrm.wire import netlink
from pyxfrm.wire.codec import codec
from pyxfrm.wire.dialogue import is_answer
from pyxfrm.wire.messages import build

__all__ = ["SCENES", "record", "scene"]

PORT = 4242
GROUPS = tuple(g for g in range(1, XFRMNLGRP_MAX + 1) if g != XFRMNLGRP_AEVENTS)
BUFFER = 4096
PAUSE = 0.02

# -- in the guest ------------------------------------------------------------------------------------


def record(steps: Any) -> str:
    """Play the steps (a script as JSON) on this kernel; the recording as text."""
    tape = _Tape()
    executor = Executor()
    try:
        for step in Script.from_json(steps).steps:
            tape.play(executor, step)
    finally:
        executor.close()
    out = io.StringIO()
    write(out, tape.records)
    return out.getvalue()


class _Tape:
    def __init__(self) -> None:
        self.start = time.time()
        self.records: list[Record] = []
        self.asked: dict[int, int] = {}

    def play(self, executor: Executor, step: Step) -> None:
        if isinstance(step, Send) and step.socket == "a":
            header: NlMsgHdr = codec(NlMsgHdr).decode(step.data)
            self.asked[header.nlmsg_seq] = header.nlmsg_type
            self._add("req", step.data)
        if not isinstance(step, Sleep):
            done = executor.step(step)
            assert not done.errno, (step, done)
            self._listen(executor)
            return
        end = time.monotonic() + step.seconds
        while time.monotonic() < end:
            time.sleep(PAUSE)
            self._listen(executor)

    def _listen(self, executor: Executor) -> None:
        for received in executor.step(Receive("a", size=BUFFER)).received:
            assert not received.errno
            for start, end in netlink.frames(received.data):
                message = received.data[start:end]
                header = codec(NlMsgHdr).decode(message)
                answer = is_answer(header, self.asked.get(header.nlmsg_seq))
                self._add("reply" if answer else "event", message)

    def _add(self, direction: Any, message: bytes) -> None:
        line = len(self.records) + 1
        now = round(time.time() - self.start, 6)
        wanted = True if direction == "event" else None
        self.records.append(Record(line, now, "guest", direction, message, wanted))


# -- the scenes --------------------------------------------------------------------------------------

HERE = bytes((127, 0, 0, 1)) + bytes(12)
THERE = bytes((127, 0, 0, 2)) + bytes(12)
ANY = bytes(16)
ASK = NLM_F_REQUEST | NLM_F_ACK
GET = NLM_F_REQUEST
DUMP = NLM_F_REQUEST | NLM_F_DUMP
NO_LIMITS = LifetimeCfg(XFRM_INF, XFRM_INF, XFRM_INF, XFRM_INF, 0, 0, 0, 0)
UNUSED = LifetimeCur(0, 0, 0, 0)
NULL = (m.XFRMA_ALG_CRYPT, Algo(b"ecb(cipher_null)".ljust(64, b"\0"), 0, b""))
GCM = (m.XFRMA_ALG_AEAD, AlgoAead(b"rfc4106(gcm(aes))".ljust(64, b"\0"), 160, 128, bytes(20)))
EVERY = 0xFFFFFFFF
SPI = 0x1000


class _Says:
    """Numbers the requests of a scene."""

    def __init__(self, socket: str = "a", port: int = PORT) -> None:
        self.seq = 0
        self.socket = socket
        self.port = port

    def __call__(self, kind: int, flags: int, body: Any = None, attrs: Any = ()) -> Send:
        self.seq += 1
        message = build(kind, flags, body, attrs, seq=self.seq, pid=self.port)
        return Send(self.socket, message.encode())


def sel(port: int = 0) -> Selector:
    """UDP from here to there, to one port or all."""
    mask = 0xFFFF if port else 0
    return Selector(THERE, HERE, port, mask, 0, 0, AF_INET, 32, 32, 17, 0, 0)


NO_SEL = Selector(ANY, ANY, 0, 0, 0, 0, AF_INET, 0, 0, 0, 0, 0)


def sa(spi: int, lft: LifetimeCfg = NO_LIMITS, reqid: int = 1, saddr: bytes = HERE) -> UserSaInfo:
    return UserSaInfo(
        NO_SEL,
        Id(THERE, spi, IPPROTO_ESP),
        saddr,
        lft,
        UNUSED,
        Stats(0, 0, 0),
        0,
        reqid,
        AF_INET,
        XFRM_MODE_TRANSPORT,
        32,
        0,
    )


def name(spi: int) -> UserSaId:
    return UserSaId(THERE, spi, AF_INET, IPPROTO_ESP)


def policy(
    direction: int, port: int = 0, lft: LifetimeCfg = NO_LIMITS, priority: int = 5
) -> UserPolicyInfo:
    return UserPolicyInfo(sel(port), lft, UNUSED, priority, 0, direction, 0, 0, 0)


def tmpl(reqid: int = 1, spi: int = 0) -> tuple[int, Any]:
    one = UserTmpl(
        Id(THERE, spi, IPPROTO_ESP),
        AF_INET,
        HERE,
        reqid,
        XFRM_MODE_TRANSPORT,
        0,
        0,
        EVERY,
        EVERY,
        EVERY,
    )
    return m.XFRMA_TMPL, (one,)


def alloc(reqid: int = 1) -> UserSpiInfo:
    return UserSpiInfo(sa(0, reqid=reqid), 0xC0000000, 0xCFFFFFFF)


def tables() -> Iterator[Step]:
    """SAs and policies in number: dumps in several pieces, filters, info, flushes."""
    say = _Says()
    yield say(m.XFRM_MSG_GETSPDINFO, GET, 0)
    yield say(m.XFRM_MSG_GETSADINFO, GET, 0)
    yield say(m.XFRM_MSG_GETSA, DUMP)
    for spi in range(SPI, SPI + 30):
        attrs = [GCM, (m.XFRMA_IF_ID, spi)] if spi % 2 else [GCM]
        yield say(m.XFRM_MSG_NEWSA, ASK, sa(spi, reqid=spi), attrs)
    for port in range(1, 21):
        yield say(
            m.XFRM_MSG_NEWPOLICY, ASK, policy(port % 3, port, priority=port % 4), [tmpl(port)]
        )
    yield say(m.XFRM_MSG_ALLOCSPI, GET, alloc())
    yield say(m.XFRM_MSG_GETSA, DUMP)
    yield say(m.XFRM_MSG_GETSA, DUMP, None, [(m.XFRMA_PROTO, IPPROTO_ESP)])
    only = AddressFilter(HERE, ANY, AF_INET, 24, 0)
    yield say(m.XFRM_MSG_GETSA, DUMP, None, [(m.XFRMA_ADDRESS_FILTER, only)])
    yield say(m.XFRM_MSG_GETPOLICY, DUMP)
    yield say(m.XFRM_MSG_GETPOLICY, DUMP | NLM_F_ACK)
    yield say(m.XFRM_MSG_GETSADINFO, GET, 0)
    yield say(m.XFRM_MSG_GETSPDINFO, GET, 0)
    yield say(m.XFRM_MSG_GETPOLICY, GET, UserPolicyId(sel(4), 0, 1))
    yield say(m.XFRM_MSG_GETPOLICY, GET, UserPolicyId(sel(4), 0, 2))
    yield say(m.XFRM_MSG_SETDEFAULT, ASK, UserPolicyDefault(1, 2, 2))
    yield say(m.XFRM_MSG_GETDEFAULT, GET, UserPolicyDefault(0, 0, 0))
    yield say(m.XFRM_MSG_DELSA, ASK, name(SPI))
    yield say(m.XFRM_MSG_DELSA, ASK, name(SPI))
    yield say(m.XFRM_MSG_FLUSHSA, ASK, UserSaFlush(51))
    yield say(m.XFRM_MSG_FLUSHSA, ASK, UserSaFlush(IPPROTO_ESP))
    yield say(m.XFRM_MSG_FLUSHPOLICY, ASK)
    yield say(m.XFRM_MSG_FLUSHPOLICY, ASK, None, [(m.XFRMA_POLICY_TYPE, UserPolicyType(0, 0, 0))])
    yield say(m.XFRM_MSG_GETSA, DUMP)
    yield say(m.XFRM_MSG_GETPOLICY, DUMP)


def times() -> Iterator[Step]:
    """Limits in time: soft and hard, of SAs, larval SAs and policies."""
    say = _Says()
    yield Sysctl("net.core.xfrm_acq_expires", "2")
    soon = NO_LIMITS._replace(soft_add_expires_seconds=1, hard_add_expires_seconds=4)
    use = NO_LIMITS._replace(soft_use_expires_seconds=1, hard_use_expires_seconds=4)
    yield say(m.XFRM_MSG_ALLOCSPI, GET, alloc())
    yield Sleep(0.3)
    yield say(m.XFRM_MSG_NEWSA, ASK, sa(SPI, soon), [GCM])
    yield Sleep(0.3)
    yield say(m.XFRM_MSG_NEWSA, ASK, sa(SPI + 1, soon), [GCM])
    yield say(m.XFRM_MSG_NEWPOLICY, ASK, policy(XFRM_POLICY_OUT, 9, soon))
    yield say(m.XFRM_MSG_NEWPOLICY, ASK, policy(XFRM_POLICY_OUT, 10, use))
    yield Sleep(1.5)
    yield say(m.XFRM_MSG_GETSA, GET, name(SPI))
    yield Sleep(5)
    yield say(m.XFRM_MSG_GETSA, GET, name(SPI))
    yield say(m.XFRM_MSG_GETSA, DUMP)
    yield say(m.XFRM_MSG_GETPOLICY, DUMP)


def udp() -> Udp:
    return Udp("127.0.0.2", 9, b"x" * 50, saddr="127.0.0.1")


def traffic() -> Iterator[Step]:
    """Packets through SAs on the loopback device: counters, limits in packets, ACQUIRE, dumps of used SAs."""
    say = _Says()
    yield Link("lo", addresses=("127.0.0.2/8",))
    for setting in ("disable_xfrm", "disable_policy"):
        yield Sysctl(f"net.ipv4.conf.lo.{setting}", "0")
    few = NO_LIMITS._replace(soft_packet_limit=2, hard_packet_limit=5)
    yield say(m.XFRM_MSG_NEWPOLICY, ASK, policy(XFRM_POLICY_OUT), [tmpl()])
    yield udp()
    yield say(m.XFRM_MSG_GETSA, DUMP)
    yield say(m.XFRM_MSG_NEWSA, ASK, sa(SPI, few), [GCM])
    for _ in range(4):
        yield udp()
        yield say(m.XFRM_MSG_GETSA, GET, name(SPI))
    yield say(m.XFRM_MSG_GETAE, GET, AeventId(name(SPI), HERE, 0, 0))
    yield say(m.XFRM_MSG_GETAE, GET, AeventId(name(SPI), HERE, 1 | 8, 0))
    yield say(m.XFRM_MSG_GETPOLICY, GET, UserPolicyId(sel(), 0, XFRM_POLICY_OUT))
    yield udp()
    yield udp()
    yield Sleep(0.2)
    yield say(m.XFRM_MSG_GETSA, DUMP)
    yield say(m.XFRM_MSG_NEWSA, ASK, sa(SPI + 1), [GCM])
    yield udp()
    yield say(m.XFRM_MSG_GETSA, DUMP)
    yield say(m.XFRM_MSG_DELPOLICY, ASK, UserPolicyId(sel(), 0, XFRM_POLICY_OUT))
    yield say(m.XFRM_MSG_DELSA, ASK, name(SPI + 1))
    yield say(m.XFRM_MSG_GETSA, DUMP)


def asked() -> Iterator[Step]:
    """Messages by which user space raises events: NEWAE, EXPIRE, POLEXPIRE; refusals of each."""
    say = _Says()
    yield say(m.XFRM_MSG_NEWSA, ASK, sa(SPI), [GCM])
    yield say(m.XFRM_MSG_NEWPOLICY, ASK, policy(XFRM_POLICY_OUT), [tmpl()])
    for hard in (0, 1):
        yield say(m.XFRM_MSG_EXPIRE, ASK, UserExpire(sa(SPI), hard))
        yield say(m.XFRM_MSG_GETSA, GET, name(SPI))
        expired = UserPolExpire(policy(XFRM_POLICY_OUT), hard)
        yield say(m.XFRM_MSG_POLEXPIRE, ASK, expired)
    yield say(m.XFRM_MSG_EXPIRE, ASK, UserExpire(sa(SPI), 0))
    yield say(m.XFRM_MSG_NEWSA, NLM_F_REQUEST, sa(SPI), [GCM])
    ltime = (m.XFRMA_LTIME_VAL, LifetimeCur(100, 2, 5, 6))
    yield say(m.XFRM_MSG_NEWAE, ASK, AeventId(name(SPI), HERE, 0, 0), [ltime])
    replace = ASK | 0x100
    yield say(m.XFRM_MSG_NEWAE, replace, AeventId(name(SPI), HERE, 0, 0), [ltime])
    yield say(m.XFRM_MSG_GETAE, GET, AeventId(name(SPI), HERE, 0, 0))
    yield say(m.XFRM_MSG_UPDSA, ASK, sa(SPI, NO_LIMITS._replace(hard_byte_limit=9)), [GCM])
    yield say(m.XFRM_MSG_UPDSA, ASK, sa(SPI + 1), [GCM])
    yield say(m.XFRM_MSG_GETSA, GET, name(SPI))
    yield say(0x2F, ASK)


def meddled() -> Iterator[Step]:
    """Another program changes things; its requests are not recorded, the events of its changes are."""
    say, other = _Says(), _Says("b", 77)
    yield Open("b", 77)
    yield other(m.XFRM_MSG_NEWSA, ASK, sa(SPI), [GCM, (m.XFRMA_IF_ID, 7)])
    yield say(m.XFRM_MSG_NEWSA, ASK, sa(SPI), [GCM])
    yield say(m.XFRM_MSG_GETSA, GET, name(SPI))
    yield other(m.XFRM_MSG_NEWPOLICY, ASK, policy(XFRM_POLICY_OUT), [tmpl()])
    yield say(m.XFRM_MSG_UPDPOLICY, ASK, policy(XFRM_POLICY_OUT, priority=3), [tmpl(2)])
    yield say(m.XFRM_MSG_GETPOLICY, GET, UserPolicyId(sel(), 0, XFRM_POLICY_OUT))
    yield other(m.XFRM_MSG_UPDSA, ASK, sa(SPI, NO_LIMITS._replace(soft_byte_limit=9)), [GCM])
    yield say(m.XFRM_MSG_GETSA, GET, name(SPI))
    yield other(m.XFRM_MSG_DELPOLICY, ASK, UserPolicyId(sel(), 0, XFRM_POLICY_OUT))
    yield say(m.XFRM_MSG_GETPOLICY, GET, UserPolicyId(sel(), 0, XFRM_POLICY_OUT))
    yield other(m.XFRM_MSG_DELSA, ASK, name(SPI))
    yield say(m.XFRM_MSG_GETSA, GET, name(SPI))
    for spi in range(SPI, SPI + 3):
        yield say(m.XFRM_MSG_NEWSA, ASK, sa(spi), [GCM])
    yield say(m.XFRM_MSG_NEWPOLICY, ASK, policy(XFRM_POLICY_OUT), [tmpl()])
    yield other(m.XFRM_MSG_FLUSHSA, ASK, UserSaFlush(0))
    yield other(m.XFRM_MSG_FLUSHPOLICY, ASK)
    yield say(m.XFRM_MSG_GETSA, DUMP)
    yield say(m.XFRM_MSG_GETPOLICY, DUMP)


SCENES = {scene.__name__: scene for scene in (tables, times, traffic, asked, meddled)}


def scene(title: str, *, aevents: bool) -> Any:
    """The steps of a scene as JSON; ``aevents``: the listener has joined that group too."""
    groups = (*GROUPS, XFRMNLGRP_AEVENTS) if aevents else GROUPS
    opened = Open("a", PORT, groups, cap_ack=True, rcvbuf=1 << 22)
    return Script((opened, *SCENES[title]())).to_json()
