"""``xfrm migrate``: the old message, which moves a policy's templates and the SAs that they ask for."""

from __future__ import annotations

from pyxfrm.abi import xfrm as c
from pyxfrm.cli import build
from pyxfrm.cli.options import Options
from pyxfrm.cli.parse import Parsed
from pyxfrm.model import AddressMove, Direction, Family, Mode, PolicyMigration, PolicyType, Proto

__all__ = ["run"]


def run(options: Options, parsed: Parsed) -> int:
    """Move them. Without ``encap`` Linux 7.2 takes the encapsulation away; older ones keep it."""
    old = parsed.get("old-src"), parsed.get("old-dst")
    new = parsed.get("new-src"), parsed.get("new-dst")
    build.require_family(parsed, None, *old)
    build.require_family(parsed, None, *new)
    step = AddressMove(
        old[0].address,
        old[1].address,
        new[0].address,
        new[1].address,
        Proto(parsed.get("proto", c.IPPROTO_ESP)),
        Mode(parsed.get("mode", c.XFRM_MODE_TUNNEL)),
        parsed.get("reqid", 0),
    )
    family = options.family
    move = PolicyMigration(
        build.selector(parsed.group("POLICY"), family, family or Family.INET),
        Direction(parsed.get("dir")),
        (step,),
        PolicyType(parsed.get("ptype", 0)),
        build.encap(parsed.last("encap")),
        if_id=parsed.get("if_id", 0),
    )
    with options.open() as xfrm:
        xfrm.migrate(move)
    return 0
