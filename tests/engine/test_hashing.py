"""The hash, against vectors of lookup3 and sums worked out by hand."""

from __future__ import annotations

from pyxfrm.engine.hashing import dst_hash, jhash2


def test_nothing_hashes_to_the_initial_value() -> None:
    assert jhash2(()) == 0xDEADBEEF
    assert jhash2((), 1) == 0xDEADBEF0


def test_ipv4_is_the_sum_of_both_addresses_read_as_network_order() -> None:
    daddr, saddr = bytes((10, 0, 0, 1)) + bytes(12), bytes((10, 0, 0, 2)) + bytes(12)
    plain = 0x14000003 ^ 2 ^ 7
    assert dst_hash(daddr, saddr, 7, 2) == plain ^ (plain >> 16)


def test_swapping_the_ends_changes_nothing() -> None:
    one, other = bytes(range(16)), bytes(range(16, 32))
    assert dst_hash(one, other, 1, 10) == dst_hash(other, one, 1, 10)
