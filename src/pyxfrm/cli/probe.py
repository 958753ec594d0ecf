"""``xfrm probe``: what this kernel (or engine) can do, and what that means. Nothing is changed.

``--json`` gives ``{"schema": 1, "probe": {"migrate_state": "available", "sign": ..., "exact_marks": true|false|null}}``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyxfrm.cli.arguments import Parser
from pyxfrm.cli.json_table import SCHEMA
from pyxfrm.cli.target import add_engine, add_netns, connect
from pyxfrm.cli.wrapped import say
from pyxfrm.client import Xfrm

if TYPE_CHECKING:
    from pyxfrm.client.probe import Probe

__all__ = ["main", "parser"]


SUPPORT = {
    "AVAILABLE": "an SA can be moved in one step, its keys and sequence numbers kept",
    "BUILT_WITHOUT": "the kernel knows the message, but was built without CONFIG_XFRM_MIGRATE: SAs can only be deleted and added again",
    "TOO_OLD": "the kernel does not know the message (it came with Linux 7.2): SAs can only be deleted and added again, or moved by the old MIGRATE",
    "CANNOT_TELL": "no sign for or against it was seen",
}
MARKS = {
    True: (
        "exact",
        "an SA is found by exactly the mark that is named: no other SA can stand before it",
    ),
    False: (
        "by mask",
        "an SA with a wider mark, or none, can be taken for the one named: name marks with care",
    ),
    None: (
        "cannot tell",
        "no SA to find out by was seen: take care, as if marks were matched by mask",
    ),
}


def main(argv: Sequence[str]) -> int:
    """``xfrm probe [--json] [--engine NAME|PATH] [-n NETNS]``: exit status 0 whatever was found."""
    args = parser().parse_args(argv)
    with Xfrm(transport=connect(args.engine, args.netns)) as client:
        found = client.probe()
    if args.json:
        print(_as_json(found))
        return 0
    sign = f" [{found.why}]" if found.why else ""
    say(f"MIGRATE_STATE: {found.migrate_state}: {SUPPORT[found.migrate_state.name]}{sign}")
    name, meaning = MARKS[found.exact_marks]
    say(f"marks: {name}: {meaning}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = Parser(
        prog="xfrm probe", description="What this kernel's XFRM can do. Nothing is changed."
    )
    made.add_argument("--json", action="store_true", help="JSON instead of text")
    add_engine(made)
    add_netns(made)
    return made


def _as_json(found: Probe) -> str:
    content = {
        "migrate_state": found.migrate_state.name.lower(),
        "sign": found.why,
        "exact_marks": found.exact_marks,
    }
    return json.dumps({"schema": SCHEMA, "probe": content})
