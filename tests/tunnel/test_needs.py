"""What SAs need of the network: directions, places, keepalives."""

from __future__ import annotations

from dataclasses import replace

from pyxfrm.client import Xfrm
from pyxfrm.engine import Engine
from pyxfrm.model import (
    REMOVE,
    Algorithm,
    Direction,
    Encap,
    Migration,
    Mode,
    Policy,
    Proto,
    ReplayState,
    Sa,
    SaDir,
    SaId,
    Selector,
    Template,
    ip,
    network,
)
from pyxfrm.tunnel.needs import Needs
from pyxfrm.tunnel.place import UDP, Place, Via

HERE, THERE, NEW = (ip(f"192.0.2.{n}") for n in (1, 2, 3))
HERE6, THERE6 = ip("2001:db8::1"), ip("2001:db8::2")
OUT = Sa(
    SaId(THERE, Proto.ESP, 0x1001),
    HERE,
    Mode.TUNNEL,
    (Algorithm.aes_gcm(bytes(20)),),
    ReplayState.off(),
    reqid=7,
    encap=Encap(4500, 1024),
    dir=SaDir.OUT,
)
IN = replace(
    *(OUT,),
    id=SaId(HERE, Proto.ESP, 0x1002),
    saddr=THERE,
    encap=Encap(1024, 4500),
    dir=SaDir.IN,
    replay=ReplayState.of(32),
)
NOW = 1_000_000_000.0
OURS = Place(HERE.packed, UDP, 4500)


def engine_with(*sas: Sa) -> tuple[Needs, Xfrm]:
    engine = Engine()
    xfrm = Xfrm.engine(engine)
    for sa in sas:
        xfrm.add_sa(sa)
    return Needs(engine), xfrm


def places(needs: Needs) -> set[Place]:
    needs.look(NOW)
    return set(needs.places)


def policy(direction: Direction, saddr: str = "192.0.2.1", daddr: str = "192.0.2.2") -> Policy:
    template = Template(ip(saddr), ip(daddr), Proto.ESP, Mode.TUNNEL, 7)
    sel = Selector(network("10.1.0.0/16"), network("10.2.0.0/16"))
    return Policy(direction, sel, templates=(template,))


def test_both_directions_of_a_tunnel_share_a_place() -> None:
    needs, _ = engine_with(OUT, IN)
    assert places(needs) == {OURS}


def test_without_encapsulation_it_is_the_protocol_itself() -> None:
    needs, _ = engine_with(replace(OUT, encap=None), replace(IN, encap=None))
    assert places(needs) == {Place(HERE.packed, 50)}


def test_an_sa_without_direction_or_policy_needs_nothing() -> None:
    needs, _ = engine_with(replace(OUT, dir=None), replace(IN, dir=None))
    assert places(needs) == set()


def test_policies_tell_directions() -> None:
    needs, xfrm = engine_with(replace(OUT, dir=None), replace(IN, dir=None))
    xfrm.add_policy(policy(Direction.OUT))
    assert places(needs) == {OURS}
    needs, xfrm = engine_with(replace(IN, dir=None))
    xfrm.add_policy(policy(Direction.IN, "192.0.2.2", "192.0.2.1"))
    assert places(needs) == {OURS}


def test_a_direction_that_was_told_once_stays_when_the_sa_moves_before_its_policy() -> None:
    sa = replace(OUT, dir=None)
    needs, xfrm = engine_with(sa)
    xfrm.add_policy(policy(Direction.OUT))
    needs.look(NOW)
    xfrm.migrate_sa(Migration.of(sa, saddr=NEW, encap=Encap(4501, 1024)))
    assert places(needs) == {Place(NEW.packed, UDP, 4501)}


def test_a_direction_is_forgotten_with_its_sa() -> None:
    sa = replace(OUT, dir=None)
    needs, xfrm = engine_with(sa)
    xfrm.add_policy(policy(Direction.OUT))
    needs.look(NOW)
    xfrm.flush_sas()
    needs.look(NOW)
    xfrm.flush_policies()
    xfrm.add_sa(sa)
    assert places(needs) == set()


def test_families() -> None:
    out = replace(OUT, id=SaId(THERE6, Proto.ESP, 5), saddr=HERE6)
    needs, xfrm = engine_with(out)
    assert places(needs) == {Place(HERE6.packed, UDP, 4500)}
    xfrm.migrate_sa(Migration.of(out, saddr=HERE, daddr=THERE, encap=REMOVE))
    assert places(needs) == {Place(HERE.packed, 50)}


def test_an_update_changes_the_port_in_place() -> None:
    needs, xfrm = engine_with(OUT)
    needs.look(NOW)
    xfrm.update_sa(replace(OUT, encap=Encap(4505, 1024)))
    assert places(needs) == {Place(HERE.packed, UDP, 4505)}


def test_nothing_is_looked_at_twice() -> None:
    needs, xfrm = engine_with(OUT, IN)
    assert needs.look(NOW)
    assert list(xfrm.sas())
    assert not needs.look(NOW)
    xfrm.delete_sa(OUT.id)
    assert needs.look(NOW)
    assert needs.places == {OURS: 1}


def test_keepalives_of_outbound_sas_only() -> None:
    needs, xfrm = engine_with(replace(OUT, nat_keepalive=20), IN)
    needs.look(NOW)
    assert needs.keepalives.deadline() == NOW + 20
    assert needs.keepalives.take(NOW + 20) == [Via(OURS, THERE.packed, 1024)]
    xfrm.delete_sa(OUT.id)
    needs.look(NOW)
    assert needs.keepalives.deadline() is None


def test_a_keepalive_goes_when_the_sa_was_quiet_for_long_enough() -> None:
    needs, _ = engine_with(replace(OUT, nat_keepalive=20))
    needs.look(NOW)
    (sa,) = needs.engine.sadb
    keepalives = needs.keepalives
    sa.lastused = int(NOW) + 15
    assert keepalives.take(NOW + 20) == []
    assert keepalives.deadline() == NOW + 35
    assert len(keepalives.take(NOW + 35)) == 1
    assert keepalives.take(NOW + 35) == []
    assert keepalives.deadline() == NOW + 55


def test_a_moved_sa_is_kept_alive_where_it_is_now() -> None:
    sa = replace(OUT, nat_keepalive=20)
    needs, xfrm = engine_with(sa)
    needs.look(NOW)
    xfrm.migrate_sa(Migration.of(sa, saddr=NEW, encap=Encap(4501, 1024)))
    needs.look(NOW + 5)
    due = needs.keepalives.take(NOW + 100)
    assert due == [Via(Place(NEW.packed, UDP, 4501), THERE.packed, 1024)]
