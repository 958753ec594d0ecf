"""The kernel at the other end: runs inside the lab, in a fresh network namespace for each call.

The kernel's only way out is a TUN device. Whatever it seals comes out of that device's file, and
whatever is written there has arrived. So no second namespace and no packet capture is needed:

    kernel: UDP socket, policies, SAs  <- tun0: IP packets ->  this process: pyxfrm.esp

Arguments and results are JSON; a result is a list of complaints, empty if all is well.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.xfrm import AF_INET, AF_INET6, XFRM_INF
from pyxfrm.esp import (
    AhSealer,
    Algorithm,
    Association,
    BitmapWindow,
    Drop,
    EspOpener,
    EspSealer,
    Inbound,
    LegacyWindow,
    Mode,
    Proto,
    Sequence,
    Window,
    make_opener,
    make_sealer,
    make_window,
    trim,
)
from pyxfrm.esp.ip import checksum, traffic_class, upper_layer
from pyxfrm.esp.udpencap import udp_checksum
from pyxfrm.lab import rtnetlink
from pyxfrm.wire import messages
from tests.esp.support import INSIDE, OUTSIDE, case_sa, ipv4, ipv6

_TUNSETIFF, _IFF_TUN_NO_PI = 0x400454CA, 0x1001
_UDP_ENCAP, _ESPINUDP = 100, 2
_IP, _IPV6, _PMTUDISC_DO = socket.IPPROTO_IP, socket.IPPROTO_IPV6, 2
_ZERO, _FULL = bytes(16), 0xFFFFFFFF
_LIMITS = s.LifetimeCfg(XFRM_INF, XFRM_INF, XFRM_INF, XFRM_INF, 0, 0, 0, 0)
_COUNTERS = s.LifetimeCur(0, 0, 0, 0)
_IN, _OUT = 0, 1
_PORTS = 1000, 2000  # the kernel's, ours


def _family(address: bytes) -> int:
    return AF_INET if len(address) == 4 else AF_INET6


def _padded(address: bytes) -> bytes:
    return address.ljust(16, b"\0")


def _text(address: bytes) -> str:
    return socket.inet_ntop(_family(address), address)


def turned(sa: Association) -> Association:
    """The SA of the other direction, with keys and an SPI of its own."""

    def other(algorithm: Algorithm | None) -> Algorithm | None:
        if algorithm is None:
            return None
        return replace(algorithm, key=bytes(byte ^ 0x5A for byte in algorithm.key))

    encap = sa.encap and sa.encap._replace(sport=sa.encap.dport, dport=sa.encap.sport)
    return replace(
        *(sa,),
        spi=sa.spi + 1,
        saddr=sa.daddr,
        daddr=sa.saddr,
        encap=encap,
        inner=sa.inner and (sa.inner[1], sa.inner[0]),
        aead=other(sa.aead),
        crypt=other(sa.crypt),
        auth=other(sa.auth),
    )


class Xfrm:
    """The kernel's XFRM, by netlink."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 6)
        self._socket.bind((0, 0))

    def ask(self, number: int, body: Any, attrs: Any = ()) -> messages.Message | None:
        """The answer; None for a plain ACK. Raises OSError with the kernel's errno."""
        flags = 1 if number == m.XFRM_MSG_GETSA else 5
        self._socket.send(messages.build(number, flags, body, attrs, seq=1).encode())
        answer = messages.decode(self._socket.recv(65536))
        if answer.header.nlmsg_type != 2:
            return answer
        if answer.body.error:
            code = -answer.body.error
            raise OSError(code, f"{messages.message_name(number)}: {os.strerror(code)}")
        return None

    def add_sa(self, sa: Association, sel: s.Selector, window: Window | None = None) -> None:
        """NEWSA. ``window``: how the replay state starts; default: a legacy window of 32."""
        if sa.mode is not Mode.BEET:
            sel = sel._replace(prefixlen_s=0, prefixlen_d=0)
        legacy = window.window if isinstance(window, LegacyWindow) else 0
        info = s.UserSaInfo(
            sel,
            s.Id(_padded(sa.daddr), sa.spi, sa.proto),
            _padded(sa.saddr),
            _LIMITS,
            _COUNTERS,
            s.Stats(0, 0, 0),
            *(0, 1, _family(sa.daddr), sa.mode, legacy, sa.flags),
        )
        self.ask(m.XFRM_MSG_NEWSA, info, list(_attributes(sa, window)))

    def add_policy(self, sa: Association, direction: int, sel: s.Selector) -> None:
        """NEWPOLICY with one template, that of the SA."""
        through = sa.mode is not Mode.TRANSPORT
        template = s.UserTmpl(
            s.Id(_padded(sa.daddr) if through else _ZERO, 0, sa.proto),
            _family(sa.daddr),
            _padded(sa.saddr) if through else _ZERO,
            *(1, sa.mode, 0, sa.proto == Proto.COMP and direction == _IN, _FULL, _FULL, _FULL),
        )
        info = s.UserPolicyInfo(sel, _LIMITS, _COUNTERS, 0, 0, direction, 0, 0, 0)
        self.ask(m.XFRM_MSG_NEWPOLICY, info, [(m.XFRMA_TMPL, [template])])

    def state(self, sa: Association) -> dict[str, Any]:
        """Replay state and statistics of an SA, as GETSA tells them."""
        name = s.UserSaId(_padded(sa.daddr), sa.spi, _family(sa.daddr), sa.proto)
        answer = self.ask(m.XFRM_MSG_GETSA, name)
        assert answer is not None
        stats = answer.body.stats
        state = {
            "outside": stats.replay_window,
            "seen": stats.replay,
            "forged": stats.integrity_failed,
        }
        esn = answer.get(m.XFRMA_REPLAY_ESN_VAL)
        if esn is not None:
            bmp = list(struct.unpack(f"={esn.bmp_len}I", esn.bmp))
            return {**state, "seq": esn.seq, "seq_hi": esn.seq_hi, "bmp": bmp}
        legacy = answer.get(m.XFRMA_REPLAY_VAL) or s.ReplayState(0, 0, 0)
        return {**state, "seq": legacy.seq, "bitmap": legacy.bitmap}


def _wait_for_addresses() -> None:
    """IPv6 addresses take a moment until packets to them are let in."""
    routes = Path("/proc/thread-self/net/ipv6_route")
    wanted = {f"{side[6][0].hex()} 80" for side in (OUTSIDE, INSIDE)}
    for _ in range(1000):
        if wanted <= {line[:35] for line in routes.read_text(encoding="ascii").split("\n")}:
            return
        time.sleep(0.001)


def _algorithm(kind: type[Any], algorithm: Algorithm, *bits: int) -> Any:
    name = algorithm.name.encode().ljust(64, b"\0")
    return kind(name, len(algorithm.key) * 8, *bits, algorithm.key)


def _attributes(sa: Association, window: Window | None) -> Any:
    if sa.aead:
        yield m.XFRMA_ALG_AEAD, _algorithm(s.AlgoAead, sa.aead, sa.aead.icv_bits)
    if sa.crypt:
        yield m.XFRMA_ALG_CRYPT, _algorithm(s.Algo, sa.crypt)
    if sa.comp:
        yield m.XFRMA_ALG_COMP, _algorithm(s.Algo, sa.comp)
    if sa.auth and sa.auth.icv_bits:
        yield m.XFRMA_ALG_AUTH_TRUNC, _algorithm(s.AlgoAuth, sa.auth, sa.auth.icv_bits)
    elif sa.auth:
        yield m.XFRMA_ALG_AUTH, _algorithm(s.Algo, sa.auth)
    if sa.encap:
        yield m.XFRMA_ENCAP, s.EncapTmpl(_ESPINUDP, sa.encap.sport, sa.encap.dport, _ZERO)
    if sa.extra_flags:
        yield m.XFRMA_SA_EXTRA_FLAGS, sa.extra_flags
    if sa.tfcpad:
        yield m.XFRMA_TFCPAD, sa.tfcpad
    if isinstance(window, BitmapWindow):
        state = (len(window.bmp), 0, window.seq, 0, window.seq_hi, window.window)
        words = struct.pack(f"={len(window.bmp)}I", *window.bmp)
        yield m.XFRMA_REPLAY_ESN_VAL, s.ReplayStateEsn(*state, words)


class Lane:
    """One SA pair between this process and the kernel. ``out``: the kernel seals, we open."""

    def __init__(self, sa: Association, inner: int, window: Window | None = None) -> None:
        self.out, self.back = sa, turned(sa)
        self.here, self.there = (OUTSIDE if sa.mode is Mode.TRANSPORT else INSIDE)[inner]
        self.tun = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(self.tun, _TUNSETIFF, struct.pack("16sH22x", b"tun0", _IFF_TUN_NO_PI))
        rtnetlink.set_link("lo")
        rtnetlink.set_link("tun0", mtu=sa.mtu)
        for address, bits in ((OUTSIDE[4], 24), (INSIDE[4], 16), (OUTSIDE[6], 64), (INSIDE[6], 64)):
            rtnetlink.add_address("tun0", f"{_text(address[0])}/{bits}")
        _wait_for_addresses()
        self.xfrm = Xfrm()
        one, other = self._selector(self.here, self.there), self._selector(self.there, self.here)
        start = window or (make_window(32, esn=True) if sa.esn else make_window(32))
        self.xfrm.add_sa(self.out, one, start if sa.proto != Proto.COMP else None)
        self.xfrm.add_sa(self.back, other, start if sa.proto != Proto.COMP else None)
        # Ports, so that in transport mode the encapsulating UDP packets are left alone.
        port, mask = _PORTS[0], 0xFFFF
        one = one._replace(proto=Proto.UDP, sport=port, sport_mask=mask)
        other = other._replace(proto=Proto.UDP, dport=port, dport_mask=mask)
        self.xfrm.add_policy(self.out, _OUT, one)
        self.xfrm.add_policy(self.back, _IN, other)
        self.socket = socket.socket(_family(self.here), socket.SOCK_DGRAM)
        self.socket.bind((_text(self.here), _PORTS[0]))
        # Path MTU discovery as TCP does it: DF, and then no identification (ip_select_ident).
        level, option = (_IP, 10) if len(self.here) == 4 else (_IPV6, 23)
        self.socket.setsockopt(level, option, _PMTUDISC_DO)
        self.encap = self._encap_socket() if sa.encap else None

    def close(self) -> None:
        """A TUN device goes with its file."""
        os.close(self.tun)
        for sock in (self.socket, self.encap):
            if sock:
                sock.close()

    def _encap_socket(self) -> socket.socket:
        assert self.out.encap
        sock = socket.socket(_family(self.out.saddr), socket.SOCK_DGRAM)
        sock.bind((_text(self.out.saddr), self.out.encap.sport))
        sock.setsockopt(socket.IPPROTO_UDP, _UDP_ENCAP, _ESPINUDP)
        return sock

    @staticmethod
    def _selector(saddr: bytes, daddr: bytes) -> s.Selector:
        bits = len(daddr) * 8
        ports = (0, 0, 0, 0)
        return s.Selector(
            *(_padded(daddr), _padded(saddr), *ports, _family(daddr), bits, bits, 0, 0, 0)
        )

    def sealed(self, payload: bytes) -> bytes:
        """Send from the kernel's socket; what it makes of that."""
        self.socket.sendto(payload, (_text(self.there), _PORTS[1]))
        return self.emitted()

    def emitted(self) -> bytes:
        """The next packet of the kernel that is for us."""
        while select.select([self.tun], [], [], 2)[0]:
            packet = os.read(self.tun, 65536)
            destination = packet[16:20] if packet[0] >> 4 == 4 else packet[24:40]
            if destination == self.out.daddr:
                return packet
        raise TimeoutError("the kernel sends nothing")

    def deliver(self, packet: bytes) -> None:
        """Let a packet arrive at the kernel."""
        os.write(self.tun, packet)

    def received(self, timeout: float = 2) -> bytes:
        """What the kernel's socket got."""
        self.socket.settimeout(timeout)
        payload, source = self.socket.recvfrom(65536)
        assert source[:2] == (_text(self.there), _PORTS[1]), source
        return payload

    def datagram(self, payload: bytes, **fields: Any) -> bytes:
        """A packet from us to the kernel's socket."""
        udp = struct.pack(">HHHH", _PORTS[1], _PORTS[0], len(payload) + 8, 0) + payload
        pseudo = (self.there, self.here)
        if len(self.here) == 4:
            return ipv4(udp, addresses=pseudo, **fields)
        check = udp_checksum(*pseudo, udp).to_bytes(2, "big")
        return ipv6(udp[:6] + check + udp[8:], addresses=pseudo, **fields)

    def counters(self) -> dict[str, int]:
        """/proc/net/xfrm_stat, what is not 0."""
        lines = Path("/proc/thread-self/net/xfrm_stat").read_text(encoding="ascii").split("\n")
        pairs = (line.split() for line in lines if line)
        return {name: int(count) for name, count in pairs if int(count)}


def _lane(case: dict[str, Any], window: Window | None = None) -> Lane:
    return Lane(case_sa(case), case["inner"], window)


def both_ways(case: dict[str, Any]) -> list[str]:
    """Some packets each way; what the kernel makes is, but for IVs, what we would make."""
    lane, complaints = _lane(case), list[str]()
    size = 0
    try:
        opener, sealer = make_opener(lane.out), make_sealer(lane.back)
        for size in case.get("sizes", (1, 2, 43, 500)):
            payload = bytes(number * 7 & 0xFF if number % 3 else 0 for number in range(size))
            if not case.get("one_way"):
                packet = lane.sealed(payload)
                opened = _open(lane.out, opener, packet)
                complaints += _compare(lane, packet, opened, payload)
            ours = sealer.seal(lane.datagram(payload))
            lane.deliver(ours)
            if not _lost_on_linux(lane.back, ours) and lane.received() != payload:
                complaints.append(f"{size}: the kernel got another payload")
        complaints += [f"{name} {count}" for name, count in lane.counters().items()]
    except (OSError, Drop, AssertionError) as problem:
        complaints.append(f"{size}: {type(problem).__name__}: {problem}; {lane.counters()}")
    finally:
        lane.close()
    return complaints


def _open(sa: Association, opener: Inbound, packet: bytes) -> bytes:
    """Where IPComp did not pay there is a plain tunnel, or the packet as it was."""
    proto = upper_layer(packet).proto
    if sa.proto != Proto.COMP or proto == Proto.COMP:
        return opener.open(packet)
    return (
        packet if sa.mode is Mode.TRANSPORT else make_opener(replace(sa, proto=proto)).open(packet)
    )


def _lost_on_linux(sa: Association, packet: bytes) -> bool:
    """UDP over IPv6 that is too short for __xfrm6_udp_encap_rcv: see pyxfrm.esp.udpencap."""
    return sa.encap is not None and sa.family == 6 and len(packet) < 40 + 48


def _compare(lane: Lane, packet: bytes, opened: bytes, payload: bytes) -> list[str]:
    """Is the opened packet what was sent, and the sealed one what we would have made of it?"""
    complaints = []
    inner = trim(opened)
    udp = inner[upper_layer(inner).at :]
    if udp[8:] != payload or (inner[0] >> 4 == 4 and checksum(inner[: (inner[0] & 15) * 4])):
        complaints.append(f"opened: {opened.hex()}")
    same = {Proto.ESP: _same_esp, Proto.AH: _same_ah}.get(Proto(lane.out.proto))
    if same and not same(lane.out, packet, inner):
        complaints.append(f"sealed otherwise: {packet.hex()}")
    return complaints


def _ident(packet: bytes) -> Callable[[], int]:
    return lambda: int.from_bytes(packet[4:6], "big")


def _same_esp(sa: Association, packet: bytes, inner: bytes) -> bool:
    """All but the IV, and what depends on it: headers, number, length, plaintext with trailer."""
    ours, opener = EspSealer(sa, idents=_ident(packet)), EspOpener(sa)
    parts = ours.framing.wrap(inner, ours.idents)
    plain = parts.payload + ours.tail(parts)
    head = ours.head(parts, len(plain))
    at = len(head) - 4
    if sa.encap and sa.family == 6:
        udp = at - 8
        zeroed = packet[udp : udp + 6] + b"\0\0" + packet[udp + 8 :]
        check = udp_checksum(sa.saddr, sa.daddr, zeroed).to_bytes(2, "big")
        head = head[: udp + 6] + check + head[udp + 8 :]
    number = int.from_bytes(packet[at + 4 : at + 8], "big")
    kernels = opener._decrypt(packet, at, number)
    if parts.next_header == Proto.BEETPH:  # its reserved byte is left as the kernel found it
        kernels = kernels[:3] + b"\0" + kernels[4:]
    return packet[: len(head)] == head and kernels == plain


def _same_ah(sa: Association, packet: bytes, inner: bytes) -> bool:
    """Every byte, but for the padding behind the ICV, which Linux does not clear."""
    at = upper_layer(packet).at
    number = int.from_bytes(packet[at + 8 : at + 12], "big")
    sealer = AhSealer(sa, sequence=Sequence(number - 1, esn=sa.esn), idents=_ident(packet))
    ours = sealer.seal(inner)
    start, end = at + 12 + sealer.mac.size, at + (packet[at + 1] + 2) * 4
    if any(packet[start:end]):
        return packet[:at] == ours[:at] and packet[end:] == ours[end:]
    return packet == ours


def fields(case: dict[str, Any]) -> list[str]:
    """Header fields and options that the kernel's socket sets, and marks that a router sets."""
    lane, complaints = _lane(case), list[str]()
    try:
        opener = make_opener(lane.out)
        for number, options in enumerate(case["options"]):
            for level, name, value in options:
                lane.socket.setsockopt(level, name, bytes.fromhex(value))
            payload = f"packet {number} ".encode() * 9
            packet = lane.sealed(payload)
            found = _compare(lane, packet, opener.open(packet), payload)
            complaints += [f"{options}: {complaint}" for complaint in found]
        complaints += _marked(lane, case.get("marks", []))
        complaints += [f"{name} {count}" for name, count in lane.counters().items()]
    except (OSError, Drop, AssertionError) as problem:
        complaints.append(f"{type(problem).__name__}: {problem}; {lane.counters()}")
    finally:
        lane.close()
    return complaints


def _marked(lane: Lane, marks: list[list[int]]) -> list[str]:
    """(inner DS field, outer DS field as it arrives): what reaches the kernel's socket, and us."""
    level, option = (_IP, 13) if len(lane.here) == 4 else (_IPV6, 66)  # IP_RECVTOS, IPV6_RECVTCLASS
    lane.socket.setsockopt(level, option, 1)
    sealer, opener, complaints = make_sealer(lane.back), make_opener(lane.back), []
    for inner, outer in marks:
        packet = bytearray(sealer.seal(lane.datagram(b"marked", tos=inner)))
        if lane.back.family == 4:
            packet[1] = outer
            packet[10:12] = b"\0\0"
            packet[10:12] = checksum(bytes(packet[:20])).to_bytes(2, "big")
        else:
            packet[:2] = bytes((0x60 | outer >> 4, (outer & 15) << 4 | packet[1] & 15))
        lane.deliver(bytes(packet))
        _, ancillary, _, _ = lane.socket.recvmsg(100, 100)
        (kernels,) = {int.from_bytes(data[:1], "little") for _, _, data in ancillary}
        ours = traffic_class(opener.open(bytes(packet)))
        if kernels != ours:
            complaints.append(f"inner {inner:#x} outer {outer:#x}: {kernels:#x}, here {ours:#x}")
    return complaints


def _authentic(sealer: EspSealer, plain: bytes) -> bytes:
    """A packet whose ICV is right, whatever is inside."""
    aad, nonce, shown = sealer.take()
    body = shown + sealer.transform.encrypt(nonce, plain, aad)
    header = ipv4 if sealer.association.family == 4 else ipv6
    addresses = sealer.association.saddr, sealer.association.daddr
    return header(aad[:4] + body, Proto.ESP, addresses=addresses)


def _malformed(lane: Lane) -> list[tuple[str, bytes]]:
    """Packets that something is wrong with, in the order in which they are to arrive."""
    good = EspSealer(lane.back, sequence=Sequence(99, esn=lane.back.esn))
    made = EspSealer(lane.back, sequence=Sequence(200, esn=lane.back.esn))
    first = good.seal(lane.datagram(b"good"))
    at = 20 if lane.back.family == 4 else 40
    inside = lane.datagram(b"inside")

    def again(payload: bytes) -> bytes:
        header = ipv4 if at == 20 else ipv6
        return header(payload, Proto.ESP, addresses=(lane.back.saddr, lane.back.daddr))

    esp = first[at:]
    block = made.transform.block
    return [
        ("good", first),
        ("replayed", first),
        ("left of the window", EspSealer(lane.back, sequence=Sequence(9, esn=lane.back.esn)).seal(inside)),
        ("number 0", again(esp[:4] + bytes(4) + esp[8:])),
        ("ICV wrong", again(esp[:7] + b"\xf0" + esp[8:-1] + bytes((esp[-1] ^ 1,)))),
        ("cut by one byte", again(esp[:7] + b"\xf1" + esp[8:-1])),
        ("no IV", again(esp[:7] + b"\xf2")),
        ("IV and nothing", again(esp[:7] + b"\xf3" + bytes(made.transform.iv_size))),
        ("half an ICV", again(esp[:7] + b"\xf4" + bytes(made.transform.iv_size + 5))),
        ("header cut short", again(esp[:7])),
        ("another SPI", again(b"\0\0\1\1" + esp[4:])),
        ("only a trailer", _authentic(made, bytes(range(1, block - 1)) + bytes((block - 2, 4)))),
        ("padding longer than all", _authentic(made, bytes(2 * block - 2) + bytes((255, 4)))),
        ("dummy", _authentic(made, bytes(2 * block - 2) + bytes((0, 59)))),
        ("UDP in a tunnel", _authentic(made, inside.ljust(96 - 2, b"\0") + bytes((0, 17)))),
        ("19 bytes of IPv4", _authentic(made, bytes(32 - 15) + bytes(12) + bytes((10, 0, 4)))),
        ("39 bytes of IPv6", _authentic(made, bytes(48 - 11) + bytes(8) + bytes((6, 0, 41)))),
        ("good again", good.seal(lane.datagram(b"good again"))),
    ]  # fmt: skip


def refusals(case: dict[str, Any]) -> list[str]:
    """The counter that Linux moves for each malformed packet is the one we name."""
    lane, complaints = _lane(case), list[str]()
    try:
        opener = make_opener(lane.back)
        for name, packet in _malformed(lane):
            before = lane.counters()
            lane.deliver(packet)
            after = lane.counters()
            moved = [counter for counter in after if after[counter] != before.get(counter, 0)]
            try:
                opener.open(packet)
                ours = list[str]()
            except Drop as drop:
                ours = [drop.counter]
            if moved != ours:
                complaints.append(f"{name}: Linux {moved}, here {ours}")
        complaints += _same_state(lane, opener)
    except (OSError, AssertionError) as problem:
        complaints.append(f"{type(problem).__name__}: {problem}; {lane.counters()}")
    finally:
        lane.close()
    return complaints


def _same_state(lane: Lane, opener: Inbound) -> list[str]:
    kernels, window = lane.xfrm.state(lane.back), opener.replay
    ours = {name: getattr(window, name) for name in kernels}
    return [] if kernels == ours else [f"state of Linux {kernels}, here {ours}"]


def replay(case: dict[str, Any]) -> list[str]:
    """Numbers in any order: which are accepted, and the window bit for bit."""
    esn = case.get("flags", 0) != 0

    def start() -> Window:
        window = make_window(case["window"], esn=esn, bmp_len=case["bmp_len"])
        top = case.get("top", 0)
        window.seq, window.seq_hi = top & _FULL, top >> 32
        return window

    lane, complaints = _lane(case, start()), list[str]()
    lane.socket.settimeout(0.2)
    try:
        opener = make_opener(lane.back, window=start())
        for number in case["numbers"]:
            sealer = make_sealer(lane.back, sequence=Sequence(number - 1, esn=esn))
            packet = sealer.seal(lane.datagram(b"%d" % number))
            before = lane.counters()
            lane.deliver(packet)
            refused = lane.counters() != before
            try:
                opener.open(packet)
                ours = False
            except Drop:
                ours = True
            if refused != ours:
                complaints.append(f"{number}: refused by Linux {refused}, here {ours}")
        complaints += _same_state(lane, opener)
    except (OSError, AssertionError) as problem:
        complaints.append(f"{type(problem).__name__}: {problem}; {lane.counters()}")
    finally:
        lane.close()
    return complaints


def capture(case: dict[str, Any]) -> dict[str, str]:
    """One packet that the kernel has sealed, and what our opener finds in it."""
    lane = _lane(case)
    try:
        packet = lane.sealed(b"what the kernel says")
        return {"sealed": packet.hex(), "opened": make_opener(lane.out).open(packet).hex()}
    finally:
        lane.close()
