"""strongSwan's daemons on two engines: what they ask for is done, what they are told is what they wait for, and nothing is refused."""

from __future__ import annotations

from dataclasses import replace
from errno import EEXIST, EINVAL, ESRCH
from pathlib import Path
from typing import TypeVar

import pytest

from pyxfrm.abi import messages as m
from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2
from pyxfrm.client.events import Event, SaAdded, SaDeleted, SaExpired, SaMigrated
from pyxfrm.client.records import SaRecord
from pyxfrm.engine.datapath import Action
from pyxfrm.errors import XfrmError
from pyxfrm.model import (
    AlgorithmKind,
    Direction,
    Encap,
    Mode,
    Proto,
    SaDir,
    Selector,
    Template,
    ip,
    network,
)
from tests.engine.datapath.support import packet4
from tests.judges.charon import until
from tests.judges.network import SHIFT, Namespace
from tests.judges.pair import LEFT, RIGHT, Gateway, Pair, load, packets, pair

SECOND = "198.51.100.1"
LEFT6, RIGHT6 = "2001:db8:1::1", "2001:db8:2::1"
OUTSIDE = "192.0.2.77"  # what the NAT makes of SECOND
NOT_MIGRATED = r"Invalid argument \(22\)|unable to migrate SAD entry"
LIVES = {"rekey_time": "1000s", "life_time": "1100s", "rand_time": "0s"}

E = TypeVar("E", bound=Event)


@pytest.fixture(scope="module", autouse=True)
def _able() -> None:
    """Namespaces and TUN devices need root, and both families are in the tests."""
    if not Path("/proc/sys/net/ipv6").exists():
        pytest.skip("no place for two gateways here: no IPv6")
    try:
        Namespace().close()
    except XfrmError as why:
        pytest.skip(f"no place for two gateways here: {why}")


def told(gateway: Gateway, kind: type[E]) -> list[E]:
    """The events of a kind since the last look, the others forgotten."""
    return [event for event in gateway.events() if isinstance(event, kind)]


def spis(gateway: Gateway) -> set[int]:
    return {sa.spi for sa in gateway.sas()}


def ways(gateway: Gateway) -> set[tuple[str, str]]:
    """Source and destination of its SAs."""
    return {(str(sa.saddr), str(sa.daddr)) for sa in gateway.sas()}


def template_ways(gateway: Gateway) -> list[tuple[str, str]]:
    """The same of its policies' templates."""
    return [(str(t.saddr), str(t.daddr)) for p in gateway.policies() for t in p.templates]


def there_and_back(here: str, there: str) -> set[tuple[str, str]]:
    return {(here, there), (there, here)}


def same_on_both(both: Pair, *, fwd: bool = True) -> None:
    """What one sends with, the other receives with: names, addresses, mode, algorithms and keys; and policies face each other.

    ``fwd``  whether packets of others may come, too
    """
    for here, there in (both.both, both.both[::-1]):
        sent, received = here.sa(SaDir.OUT).sa, there.sa(SaDir.IN).sa
        for name in ("id", "saddr", "mode", "algorithms", "encap", "sel"):
            assert getattr(sent, name) == getattr(received, name), name
        asked = {p.sel: p.templates for p in here.policies(Direction.OUT)}
        for direction in (Direction.IN, Direction.FWD) if fwd else (Direction.IN,):
            wanted = {p.sel: p.templates for p in there.policies(direction)}
            assert asked.keys() == wanted.keys()
            for sel, (template,) in asked.items():
                (other,) = wanted[sel]
                assert (template.saddr, template.daddr) == (other.saddr, other.daddr)


def settled(both: Pair, here: str, there: str) -> None:
    """Wait until SAs and policies of both are between these two."""
    for end in both.both:
        wait_between(end, there_and_back(here, there))


def wait_between(end: Gateway, way: set[tuple[str, str]]) -> None:
    transport = {("0.0.0.0", "0.0.0.0")}
    until("the SAs have moved", lambda: ways(end) == way)
    until("the policies", lambda: {*template_ways(end)} - transport == way)
    until("all of them", lambda: len(end.policies()) == 6)


def moved(gateway: Gateway, before: dict[int, SaRecord], here: str, there: str) -> None:
    """Its SAs are the same but for their addresses: keys, numbers, counters and times were kept."""
    assert ways(gateway) == there_and_back(here, there)
    after = {sa.spi: sa for sa in gateway.sas()}
    assert after.keys() == before.keys()
    for spi, sa in after.items():
        for name in ("replay", "algorithms", "limits", "counters", "mode", "dir", "reqid", "encap"):
            assert getattr(sa, name) == getattr(before[spi], name), name


# -- a child SA ------------------------------------------------------------------------------------


@pytest.mark.parametrize("esn", [False, True])
def test_what_was_agreed_is_installed(tmp_path: Path, esn: bool) -> None:
    proposals = "aes128gcm16-esn" if esn else "aes128gcm16"
    with pair(tmp_path) as both:
        both.establish(child={"esp_proposals": proposals, **LIVES})
        for here, there in (both.both, both.both[::-1]):
            as_agreed(here, there, esn=esn)
        same_on_both(both)
        both.exchange(3)
        assert both.refusals == []


def as_agreed(here: Gateway, there: Gateway, *, esn: bool) -> None:
    """SAs and policies of one end are what its swanctl.conf says, in strongSwan's way."""
    own, other = ip(here.side.first), ip(there.side.first)
    for direction, (src, dst) in {SaDir.OUT: (own, other), SaDir.IN: (other, own)}.items():
        sa = here.sa(direction).sa
        assert (sa.saddr, sa.id.daddr, sa.id.proto, sa.mode) == (src, dst, Proto.ESP, Mode.TUNNEL)
        (algorithm,) = sa.algorithms
        assert (algorithm.kind, algorithm.name) == (AlgorithmKind.AEAD, "rfc4106(gcm(aes))")
        assert (algorithm.key.bits, algorithm.bits) == (160, 128)
        # One of two SAs that would ask for the same rekeying at the same time asks for it.
        assert sa.limits.soft_add == (1000 if direction is SaDir.IN else None)
        assert sa.limits.hard_add == 1100
        assert (sa.replay.esn, sa.reqid, sa.encap) == (esn, 1, None)
        assert sa.replay.window == (32 if direction is SaDir.IN else 0)
    found = {(p.dir, p.sel): p.templates for p in here.policies()}
    wanted = {}
    for mine, theirs in zip(here.side.inner, there.side.inner, strict=True):
        out = Selector(network(mine), network(theirs))
        sending = Template(own, other, Proto.ESP, Mode.TUNNEL, 1)
        receiving = Template(other, own, Proto.ESP, Mode.TUNNEL, 1)
        wanted[Direction.OUT, out] = sending
        wanted[Direction.IN, out.reversed()] = wanted[Direction.FWD, out.reversed()] = receiving
    assert found.keys() == wanted.keys()
    for name, (template,) in found.items():
        assert template.reqid == 1
        assert (template.saddr, template.daddr) == (wanted[name].saddr, wanted[name].daddr)


@pytest.mark.parametrize(
    "proposal",
    [
        "aes256gcm12",
        "aes192ccm8",
        "aes128gmac",
        "chacha20poly1305-esn",
        "aes128ctr-sha512",
        "aes256-sha256",
        "aes128-sha384-esn",
        "aes128-sha1",
        "null-sha256",
        "aes128-aesxcbc",
    ],
)
def test_packets_go_with_the_keys_that_were_agreed(tmp_path: Path, proposal: str) -> None:
    with pair(tmp_path) as both:
        both.establish(child={"esp_proposals": proposal})
        same_on_both(both)
        both.exchange(3)
        assert both.refusals == []


# -- MOBIKE ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("new", "left", "right"),
    [(SECOND, (SECOND,), ()), (LEFT6, (LEFT6,), (RIGHT6,))],
    ids=["address", "family"],
)
def test_a_move_is_one_request_an_sa(
    tmp_path: Path, new: str, left: tuple[str, ...], right: tuple[str, ...]
) -> None:
    peer = right[0] if right else RIGHT.first
    with pair(tmp_path, left=left, right=right) as both:
        both.establish()
        both.exchange(5)
        before = [{sa.spi: sa for sa in end.sas()} for end in both.both]
        for end in both.both:
            end.events()
        both.left.lose(LEFT.first)
        settled(both, new, peer)
        moved(both.left, before[0], new, peer)
        moved(both.right, before[1], new, peer)
        for end in both.both:
            seen = end.events()
            migrations = [event for event in seen if isinstance(event, SaMigrated)]
            assert {(str(e.new_saddr), str(e.new_daddr)) for e in migrations} == there_and_back(
                new, peer
            )
            assert len(migrations) == 2
            assert not [event for event in seen if isinstance(event, SaAdded | SaDeleted)]
        same_on_both(both)
        both.exchange(5)
        assert both.refusals == []


def test_hosts_move(tmp_path: Path) -> None:
    """In transport mode, selectors and policies follow the addresses, too."""
    hosts = {"mode": "transport", "local_ts": "dynamic", "remote_ts": "dynamic"}
    with pair(tmp_path, left=(SECOND,)) as both:
        both.establish(child=hosts)
        between_hosts(both, LEFT.first, RIGHT.first)
        before = [{sa.spi: sa for sa in end.sas()} for end in both.both]
        for end in both.both:
            end.events()
        both.left.lose(LEFT.first)
        between_hosts(both, SECOND, RIGHT.first)
        for end, old in zip(both.both, before, strict=True):
            assert {sa.spi: sa.algorithms for sa in end.sas()} == {
                spi: sa.algorithms for spi, sa in old.items()
            }
            assert end.sa(SaDir.OUT).replay.oseq == 2
            assert len(told(end, SaMigrated)) == 2
        assert both.refusals == []


def between_hosts(both: Pair, here: str, there: str) -> None:
    """Wait until SAs and policies are for packets of these two alone, and send some."""
    out = Selector.hosts(ip(here), ip(there))
    wait_for_hosts(both.left, out)
    wait_for_hosts(both.right, out.reversed())
    same_on_both(both, fwd=False)
    ends = ip(here).packed, ip(there).packed
    both.pass_on(packet4(*ends), *both.both)
    both.pass_on(packet4(*ends[::-1]), *both.both[::-1])


def wait_for_hosts(end: Gateway, out: Selector) -> None:
    back = out.reversed()
    policies = [(Direction.OUT, out), (Direction.IN, back)]
    sas = {(SaDir.OUT, Mode.TRANSPORT, out), (SaDir.IN, Mode.TRANSPORT, back)}
    until("the policies", lambda: [(p.dir, p.sel) for p in end.policies()] == policies)
    until("the SAs", lambda: {(sa.dir, sa.mode, sa.sel) for sa in end.sas()} == sas)


@pytest.mark.parametrize("tries", [False, True])
def test_without_migrate_state_sas_are_deleted_and_added(tmp_path: Path, tries: bool) -> None:
    """Whether the daemon knows what its kernel cannot, or tries and is refused."""
    profile = LINUX_6_12._replace(release=LINUX_7_2.release) if tries else LINUX_6_12
    complaints = NOT_MIGRATED if tries else ""
    with pair(tmp_path, left=(SECOND,), profile=profile, complaints=complaints) as both:
        both.establish()
        both.exchange(5)
        before = [{sa.spi: sa for sa in end.sas()} for end in both.both]
        for end in both.both:
            end.events()
        both.left.lose(LEFT.first)
        settled(both, SECOND, RIGHT.first)
        for end, old in zip(both.both, before, strict=True):
            seen = end.events()
            assert not [event for event in seen if isinstance(event, SaMigrated)]
            for kind in (SaAdded, SaDeleted):
                assert {e.sa.spi for e in seen if isinstance(e, kind)} == old.keys()
            for sa in end.sas():
                assert sa.replay == old[sa.spi].replay
        same_on_both(both)
        both.exchange(5)
        assert both.refusals == [(EINVAL, m.XFRM_MSG_MIGRATE_STATE)] * (4 if tries else 0)


# -- NAT -------------------------------------------------------------------------------------------


def test_a_nat_appears_and_goes(tmp_path: Path) -> None:
    with pair(tmp_path, left=(SECOND,)) as both:
        both.cable.nat[SECOND] = OUTSIDE
        both.establish()
        both.exchange()
        numbers = [end.sa(SaDir.OUT).replay for end in both.both]
        both.left.lose(LEFT.first)
        until("encapsulated", lambda: all(sa.encap for end in both.both for sa in end.sas()))
        until("moved", lambda: ways(both.right) == there_and_back(OUTSIDE, RIGHT.first))
        until("policies are there", lambda: all(len(e.policies()) == 6 for e in both.both))
        assert ways(both.left) == there_and_back(SECOND, RIGHT.first)
        seen_as = {SaDir.OUT: Encap(4500, 4500 + SHIFT), SaDir.IN: Encap(4500 + SHIFT, 4500)}
        assert {sa.dir: sa.encap for sa in both.right.sas()} == seen_as
        for sa in both.left.sas():
            assert sa.encap == Encap(4500, 4500)
        assert [end.sa(SaDir.OUT).replay for end in both.both] == numbers
        both.exchange()
        numbers = [end.sa(SaDir.OUT).replay for end in both.both]
        assert not [e for end in both.both for e in end.events() if isinstance(e, SaDeleted)]

        both.left.gain(LEFT.first)
        both.left.lose(SECOND)
        until(
            "not encapsulated", lambda: not any(sa.encap for end in both.both for sa in end.sas())
        )
        settled(both, LEFT.first, RIGHT.first)
        assert [end.sa(SaDir.OUT).replay for end in both.both] == numbers
        same_on_both(both)
        both.exchange()
        assert both.refusals == []


def test_a_nat_takes_another_port(tmp_path: Path) -> None:
    """The end behind it does not notice; its packets tell the other one, whose engine tells the daemon (MAPPING)."""
    with pair(tmp_path) as both:
        both.cable.nat[LEFT.first] = OUTSIDE
        both.establish()
        both.exchange()
        for end in both.both:
            end.events()
        both.cable.shift += 1
        port = 4500 + both.cable.shift
        (packet, _) = packets(LEFT, RIGHT)
        both.pass_on(packet, *both.both)
        until("the new port", lambda: both.right.sa(SaDir.OUT).encap == Encap(4500, port))
        until("the same inwards", lambda: both.right.sa(SaDir.IN).encap == Encap(port, 4500))
        until("the policies", lambda: len(both.right.policies()) == 6)
        assert [e.new_saddr for e in told(both.right, SaMigrated)] != []
        both.exchange()
        assert both.refusals == []


def test_the_end_that_did_not_begin_moves(tmp_path: Path) -> None:
    with pair(tmp_path, right=("203.0.113.2",)) as both:
        both.establish()
        both.exchange()
        before = [{sa.spi: sa for sa in end.sas()} for end in both.both]
        both.right.lose(RIGHT.first)
        settled(both, LEFT.first, "203.0.113.2")
        for end, old in zip(both.both, before, strict=True):
            moved(end, old, LEFT.first, "203.0.113.2")
        both.exchange()
        assert both.refusals == []


def test_compressed_packets_move_along(tmp_path: Path) -> None:
    """Those that get shorter, and those that do not, which the kernel's helper SAs take."""
    way = there_and_back(SECOND, RIGHT.first)
    long = packet4(ip(LEFT.hosts[0]).packed, ip(RIGHT.hosts[0]).packed, bytes(1000))
    with pair(tmp_path, left=(SECOND,)) as both:
        both.establish(sas=6, child={"ipcomp": "yes"})
        both.exchange()
        both.pass_on(long, *both.both)
        both.left.lose(LEFT.first)
        for end in both.both:
            wait_between(end, way)
        assert [len(end.sas()) for end in both.both] == [6, 6]
        both.exchange()
        both.pass_on(long, *both.both)
        assert both.refusals == []


def test_what_cannot_be_moved_is_made_anew(tmp_path: Path) -> None:
    """Another's SA is where one of ours has to go: first the daemon loses its own by delete and add, then it makes new ones."""
    with pair(tmp_path, left=(SECOND,), complaints="unable to|No such process") as both:
        both.establish()
        both.exchange()
        old = spis(both.left)
        sa = both.left.sa(SaDir.IN).sa
        in_the_way = replace(sa, id=replace(sa.id, daddr=ip(SECOND)), reqid=99)
        both.left.client.add_sa(in_the_way)
        both.left.lose(LEFT.first)
        wait_without(both.right, old)
        both.left.client.delete_sa(in_the_way.id)
        replaced(both, old)
        assert both.left.refusals[:2] == [
            (EEXIST, m.XFRM_MSG_MIGRATE_STATE),
            (EEXIST, m.XFRM_MSG_NEWSA),
        ]
        assert {*both.refusals[2:]} <= {
            (ESRCH, m.XFRM_MSG_MIGRATE_STATE),
            (ESRCH, m.XFRM_MSG_GETSA),
            (ESRCH, m.XFRM_MSG_DELSA),
        }


def test_moves_without_end(tmp_path: Path) -> None:
    with pair(tmp_path, left=(SECOND,)) as both:
        both.establish()
        for number in range(10):
            old, new = ((LEFT.first, SECOND), (SECOND, LEFT.first))[number % 2]
            if number:
                both.left.gain(new)
            both.exchange()
            both.left.lose(old)
            settled(both, new, RIGHT.first)
        both.exchange()
        assert both.left.sa(SaDir.OUT).replay.oseq == 22
        assert both.refusals == []


def test_encapsulation_that_is_asked_for_moves_along(tmp_path: Path) -> None:
    with pair(tmp_path, left=(SECOND,)) as both:
        both.establish(ike={"encap": "yes"})
        both.exchange()
        assert {sa.encap for end in both.both for sa in end.sas()} == {Encap(4500, 4500)}
        before = [{sa.spi: sa for sa in end.sas()} for end in both.both]
        both.left.lose(LEFT.first)
        settled(both, SECOND, RIGHT.first)
        moved(both.left, before[0], SECOND, RIGHT.first)
        moved(both.right, before[1], SECOND, RIGHT.first)
        same_on_both(both)
        both.exchange()
        assert both.refusals == []


# -- the life of an SA -----------------------------------------------------------------------------


def replaced(both: Pair, old: set[int]) -> None:
    """Wait until each has two new SAs, and none of the old ones."""
    for end in both.both:
        wait_without(end, old)
    same_on_both(both)
    both.exchange()


def wait_without(end: Gateway, old: set[int]) -> None:
    until("new SAs alone", lambda: len(found := spis(end)) == 2 and not found & old)
    until("policies", lambda: len(end.policies()) == 6)


@pytest.mark.parametrize("beginner", ["left", "right"])
def test_children_are_rekeyed(tmp_path: Path, beginner: str) -> None:
    with pair(tmp_path) as both:
        both.establish()
        both.exchange()
        for _ in range(2):
            old = spis(both.left)
            getattr(both, beginner).daemon.swanctl("--rekey", "--child", "net")
            replaced(both, old)
        assert both.refusals == []


def test_ike_is_rekeyed_and_authenticated_again(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        both.establish()
        old = spis(both.left)
        both.left.daemon.swanctl("--rekey", "--ike", "gw")
        until("the second IKE SA alone", lambda: ike_sas(both.left) == ["gw: #2, ESTABLISHED"])
        assert spis(both.left) == spis(both.right) == old
        both.exchange()
        both.left.daemon.swanctl("--rekey", "--ike", "gw", "--reauth")
        replaced(both, old)
        assert both.refusals == []


def ike_sas(gateway: Gateway) -> list[str]:
    """Names, numbers and states."""
    said = gateway.daemon.swanctl("--list-sas")
    return [
        ", ".join(line.split(", ")[:2]) for line in said.splitlines() if line.startswith("gw: ")
    ]


def test_nothing_is_left_of_what_is_terminated(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        both.establish()
        both.left.daemon.swanctl("--terminate", "--child", "net")
        nothing_left(both)
        both.left.daemon.swanctl("--initiate", "--child", "net")
        both.exchange()
        both.right.daemon.swanctl("--terminate", "--ike", "gw")
        nothing_left(both)
        assert both.refusals == []


def nothing_left(both: Pair) -> None:
    ends = both.both
    until("nothing is left", lambda: not any(end.sas() or end.policies() for end in ends))


# -- what the engine tells the daemon ----------------------------------------------------------------


def test_an_sa_that_expires_softly_is_rekeyed(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        both.establish(child={**LIVES, "life_time": "2000s"})
        both.exchange()
        old = spis(both.left)
        both.clock.ahead += 1001
        replaced(both, old)
        expired = [e for end in both.both for e in end.events() if isinstance(e, SaExpired)]
        assert expired
        assert not any(event.hard for event in expired)
        assert {event.sa.spi for event in expired} <= old
        assert both.refusals == []


def test_an_sa_that_has_expired_is_made_anew(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        both.establish(
            child={"rekey_time": "0s", "life_time": "2000s"}, left_child={"life_time": "1000s"}
        )
        old = spis(both.left)
        both.clock.ahead += 1001
        replaced(both, old)
        assert [e.hard for e in told(both.left, SaExpired)] == [True, True]
        # It deletes what is gone.
        assert {*both.refusals} == {(ESRCH, m.XFRM_MSG_DELSA)}


def test_a_packet_makes_the_daemon_begin(tmp_path: Path) -> None:
    with pair(tmp_path) as both:
        load(*both.both, left_child={"start_action": "trap"})
        until("a trap", lambda: len(both.left.policies()) == 6)
        (packet, _) = packets(LEFT, RIGHT)
        assert both.left.output(packet)[0] is Action.DROPPED
        replaced(both, {0})  # the larval SA in their place has no SPI
        assert both.refusals == []
