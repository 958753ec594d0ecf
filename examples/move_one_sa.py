"""Move one SA to a new source address; by default on an engine, with ``--kernel`` on this machine's (root, Linux 7.2)."""

from __future__ import annotations

import sys

from pyxfrm.client import Xfrm
from pyxfrm.engine import Engine
from pyxfrm.errors import XfrmError
from pyxfrm.model import Algorithm, Migration, Mode, Proto, ReplayState, Sa, SaId, ip

SA = Sa(
    SaId(ip("198.51.100.1"), Proto.ESP, 0x100),
    saddr=ip("192.0.2.10"),
    mode=Mode.TUNNEL,
    reqid=7,
    algorithms=(Algorithm.aes_gcm(bytes(range(20))),),  # 16 bytes of key, 4 of salt
    replay=ReplayState.of(128),
)


def main(words: list[str]) -> int:
    """Add an SA, move it, prove that it moved, delete it."""
    with Xfrm() if words == ["--kernel"] else Xfrm.engine(Engine()) as xfrm:
        try:
            print(f"MIGRATE_STATE: {xfrm.probe().migrate_state}")
            xfrm.add_sa(SA)
            moved = xfrm.migrate_sa(Migration.of(SA, saddr=ip("203.0.113.10")), verify=True)
            sa = xfrm.get_sa(moved.move.new_id)
            print(f"{sa.id} comes from {sa.saddr}, oseq {sa.replay.oseq}")
            xfrm.delete_sa(sa.id)
        except XfrmError as no:  # one line: what, errno, the kernel's own words
            print(no, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
