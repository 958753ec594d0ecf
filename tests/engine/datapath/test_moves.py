"""Packets that wait for a move, and an SA's old place: what Linux has not, off until asked for."""

from __future__ import annotations

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.xfrm import AF_INET6
from pyxfrm.engine.datapath import Action
from tests.engine.datapath.support import IN, OUT, Host, packet4, pair, tmpl, udp
from tests.engine.helpers import ANY4, ZERO, sa_id, v4, v6


def numbered(i: int) -> bytes:
    return packet4(payload=udp(1000, 2000, b"%d" % i))


def left(host: Host) -> list[bytes]:
    return [verdict.packet for verdict in host.datapath.take() if verdict.packet]


def test_off_by_default() -> None:
    one, two = pair()
    first = one.out(packet4()).packet
    one.move(next(iter(one.engine.sadb)), v4(1), v4(9))
    two.move(next(iter(two.engine.sadb)), v4(1), v4(9))
    assert one.out(packet4()).counters == ("XfrmOutNoStates",)
    assert two.into(first).counters == ("XfrmInNoStates",)


def test_packets_wait_for_the_move_and_leave_in_order() -> None:
    one, two = pair()
    one.datapath.moves.wait(5.0)
    two.into(one.out(numbered(0)).packet)
    one.policy(OUT, tmpl(), priority=9)
    one.policy(OUT, action=1, priority=0, sel=ANY4._replace(proto=17))
    assert [one.out(numbered(i)).action for i in (1, 2)] == [Action.QUEUED] * 2
    moved = one.move(next(iter(one.engine.sadb)), v4(1), v4(9))
    one.policy(OUT, tmpl(v4(1), v4(9)), priority=9)
    assert one.out(numbered(3)).action is Action.QUEUED
    assert left(one) == []
    policies = [policy for policy in one.engine.spd if policy.action]
    one.ok(m.XFRM_MSG_DELPOLICY, s.UserPolicyId(policies[0].sel, 0, OUT))
    sent = left(one)
    two.move(next(iter(two.engine.sadb)), v4(1), v4(9))
    assert [two.into(packet).packet for packet in sent] == [numbered(i) for i in (1, 2, 3)]
    assert (moved.replay.oseq, one.counted(), two.counted()) == (4, {}, {})


def test_waiting_ends_by_time_and_counts() -> None:
    one, _ = pair()
    one.datapath.moves.wait(2.0)
    one.ok(m.XFRM_MSG_DELSA, sa_id(0x100, v4(2)))
    assert one.out(packet4()).action is Action.QUEUED
    one.wait(1.0)
    assert one.datapath.take() == []
    assert one.engine.next_deadline() is not None
    one.wait(1.0)
    assert [verdict.counters for verdict in one.datapath.take()] == [("XfrmOutNoStates",)]
    assert one.counted() == {"XfrmOutNoStates": 1}


def test_room_is_bounded() -> None:
    one, _ = pair()
    one.datapath.moves.wait(2.0, packets=3)
    one.ok(m.XFRM_MSG_DELSA, sa_id(0x100, v4(2)))
    actions = [one.out(packet4()).action for _ in range(5)]
    assert actions == [Action.QUEUED] * 3 + [Action.DROPPED] * 2
    one.datapath.moves.done()
    assert len(one.datapath.take()) == 3
    assert one.counted() == {"XfrmOutNoStates": 5}


def test_waiting_asks_no_key_manager() -> None:
    one, _ = pair()
    one.datapath.moves.wait(2.0)
    one.ok(m.XFRM_MSG_DELSA, sa_id(0x100, v4(2)))
    one.events()
    one.out(packet4())
    assert one.events() == []


def test_the_old_place_is_good_for_a_while_and_shares_the_window() -> None:
    one, two = pair()
    two.datapath.moves.accept_old = 3.0
    packets = [one.out(numbered(i)).packet for i in range(4)]
    two.into(packets[0])
    two.move(next(iter(two.engine.sadb)), v4(1), v4(9))
    two.policy(IN, tmpl(v4(1), v4(9)))
    one.move(next(iter(one.engine.sadb)), v4(1), v4(9))
    one.policy(OUT, tmpl(v4(1), v4(9)))
    later = one.out(numbered(4)).packet
    assert two.into(later).action is Action.DELIVERED
    assert two.into(packets[2]).action is Action.DELIVERED
    for seen in (packets[0], packets[2], later):
        assert two.into(seen).counters == ("XfrmInStateSeqError",)
    two.now += 3.0  # nobody has told the engine's timers yet
    assert two.into(packets[3]).counters == ("XfrmInNoStates",)


def test_the_old_place_after_two_moves_wrapping_and_family() -> None:
    one, two = pair()
    two.datapath.moves.accept_old = 3.0
    bare = one.out(numbered(0)).packet
    sa = next(iter(one.engine.sadb))
    encap = [(m.XFRMA_ENCAP, s.EncapTmpl(2, 4500, 4500, ZERO))]
    sa = one.move(sa, v4(1), v4(2), encap)
    wrapped = one.out(numbered(1)).packet
    assert wrapped[9] == 17
    one.move(sa, v6(1), v6(2), family=AF_INET6)
    one.policy(OUT, tmpl(v6(1), v6(2), family=AF_INET6))
    six = one.out(numbered(2)).packet
    assert six[0] >> 4 == 6
    mine = next(iter(two.engine.sadb))
    mine = two.move(mine, v4(1), v4(2), encap)
    two.move(mine, v6(1), v6(2), family=AF_INET6)
    two.policy(IN, tmpl(ZERO, v6(2), family=AF_INET6))
    for i, packet in enumerate((bare, wrapped, six)):
        assert two.into(packet).packet == numbered(i)
        assert two.into(packet).counters == ("XfrmInStateSeqError",)


def two_children() -> tuple[Host, tuple[bytes, bytes]]:
    """A host with two SAs, reqid 7 and 8, for 10.0.2.0/24 and 10.0.3.0/24; a packet for each."""
    host = Host()
    packets = []
    for number, net in ((0, 2), (1, 3)):
        host.sa(0x100 + number, reqid=7 + number)
        sel = ANY4._replace(daddr=bytes((10, 0, net, 0)) + bytes(12), prefixlen_d=24)
        host.policy(OUT, tmpl(reqid=7 + number), sel=sel, priority=9)
        packets.append(packet4(daddr=bytes((10, 0, net, 1))))
    return host, (packets[0], packets[1])


def test_only_the_child_that_moves_is_held() -> None:
    for asked in ({"reqids": [7]}, {"selectors": [ANY4._replace(daddr=bytes((10, 0, 2, 0)) + bytes(12), prefixlen_d=23)]}):  # fmt: skip
        host, (first, second) = two_children()
        hold = host.datapath.moves.wait(5.0, **asked)
        for spi in (0x100, 0x101):
            host.ok(m.XFRM_MSG_DELSA, sa_id(spi, v4(2)))
        assert host.out(first).action is Action.QUEUED
        expected = Action.DROPPED if "reqids" in asked else Action.QUEUED
        assert host.out(second).action is expected
        host.datapath.moves.done(hold)
        assert host.out(first).counters == ("XfrmOutNoStates",)


def test_a_block_in_front_of_a_child() -> None:
    """The selectors are taken from the policies as they were when waiting began."""
    host, (first, second) = two_children()
    hold = host.datapath.moves.wait(5.0, reqids=[8])
    host.policy(OUT, action=1, priority=0)
    assert host.out(first).counters == ("XfrmOutPolBlock",)
    assert host.out(second).action is Action.QUEUED
    policies = [policy for policy in host.engine.spd if policy.action]
    host.ok(m.XFRM_MSG_DELPOLICY, s.UserPolicyId(policies[0].sel, 0, OUT))
    assert [verdict.action for verdict in host.datapath.take()] == [Action.PROTECTED]
    host.datapath.moves.done(hold)


def test_two_moves_at_a_time() -> None:
    """Each has its own room, its own time and its own end."""
    host, (first, second) = two_children()
    moves = host.datapath.moves
    one = moves.wait(5.0, 2, reqids=[7])
    two = moves.wait(1.0, 1, reqids=[8])
    for spi in (0x100, 0x101):
        host.ok(m.XFRM_MSG_DELSA, sa_id(spi, v4(2)))
    actions = [host.out(packet).action for packet in (first, second, first, second, first)]
    assert actions == [Action.QUEUED] * 3 + [Action.DROPPED] * 2
    host.wait(1.0)
    assert [verdict.counters for verdict in host.datapath.take()] == [("XfrmOutNoStates",)]
    assert host.out(second).action is Action.QUEUED
    moves.done(one)
    assert len(host.datapath.take()) == 2
    assert two.waiting == 1
    host.sa(0x102, reqid=8)
    assert [verdict.action for verdict in host.datapath.take()] == [Action.PROTECTED]
    moves.done(two)
    assert host.out(first).action is Action.DROPPED
