"""What is read from /proc, as text."""

from __future__ import annotations

from dataclasses import replace

from pyxfrm.model import Counters, Sa, ip
from pyxfrm.relocation.facts import Owner, local_addresses, owners, rates
from tests.relocation.world import A, C, sa

NETLINK = """sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
0000000000000000 0   1          00000551 0        0        0     2        0        1234
0000000000000000 6   4711       00000003 0        0        0     2        0        4321
0000000000000000 6   4712       00000000 0        0        0     2        0        4322
0000000000000000 6   4713       00000104 0        0        0     2        0        4323
0000000000000000 6   3221225474 00000002 0        0        0     2        0        4324
0000000000000000 15  4711       00000003 0        0        0     2        0        4325
"""


def test_key_managers_are_sockets_in_acquire_or_expire() -> None:
    """A socket that only asks, or listens to SAs and MIGRATE, owns nothing."""
    found = owners(NETLINK, {4321: "charon"}, own=frozenset())
    assert found == (Owner(4711, 3, "charon"), Owner(3221225474, 2, ""))
    assert [o.hears_acquire for o in found] == [True, False]
    assert str(found[0]) == "charon (netlink port 4711)"
    assert owners(NETLINK, {}, own=frozenset({4711, 3221225474})) == ()


def test_rates_are_of_sas_in_both_dumps() -> None:
    one, two = sa(A, C, 1), sa(A, C, 2)

    def counted(each: Sa, packets: int) -> Sa:
        return replace(each, counters=Counters(0, packets))

    found = rates((counted(one, 10),), (counted(one, 60), counted(two, 5)), 0.5)
    assert found == {one.id: 100.0}
    assert rates((one,), (one,), 1.0) == {}


FIB_TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
Local:
  +-- 0.0.0.0/0 3 0 5
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.1
           /32 host LOCAL
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.0
           /24 link UNICAST
        |-- 192.0.2.10
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
"""
IF_INET6 = """20010db8000100000000000000000010 02 40 00 80     eth0
00000000000000000000000000000001 01 80 10 80       lo
"""


def test_addresses_of_interfaces() -> None:
    assert local_addresses(FIB_TRIE, IF_INET6) == {
        ip("127.0.0.1"),
        ip("192.0.2.10"),
        ip("2001:db8:1::10"),
        ip("::1"),
    }
