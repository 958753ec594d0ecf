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
from pyxfrm.tunnel.keepalives import Keepalives
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
OURS = Place(HERE.packed, UDP, 4500)


def engine_with(*sas: Sa) -> tuple[Needs, Xfrm]:
    engine = Engine()
    xfrm = Xfrm.engine(engine)
    for sa in sas:
        xfrm.add_sa(sa)
    return Needs(engine), xfrm


def policy(direction: Direction, saddr: str = "192.0.2.1", daddr: str = "192.0.2.2") -> Policy:
    template = Template(ip(saddr), ip(daddr), Proto.ESP, Mode.TUNNEL, 7)
    sel = Selector(network("10.1.0.0/16"), network("10.2.0.0/16"))
    return Policy(direction, sel, templates=(template,))


def test_both_directions_of_a_tunnel_share_a_place() -> None:
    needs, _ = engine_with(OUT, IN)
    assert needs.look().places == {OURS}


def test_without_encapsulation_it_is_the_protocol_itself() -> None:
    needs, _ = engine_with(replace(OUT, encap=None), replace(IN, encap=None))
    assert needs.look().places == {Place(HERE.packed, 50)}


def test_an_sa_without_direction_or_policy_needs_nothing() -> None:
    needs, _ = engine_with(replace(OUT, dir=None), replace(IN, dir=None))
    assert needs.look().places == frozenset()


def test_policies_tell_directions() -> None:
    needs, xfrm = engine_with(replace(OUT, dir=None), replace(IN, dir=None))
    xfrm.add_policy(policy(Direction.OUT))
    assert needs.look().places == {OURS}
    needs, xfrm = engine_with(replace(IN, dir=None))
    xfrm.add_policy(policy(Direction.IN, "192.0.2.2", "192.0.2.1"))
    assert needs.look().places == {OURS}


def test_a_direction_that_was_told_once_stays_when_the_sa_moves_before_its_policy() -> None:
    sa = replace(OUT, dir=None)
    needs, xfrm = engine_with(sa)
    xfrm.add_policy(policy(Direction.OUT))
    needs.look()
    xfrm.migrate_sa(Migration.of(sa, saddr=NEW, encap=Encap(4501, 1024)))
    assert needs.look().places == {Place(NEW.packed, UDP, 4501)}


def test_a_direction_is_forgotten_with_its_sa() -> None:
    sa = replace(OUT, dir=None)
    needs, xfrm = engine_with(sa)
    xfrm.add_policy(policy(Direction.OUT))
    needs.look()
    xfrm.flush_sas()
    needs.look()
    xfrm.flush_policies()
    xfrm.add_sa(sa)
    assert needs.look().places == frozenset()


def test_families() -> None:
    out = replace(OUT, id=SaId(THERE6, Proto.ESP, 5), saddr=HERE6)
    needs, xfrm = engine_with(out)
    assert needs.look().places == {Place(HERE6.packed, UDP, 4500)}
    xfrm.migrate_sa(Migration.of(out, saddr=HERE, daddr=THERE, encap=REMOVE))
    assert needs.look().places == {Place(HERE.packed, 50)}


def test_keepalives_of_outbound_sas_only() -> None:
    needs, _ = engine_with(replace(OUT, nat_keepalive=20), IN)
    (one,) = needs.look().keepalives
    assert (one.via, one.seconds) == (Via(OURS, THERE.packed, 1024), 20)


def test_a_keepalive_goes_when_the_sa_was_quiet_for_long_enough() -> None:
    needs, _ = engine_with(replace(OUT, nat_keepalive=20))
    (one,) = needs.look().keepalives
    keepalives = Keepalives()
    keepalives.want([one], 1000.0)
    assert keepalives.deadline() == 1020.0
    one.sa.lastused = 1015
    assert keepalives.take(1020.0) == []
    assert keepalives.deadline() == 1035.0
    keepalives.want([one], 1030.0)  # something else has changed
    assert keepalives.deadline() == 1035.0
    assert keepalives.take(1035.0) == [one.via]
    assert keepalives.take(1035.0) == []
    assert keepalives.deadline() == 1055.0
    keepalives.want([], 1040.0)
    assert keepalives.deadline() is None
