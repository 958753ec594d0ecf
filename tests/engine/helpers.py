"""A port that is easy to talk to, and requests that are easy to make."""

from __future__ import annotations

from collections.abc import Iterable
from errno import ENODEV
from typing import Any

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR
from pyxfrm.abi.profiles import LINUX_7_2, Profile
from pyxfrm.abi.xfrm import AF_INET, AF_INET6, XFRM_INF
from pyxfrm.engine import Engine, Port
from pyxfrm.engine.devices import Device
from pyxfrm.wire import messages
from pyxfrm.wire.attrs import Attr
from pyxfrm.wire.messages import Message
from pyxfrm.wire.netlink import ErrorBody

NOW = 1_700_000_000.5
ALL_GROUPS = range(1, 9)
ZERO = bytes(16)
NO_LIMITS = s.LifetimeCfg(*(XFRM_INF,) * 4, 0, 0, 0, 0)
NO_COUNTERS = s.LifetimeCur(0, 0, 0, 0)
ANY4 = s.Selector(ZERO, ZERO, 0, 0, 0, 0, AF_INET, 0, 0, 0, 0, 0)
GCM = s.AlgoAead(b"rfc4106(gcm(aes))".ljust(64, b"\0"), 160, 128, bytes(range(20)))

Attrs = Iterable[tuple[int, Any] | Attr]


def v4(last: int, net: int = 2) -> bytes:
    """192.0.<net>.<last>"""
    return bytes((192, 0, net, last)) + bytes(12)


def v6(last: int) -> bytes:
    """2001:db8::<last>"""
    return bytes.fromhex("20010db8") + bytes(11) + bytes((last,))


class Talk:
    """One engine with a requester and a listener that has joined every group."""

    def __init__(self, profile: Profile = LINUX_7_2, *, cap_ack: bool = True) -> None:
        self.engine = Engine(profile)
        self.port = self.engine.port(1000, ext_ack=True, cap_ack=cap_ack)
        self.listener: Port = self.engine.port(2000, ALL_GROUPS)
        self.seq = 0
        self.now = NOW

    def send(
        self, kind: int, body: Any = None, attrs: Attrs = (), flags: int = NLM_F_ACK
    ) -> list[Message]:
        """Send one request; everything the requester reads."""
        self.seq += 1
        made = messages.build(kind, flags | NLM_F_REQUEST, body, attrs, seq=self.seq)
        return self.raw(made.encode())

    def raw(self, data: bytes) -> list[Message]:
        """Send bytes; everything the requester reads."""
        read = self.engine.handle(data, self.port, self.now)
        return [one for datagram in read for one in messages.decode_all(datagram)]

    def answer(self, kind: int, body: Any = None, attrs: Attrs = ()) -> ErrorBody:
        """Send one request whose answer is an ACK or an error."""
        read = self.send(kind, body, attrs)
        assert read[-1].header.nlmsg_type == NLMSG_ERROR, read
        answer: ErrorBody = read[-1].body
        return answer

    def ok(self, kind: int, body: Any = None, attrs: Attrs = ()) -> list[Message]:
        """Send one request that must succeed; what came before the ACK."""
        read = self.send(kind, body, attrs)
        assert read[-1].header.nlmsg_type == NLMSG_ERROR, read
        assert read[-1].body.error == 0, (read[-1].body.error, read[-1].body.text)
        return read[:-1]

    def refused(self, kind: int, body: Any = None, attrs: Attrs = ()) -> tuple[int, str]:
        """(errno, text) of a request that must fail."""
        answer = self.answer(kind, body, attrs)
        assert answer.error < 0
        return -answer.error, answer.text

    def events(self) -> list[Message]:
        """What the listener has heard since the last call."""
        heard = []
        while (datagram := self.engine.receive(self.listener)) is not None:
            heard += list(messages.decode_all(datagram))
        return heard


def sa_info(
    spi: int = 0x100,
    daddr: bytes = v4(1),
    saddr: bytes = v4(2),
    *,
    family: int = AF_INET,
    proto: int = 50,
    mode: int = 1,
    reqid: int = 0,
    **more: Any,
) -> s.UserSaInfo:
    """A tunnel SA, ready for NEWSA."""
    sel = ANY4 if family == AF_INET else ANY4._replace(family=AF_INET6)
    info = s.UserSaInfo(
        sel,
        s.Id(daddr, spi, proto),
        saddr,
        NO_LIMITS,
        NO_COUNTERS,
        s.Stats(0, 0, 0),
        0,
        reqid,
        family,
        mode,
        0,
        0,
    )
    return info._replace(**more)


def sa_id(
    spi: int = 0x100, daddr: bytes = v4(1), family: int = AF_INET, proto: int = 50
) -> s.UserSaId:
    """Names what :func:`sa_info` makes."""
    return s.UserSaId(daddr, spi, family, proto)


def add_sa(talk: Talk, info: s.UserSaInfo | None = None, attrs: Attrs = ()) -> None:
    """NEWSA with AES-GCM."""
    talk.ok(m.XFRM_MSG_NEWSA, info or sa_info(), [(m.XFRMA_ALG_AEAD, GCM), *attrs])


def get_sa(talk: Talk, who: s.UserSaId | None = None, attrs: Attrs = ()) -> Message:
    """GETSA of one SA that must exist."""
    read = talk.send(m.XFRM_MSG_GETSA, who or sa_id(), attrs, flags=0)
    assert read[0].header.nlmsg_type == m.XFRM_MSG_NEWSA, read[0].body
    return read[0]


def policy(direction: int = 1, sel: s.Selector = ANY4, **more: Any) -> s.UserPolicyInfo:
    """A policy; dir 0 in, 1 out, 2 fwd."""
    return s.UserPolicyInfo(sel, NO_LIMITS, NO_COUNTERS, 0, 0, direction, 0, 0, 0)._replace(**more)


def net(last: int) -> s.Selector:
    """192.0.<last>.0/24 from anywhere."""
    return ANY4._replace(daddr=v4(0, last), prefixlen_d=24)


def template(**more: Any) -> s.UserTmpl:
    """An ESP tunnel template."""
    made = s.UserTmpl(s.Id(v4(1), 0, 50), 2, v4(2), 0, 1, 0, 0, 1, 1, 1)
    return made._replace(**more)


def offload(ifindex: int, flags: int = 4) -> tuple[int, Any]:
    """XFRMA_OFFLOAD_DEV; 4 asks for packet offload."""
    return m.XFRMA_OFFLOAD_DEV, s.UserOffload(ifindex, flags)


def with_devices(profile: Profile = LINUX_7_2) -> Talk:
    """2: crypto only, 3: packets too, 4: packets, but its driver refuses."""
    talk = Talk(profile)
    talk.engine.devices.add(Device(2, "crypto", crypto=True))
    talk.engine.devices.add(Device(3, "packet", crypto=True, packet=True))
    talk.engine.devices.add(Device(4, "moody", crypto=True, packet=True, refuses=ENODEV))
    return talk
