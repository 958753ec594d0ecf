"""``xfrm engine serve PATH [--profile NAME]``: an engine for other processes, at a socket that only its owner may open.

xfrm engine serve /run/user/1000/xfrm &
xfrm --engine /run/user/1000/xfrm state list
"""

from __future__ import annotations

import argparse
import signal
import sys
from types import FrameType

from pyxfrm.abi.profiles import LINUX_7_2, PROFILES
from pyxfrm.cli.arguments import Parser, add_profile
from pyxfrm.engine import Engine
from pyxfrm.transport.local import EngineHost
from pyxfrm.transport.server import EngineServer

__all__ = ["main", "parser"]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = Parser("xfrm engine", description="A NETLINK_XFRM in user space.")
    verbs = made.add_subparsers(required=True, metavar="VERB")
    serve = verbs.add_parser("serve", help="serve an engine at a unix socket")
    serve.add_argument("path", help="the socket; it must not exist, or its server must be gone")
    add_profile(serve, "the kernel to behave as (7.2 unless given)", LINUX_7_2.name)
    return made


def main(argv: list[str]) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    words = parser().parse_args(argv)
    profile = PROFILES[words.profile]
    with EngineServer(EngineHost(Engine(profile)), words.path) as server:

        def stop(_: int, __: FrameType | None) -> None:
            server.stop()

        signal.signal(signal.SIGTERM, stop)
        print(f"xfrm: {profile.name} serves at {words.path}", file=sys.stderr, flush=True)
        server.serve_forever()
    return 0
