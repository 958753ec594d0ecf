"""Two gateways, a bad network, an attacker and an operator, all under one seed and one clock.

Each gateway is an engine with a data path. From each to the other runs one ESP tunnel. The operator moves it again and again, in every way there is: to other addresses, into
UDP and out of it, to the other family; with MIGRATE_STATE, with the old MIGRATE, by taking the SA down and putting it up elsewhere, behind a blocking policy, step by step with packets
in between. He rekeys it (a new SA at both ends while the old one remains, then that goes), of his own accord and when he hears EXPIRE: SAs have soft and hard limits of packets, bytes and
age. He sets sequence numbers (NEWAE). The network loses, repeats, delays and reorders. The attacker repeats old packets and alters new ones. Packets go one by one or in batches.

:class:`World` runs so many events and checks after each one:

* no (key, IV) pair was used twice;
* nothing that a policy protects was on the network in clear;
* nothing was accepted twice, and nothing that the other end did not send;
* the counters are those of the verdicts, and every packet has one verdict;
* of the SAs of a tunnel the newest is used that is not at its end; none carries more than its hard limits, each reports its limits once.

In a *gentle* world the network only delays, repeats and reorders, the operator goes about it in order (receivers first) and sets numbers forward only, limits are soft, packets may wait and old
places stay good for a while: then nothing may be lost at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from random import Random
from typing import Any

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_REPLACE
from pyxfrm.abi.xfrm import AF_INET, AF_INET6, XFRM_INF, XFRMNLGRP_AEVENTS
from pyxfrm.engine.datapath import Action, Hold, Verdict
from pyxfrm.engine.sa import Sa, State
from tests.engine.datapath.support import IN, OUT, Host, limits, packet4, policy_info, tmpl, udp
from tests.engine.helpers import ANY4, NOW, ZERO, sa_id, sa_info, v4, v6

__all__ = ["World"]

WINDOW_WORDS = 64  # 2048 packets: reordering never leaves it
DELAY = 0.05  # seconds that the network holds a packet at most
GENTLE_OLD = 1.0  # seconds that an old place stays good
MARKER = b"SECRET-"
INSIDE = (bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)))
BLOCK = ANY4._replace(proto=17)
Attrs = list[tuple[int, Any]]


class Tunnel:
    """One direction: who seals, who opens, and where the operator wants it to be. ``spi`` is that of its newest SA."""

    def __init__(self, sender: int, receiver: int, spi: int) -> None:
        self.sender = sender
        self.receiver = receiver
        self.reqid = spi
        self.spi = spi
        self.place = Place(v4(1 + sender), v4(1 + receiver), encap=False)
        self.moving = False
        self.wants_rekey = False

    def ours(self, sa: Sa) -> bool:
        return int.from_bytes(sa.spi, "big") >> 16 == self.reqid >> 16


def algorithm(spi: int) -> tuple[int, Any]:
    """Every SA has a key of its own."""
    name = b"rfc4106(gcm(aes))".ljust(64, b"\0")
    return m.XFRMA_ALG_AEAD, s.AlgoAead(name, 160, 128, spi.to_bytes(4, "big") * 4 + b"salt")


class Place:
    """Outer addresses and wrapping."""

    def __init__(self, saddr: bytes, daddr: bytes, *, encap: bool) -> None:
        self.saddr = saddr
        self.daddr = daddr
        self.encap = encap

    @property
    def family(self) -> int:
        return AF_INET6 if self.saddr[0] == 0x20 else AF_INET

    def attrs(self) -> Attrs:
        """XFRMA_ENCAP of a new SA."""
        return [(m.XFRMA_ENCAP, s.EncapTmpl(2, 4500, 4500, ZERO))] if self.encap else []


class World:
    """``run(events)`` plays; ``finish()`` lets everything arrive and gives what was never delivered."""

    def __init__(self, seed: int, *, gentle: bool) -> None:
        self.random = Random(seed)
        self.gentle = gentle
        self.now = NOW
        self.hosts = (Host(), Host())
        self.tunnels = (Tunnel(0, 1, 0x1_0000), Tunnel(1, 0, 0x2_0000))
        self.sent: list[set[bytes]] = [set(), set()]
        self.delivered: list[set[bytes]] = [set(), set()]
        self.counters = (Counter[str](), Counter[str]())
        self.pairs: set[tuple[bytes, bytes]] = set()
        self.carried: dict[tuple[int, bytes], int] = {}  # packets before the last move
        self.highest: dict[bytes, int] = {}  # IV by SPI
        self.heard: list[tuple[int, bytes]] = []
        self.expired: set[tuple[int, bytes, bool]] = set()  # (gateway, SPI, hard)
        self.events = self.moves = self.rekeys = self.renumbered = 0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0
        self._arriving: dict[tuple[int, float], list[bytes]] = {}
        for number in (0, 1):
            assert self._ask(number, m.XFRM_MSG_SETDEFAULT, s.UserPolicyDefault(1, 1, 1))
        for tunnel in self.tunnels:
            self._build(tunnel)
        self.batches = self.random.random() < 0.7
        if self.batches:
            for host in self.hosts:  # they are only used where nobody listens to these
                host.engine.leave(host.listener, XFRMNLGRP_AEVENTS)
        if gentle:
            for host in self.hosts:
                host.datapath.moves.accept_old = GENTLE_OLD

    def _build(self, tunnel: Tunnel) -> None:
        for number, direction in ((tunnel.sender, OUT), (tunnel.receiver, IN)):
            self._new_sa(number, tunnel, tunnel.place, (0, 0, bytes(4 * WINDOW_WORDS)))
            self._policy(number, tunnel, direction, tunnel.place)

    # -- the operator's words --------------------------------------------------------------------

    def _ask(
        self,
        number: int,
        kind: int,
        body: Any,
        attrs: Sequence[tuple[int, Any]] = (),
        flags: int = NLM_F_ACK,
    ) -> bool:
        host = self.hosts[number]
        host.now = self.now
        answer = host.send(kind, body, attrs, flags)[-1]
        return bool(answer.body.error == 0)

    def _new_sa(
        self, number: int, tunnel: Tunnel, place: Place, numbers: tuple[int, int, bytes]
    ) -> None:
        oseq, seq, bmp = numbers
        state = s.ReplayStateEsn(WINDOW_WORDS, oseq, seq, 0, 0, 32 * WINDOW_WORDS, bmp)
        info = sa_info(
            tunnel.spi, place.daddr, place.saddr, family=place.family, reqid=tunnel.reqid
        )
        info = info._replace(sel=ANY4, lft=self._limits())
        attrs = [algorithm(tunnel.spi), (m.XFRMA_REPLAY_ESN_VAL, state), *place.attrs()]
        assert self._ask(number, m.XFRM_MSG_NEWSA, info, attrs)

    def _limits(self) -> s.LifetimeCfg:
        """Of packets, bytes or age; hard ones only where packets may be lost."""
        random, soft = self.random, self.random.randrange(20, 200)
        hard = XFRM_INF if self.gentle else soft + random.randrange(50)
        kind = random.randrange(6)
        if kind == 0:
            return limits(soft_packet_limit=soft, hard_packet_limit=hard)
        if kind == 1:
            return limits(
                soft_byte_limit=soft * 40,
                hard_byte_limit=hard if self.gentle else hard * 40,
            )
        if kind == 2:
            age = random.randrange(1, 4)
            return limits()._replace(
                soft_add_expires_seconds=age, hard_add_expires_seconds=0 if self.gentle else age + 1
            )
        return limits()

    def _policy(self, number: int, tunnel: Tunnel, direction: int, place: Place) -> None:
        template = tmpl(place.saddr, place.daddr, reqid=tunnel.reqid, family=place.family)
        info = policy_info(direction, _selector(tunnel), priority=9)
        assert self._ask(number, m.XFRM_MSG_UPDPOLICY, info, [(m.XFRMA_TMPL, [template])])

    def _block(self, number: int, *, on: bool) -> None:
        if on:
            info = policy_info(OUT, BLOCK, action=1, priority=1)
            assert self._ask(number, m.XFRM_MSG_UPDPOLICY, info)
        else:
            assert self._ask(number, m.XFRM_MSG_DELPOLICY, s.UserPolicyId(BLOCK, 0, OUT))

    def _sa(self, number: int, tunnel: Tunnel) -> Sa | None:
        """The newest SA of a tunnel at one end; None if it is gone."""
        spi = tunnel.spi.to_bytes(4, "big")
        return next((sa for sa in self.hosts[number].engine.sadb if sa.spi == spi), None)

    # -- ways to move, each at one end -------------------------------------------------------------

    def _migrate_state(self, number: int, tunnel: Tunnel, place: Place) -> None:
        sa = self._sa(number, tunnel)
        if sa is None:
            return
        um = s.UserMigrateState(
            sa_id(tunnel.spi, sa.daddr, sa.family),
            place.daddr,
            place.saddr,
            s.MarkVM(0, 0),
            sa.sel,
            tunnel.reqid,
            0,
            place.family,
            0,
        )
        attrs = place.attrs() or [(m.XFRMA_ENCAP, s.EncapTmpl(0, 0, 0, ZERO))]
        self._starts_anew(number, sa)
        assert self._ask(number, m.XFRM_MSG_MIGRATE_STATE, um, attrs)

    def _migrate(self, number: int, tunnel: Tunnel, place: Place) -> None:
        sa = self._sa(number, tunnel)
        direction = OUT if number == tunnel.sender else IN
        if sa is None:
            self._policy(number, tunnel, direction, place)
            return
        entry = s.UserMigrate(
            sa.daddr,
            sa.saddr,
            place.daddr,
            place.saddr,
            50,
            1,
            0,
            tunnel.reqid,
            sa.family,
            place.family,
        )
        who = s.UserPolicyId(_selector(tunnel), 0, direction)
        attrs = [(m.XFRMA_MIGRATE, [entry]), *place.attrs()]
        self._starts_anew(number, sa)
        if not self._ask(number, m.XFRM_MSG_MIGRATE, who, attrs):  # it met a larval SA
            self._migrate_state(number, tunnel, place)
            self._policy(number, tunnel, direction, place)

    def _rebuild(self, number: int, tunnel: Tunnel, place: Place) -> None:
        """Take the SA down and put it up at its new place, with the numbers it had."""
        sa = self._sa(number, tunnel)
        if sa is None:
            return
        assert sa.esn is not None
        # NEWAE may have set the number back; the IVs that this key was used with begin at 1, as the numbers do
        oseq = max(sa.esn.oseq, self.highest.get(sa.spi, 0))
        numbers = oseq, sa.esn.seq, sa.esn.bmp
        assert self._ask(number, m.XFRM_MSG_DELSA, sa_id(tunnel.spi, sa.daddr, sa.family))
        self._starts_anew(number, sa)
        self._new_sa(number, tunnel, place, numbers)

    # -- moves -------------------------------------------------------------------------------------

    def move(self, tunnel: Tunnel) -> None:
        """Plan a move of one tunnel and let it happen in steps."""
        random = self.random
        six = random.random() < 0.3
        address = v6 if six else v4
        hosts = (tunnel.sender, tunnel.receiver)
        saddr, daddr = (address(10 * random.randrange(1, 9) + 1 + host) for host in hosts)
        place = Place(saddr, daddr, encap=random.random() < 0.4)
        steps = self._receiver_steps(tunnel, place)
        others = self._sender_steps(tunnel, place)
        steps = steps + others if self.gentle or random.random() < 0.7 else others + steps
        tunnel.moving = True
        self.moves += 1
        at = self.now
        for step in (*steps, lambda: self._arrived(tunnel, place)):
            self._at(at, step)
            at += random.random() * 0.02

    def _arrived(self, tunnel: Tunnel, place: Place) -> None:
        tunnel.place = place
        tunnel.moving = False

    def _receiver_steps(self, tunnel: Tunnel, place: Place) -> list[Callable[[], None]]:
        number = tunnel.receiver
        anywhere = Place(bytes(16), place.daddr, encap=place.encap)
        way = self.random.randrange(2 if self.gentle else 3)
        if way == 1:
            return [lambda: self._migrate(number, tunnel, place)]

        def both() -> None:
            (self._migrate_state if way == 0 else self._rebuild)(number, tunnel, place)
            if place.family == AF_INET:
                self._policy(number, tunnel, IN, anywhere)
            self._policy(number, tunnel, IN, place)

        return [both]

    def _sender_steps(self, tunnel: Tunnel, place: Place) -> list[Callable[[], None]]:
        number = tunnel.sender
        moves = self.hosts[number].datapath.moves
        change = self.random.choice((self._migrate_state, self._rebuild))
        sa = lambda: change(number, tunnel, place)  # noqa: E731
        policy = lambda: self._policy(number, tunnel, OUT, place)  # noqa: E731
        holds: list[Hold] = []
        way = self.random.randrange(4)
        if way == 0:
            steps = [lambda: self._migrate(number, tunnel, place)]
        elif way == 1:
            steps = [sa, policy]
        elif way == 2:
            steps = [policy, sa]
        else:
            steps = [
                lambda: self._block(number, on=True),
                sa,
                policy,
                lambda: self._block(number, on=False),
            ]
        if self.gentle:
            begin = lambda: holds.append(moves.wait(10.0, reqids=[tunnel.reqid]))  # noqa: E731
            return [begin, *steps, lambda: moves.done(holds.pop())]
        return steps

    # -- new keys, new numbers -----------------------------------------------------------------------

    def rekey(self, tunnel: Tunnel) -> None:
        """A new SA at both ends, then the old one goes; in a bad world in any order."""
        old, self.rekeys = tunnel.spi, self.rekeys + 1
        tunnel.spi += 1
        tunnel.moving, tunnel.wants_rekey = True, False
        fresh = (0, 0, bytes(4 * WINDOW_WORDS))
        steps = [
            *(
                lambda number=number: self._new_sa(number, tunnel, tunnel.place, fresh)
                for number in (tunnel.receiver, tunnel.sender)
            ),
            *(
                lambda number=number: self._delete(number, tunnel, old)
                for number in (tunnel.sender, tunnel.receiver)
            ),
        ]
        if not self.gentle and self.random.random() < 0.5:
            self.random.shuffle(steps)
        at = self.now
        for step in (*steps, lambda: self._arrived(tunnel, tunnel.place)):
            self._at(at, step)
            at += DELAY + self.random.random() * 0.02

    def _starts_anew(self, number: int, sa: Sa) -> None:
        """An SA that moves now is a new one to the kernel: it reports its limits again, with its next packet."""
        self._look()
        self.expired -= {(number, sa.spi, hard) for hard in (False, True)}
        self.carried[number, sa.spi] = sa.packets

    def _delete(self, number: int, tunnel: Tunnel, spi: int) -> None:
        """DELSA of an old SA, if it has not come to its end."""
        for sa in self.hosts[number].engine.sadb:
            if sa.spi == spi.to_bytes(4, "big"):
                assert self._ask(number, m.XFRM_MSG_DELSA, sa_id(spi, sa.daddr, sa.family))
                return

    def renumber(self, tunnel: Tunnel) -> None:
        """NEWAE: the sender's numbers jump, forward or (in a bad world) back; or the receiver's window is set to what it is."""
        random = self.random
        number = random.choice((tunnel.sender, tunnel.receiver))
        sa = self._sa(number, tunnel)
        if sa is None or sa.esn is None:
            return
        state, self.renumbered = sa.esn, self.renumbered + 1
        if number == tunnel.sender:
            least = 0 if self.gentle else -min(state.oseq, 300)
            state = state._replace(oseq=state.oseq + random.randint(least, 300))
        event = s.AeventId(sa_id(tunnel.spi, sa.daddr, sa.family), sa.saddr, 0, 0)
        attrs = [(m.XFRMA_REPLAY_ESN_VAL, state)]
        assert self._ask(number, m.XFRM_MSG_NEWAE, event, attrs, NLM_F_ACK | NLM_F_REPLACE)

    # -- packets -----------------------------------------------------------------------------------

    def send(self, tunnel: Tunnel) -> None:
        """One numbered packet into a tunnel."""
        number = tunnel.sender
        best = self._best(tunnel)
        (packet,) = self._packets(tunnel, 1)
        verdict = self.hosts[number].datapath.output(packet, self.now)
        if verdict.action is Action.PROTECTED and best is not None and not tunnel.moving:
            assert verdict.sas == (best,), "an older SA was used"
        self._went(number, verdict)

    def send_batch(self, tunnel: Tunnel) -> None:
        """Some at once."""
        packets = self._packets(tunnel, self.random.randrange(2, 12))
        self.events += len(packets) - 1
        for verdict in self.hosts[tunnel.sender].datapath.output_batch(packets, self.now):
            self._went(tunnel.sender, verdict)

    def _packets(self, tunnel: Tunnel, count: int) -> list[bytes]:
        ends = INSIDE[tunnel.sender], INSIDE[tunnel.receiver]
        packets = []
        for _ in range(count):
            self._serial += 1
            packets.append(packet4(*ends, udp(data=MARKER + b"%d" % self._serial)))
        self.sent[tunnel.sender].update(packets)
        return packets

    def _best(self, tunnel: Tunnel) -> Sa | None:
        """The SA that should be used: not dying before dying, younger before older, newer before earlier."""
        sas = [sa for sa in self.hosts[tunnel.sender].engine.sadb if tunnel.ours(sa)]
        usable = [sa for sa in sas if sa.state is State.VALID]
        return min(usable, key=lambda sa: (sa.dying, -sa.add_time, -sa.serial), default=None)

    def _went(self, number: int, verdict: Verdict) -> None:
        """A verdict on the way out."""
        self.counters[number].update(verdict.counters)
        assert verdict.action is not Action.CLEAR, "in clear"
        if verdict.action is Action.PROTECTED:
            datagram = verdict.packet
            assert MARKER not in datagram, "in clear"
            at = (20 if datagram[0] >> 4 == 4 else 40) + (8 if _is_udp(datagram) else 0)
            pair = datagram[at : at + 4], datagram[at + 8 : at + 16]
            assert pair not in self.pairs, "an IV was used twice"
            self.pairs.add(pair)
            iv = int.from_bytes(pair[1], "big")
            self.highest[pair[0]] = max(iv, self.highest.get(pair[0], 0))
            self._carry(1 - number, datagram)
        elif verdict.action is Action.DROPPED:
            assert verdict.counters, verdict.why

    def _carry(self, number: int, datagram: bytes) -> None:
        """The network: lose, delay, repeat."""
        random = self.random
        self.heard.append((number, datagram))
        if not self.gentle and random.random() < 0.05:
            return
        for _ in range(2 if random.random() < 0.05 else 1):
            due = self.now + random.random() * DELAY
            if self.batches:
                due = self.now + DELAY * (1 + int(random.random() * 4)) / 4
                self._arriving.setdefault((number, due), []).append(datagram)
                self._at(due, lambda due=due: self._arrive_all(number, due))  # type: ignore[misc]
            else:
                self._at(due, lambda: self._arrive(number, datagram))

    def _arrive_all(self, number: int, due: float) -> None:
        """What arrives at the same moment is taken in together."""
        datagrams = self._arriving.pop((number, due), [])
        for verdict in self.hosts[number].datapath.input_batch(datagrams, self.now):
            self._came(number, verdict)

    def _arrive(self, number: int, datagram: bytes) -> None:
        self._came(number, self.hosts[number].datapath.input(datagram, self.now))

    def _came(self, number: int, verdict: Verdict) -> None:
        """A verdict on the way in."""
        self.counters[number].update(verdict.counters)
        if verdict.action is Action.DELIVERED:
            packet = verdict.packet
            assert packet in self.sent[1 - number], "accepted, but the peer did not send it"
            assert packet not in self.delivered[number], "accepted twice"
            self.delivered[number].add(packet)
        elif verdict.action is Action.DROPPED:
            assert verdict.counters, verdict.why

    def attack(self) -> None:
        """Repeat an old packet, or alter one, or send it to another address."""
        if not self.heard:
            return
        random = self.random
        number, datagram = random.choice(self.heard[-500:])
        data = bytearray(datagram)
        if random.random() < 0.6:
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        elif random.random() < 0.2:
            del data[random.randrange(len(data)) :]
        self._arrive(number, bytes(data))

    # -- time --------------------------------------------------------------------------------------

    def _at(self, when: float, action: Callable[[], None]) -> None:
        self._serial += 1
        heappush(self._due, (when, self._serial, action))

    def _pass(self, until: float) -> None:
        """Everything that is due until then, in order."""
        while self._due and self._due[0][0] <= until:
            when, _, action = heappop(self._due)
            self.now = max(self.now, when)
            self.events += 1
            action()
            self._look()
        self.now = until
        for host in self.hosts:
            deadline = host.engine.next_deadline()
            if deadline is not None and deadline <= until:
                host.engine.expire(until)
        self._look()

    def _look(self) -> None:
        """What waited and has a verdict now; counters against verdicts."""
        for number, host in enumerate(self.hosts):
            for verdict in host.datapath.take():
                self._went(number, verdict)
            assert sum(host.datapath.stat.values()) == self.counters[number].total()
            for event in host.events():
                if event.header.nlmsg_type == m.XFRM_MSG_EXPIRE:
                    self._heard(number, event.body)
        for tunnel in self.tunnels:
            if tunnel.wants_rekey and not tunnel.moving:
                self.rekey(tunnel)

    def _heard(self, number: int, body: s.UserExpire) -> None:
        """EXPIRE: rekey, as soon as nothing else is done to the tunnel. In a bad world the operator may sleep until it is too late."""
        spi = body.state.id.spi
        what = (number, spi.to_bytes(4, "big"), bool(body.hard))
        awake = self.gentle or body.hard or self.random.random() < 0.5
        for tunnel in self.tunnels:
            if spi == tunnel.spi and awake:
                tunnel.wants_rekey = True
        if spi:
            assert what not in self.expired, "EXPIRE twice"
            self.expired.add(what)

    def _check_limits(self) -> None:
        """No SA has carried more than its hard limits, and soft limits that were passed have been reported."""
        for number, host in enumerate(self.hosts):
            for sa in host.engine.sadb:
                lft = sa.traits.lft
                assert sa.packets <= lft.hard_packet_limit
                assert sa.bytes < lft.hard_byte_limit + 100
                passed = sa.packets > lft.soft_packet_limit or sa.bytes > lft.soft_byte_limit + 100
                used = sa.packets > self.carried.get((number, sa.spi), 0)
                if passed and used and sa.state is State.VALID:
                    assert sa.dying
                    assert (number, sa.spi, False) in self.expired

    def run(self, events: int) -> None:
        """So many things happen."""
        random = self.random
        while self.events < events:
            self._pass(self.now + random.random() * 0.004)
            self.events += 1
            tunnel = random.choice(self.tunnels)
            chance = random.random()
            if chance < 0.04 and not tunnel.moving:
                random.choice((self.move, self.move, self.rekey, self.renumber))(tunnel)
            elif chance < 0.12:
                self.attack()
            elif chance < 0.2 and self.batches:
                self.send_batch(tunnel)
            else:
                self.send(tunnel)
            self._look()
            if self.events % 64 == 0:
                self._check_limits()

    def finish(self) -> set[bytes]:
        """Let everything arrive; the packets that were sent and never delivered."""
        self._pass(self.now + 1.0)
        for number, host in enumerate(self.hosts):
            moved = {name: count for name, count in host.datapath.stat.items() if count}
            assert moved == dict(self.counters[number])
            assert not host.datapath.moves.waiting
        return (self.sent[0] - self.delivered[1]) | (self.sent[1] - self.delivered[0])


def _selector(tunnel: Tunnel) -> s.Selector:
    daddr, saddr = (INSIDE[n] + bytes(12) for n in (tunnel.receiver, tunnel.sender))
    return ANY4._replace(daddr=daddr, saddr=saddr, prefixlen_d=32, prefixlen_s=32)


def _is_udp(datagram: bytes) -> bool:
    return datagram[9 if datagram[0] >> 4 == 4 else 6] == 17
