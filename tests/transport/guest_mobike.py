"""Two unmodified strongSwans, each on an engine of its own: a Child SA comes up, and moves when the initiator loses its address.

    unshare -n python -m tests.transport.guest_mobike FOLDER PROFILE     prints what the engines had and told, as JSON

Wants to be alone in a network namespace, and makes another for the responder. Only XFRM goes to the engines: addresses, routes and IKE's packets are those of
the namespaces.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pyxfrm.abi.profiles import PROFILES
from pyxfrm.client import Group, Xfrm
from pyxfrm.client.events import SaMigrated
from pyxfrm.engine import Engine
from pyxfrm.lab import fetch
from pyxfrm.transport.preload import environment
from pyxfrm.transport.server import serving

PLUGINS = ("nonce", "openssl", "random", "kernel-netlink", "socket-default", "vici")
HERE, NEXT, THERE = "192.0.2.1", "203.0.113.1", "198.51.100.1"
PATIENCE = 30.0  # seconds

DAEMON = """
charon-systemd {{
  load = {plugins}
  install_routes = no
  routing_table = 0
  piddir = {folder}
  filelog {{ {folder}/log {{ default = 1
    flush_line = yes }} }}
  journal {{ default = -1 }}
  plugins {{ vici {{ socket = unix://{folder}/vici }} }}
}}
"""
CONNECTION = """
connections {{ moving {{
  version = 2
  local_addrs = {local}
  remote_addrs = {remote}
  proposals = aes128gcm16-prfsha256-ecp256
  local {{ auth = psk
    id = {me} }}
  remote {{ auth = psk
    id = {other} }}
  children {{ net {{ local_ts = {inside}
    remote_ts = {outside}
    esp_proposals = aes128gcm16 }} }}
}} }}
secrets {{ ike-1 {{ secret = "for a test" }} }}
"""


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


@contextmanager
def responders_namespace() -> Iterator[str]:
    """A namespace with a line to this one; the pid of who holds it."""
    with subprocess.Popen(["unshare", "-n", "sleep", "1000"]) as holder:
        try:
            pid = str(holder.pid)
            while Path(f"/proc/{pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
                time.sleep(0.01)
            run("ip", "link", "set", "lo", "up")
            run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", pid)
            for address in (HERE, NEXT):
                run("ip", "addr", "add", f"{address}/24", "dev", "v0")
            run("ip", "link", "set", "v0", "up")
            run("ip", "route", "add", THERE, "dev", "v0")
            lines = f"addr add {THERE}/24 dev v1,link set v1 up,link set lo up"
            lines += ",route add 192.0.2.0/24 dev v1,route add 203.0.113.0/24 dev v1"
            for line in lines.split(","):
                run("nsenter", "-t", pid, "-n", "ip", *line.split())
            yield pid
        finally:
            holder.terminate()


@contextmanager
def strongswan(folder: Path, prefix: list[str], connection: dict[str, str]) -> Iterator[Path]:
    """A daemon whose XFRM is the engine that serves in its folder."""
    profile = PROFILES[sys.argv[2]]
    folder.mkdir()
    config = folder / "strongswan.conf"
    config.write_text(DAEMON.format(plugins=" ".join(PLUGINS), folder=folder))
    (folder / "swanctl.conf").write_text(CONNECTION.format_map(connection))
    tool = fetch.strongswan("charon-systemd", PLUGINS)
    with serving(Engine(profile), folder / "engine"):
        more = environment(folder / "engine", profile, cache=folder)
        # It is started by a loader of its own, which is told what to load first in words.
        words = list(tool.argv)
        words[words.index("--preload") + 1] += ":" + more.pop("LD_PRELOAD")
        env = os.environ | more | {"STRONGSWAN_CONF": str(config)}
        with (folder / "out").open("wb") as out:
            daemon = subprocess.Popen([*prefix, *words], env=env, stdout=out, stderr=out)
        try:
            yield folder
        finally:
            daemon.terminate()
            daemon.wait(PATIENCE)


def swanctl(folder: Path, *words: str) -> None:
    """As soon as the daemon listens."""
    env = os.environ | {"STRONGSWAN_CONF": str(folder / "strongswan.conf")}
    env["SWANCTL_DIR"] = str(folder)
    command = [*fetch.strongswan("swanctl").argv, *words, "--uri", f"unix://{folder}/vici"]
    end = time.monotonic() + PATIENCE
    while subprocess.run(command, env=env, capture_output=True, check=False).returncode:
        if time.monotonic() > end:
            raise TimeoutError(f"swanctl {words}: {(folder / 'log').read_text()[-2000:]}")
        time.sleep(0.2)


def table(folder: Path) -> list[list[str]]:
    """(source, destination) of the SAs of a daemon's engine, sorted."""
    with Xfrm.connect(folder / "engine") as xfrm:
        return sorted([str(one.saddr), str(one.id.daddr)] for one in xfrm.sas())


def main() -> None:
    """Up, move, tell."""
    root = Path(sys.argv[1])
    ends = {"me": HERE, "other": THERE, "inside": "10.1.0.0/16", "outside": "10.2.0.0/16"}
    back = {"me": THERE, "other": HERE, "inside": "10.2.0.0/16", "outside": "10.1.0.0/16"}
    with ExitStack() as stack:
        pid = stack.enter_context(responders_namespace())
        one = stack.enter_context(
            strongswan(root / "one", [], ends | {"local": "%any", "remote": THERE})
        )
        enter = ["nsenter", "-t", pid, "-n"]
        two = stack.enter_context(
            strongswan(root / "two", enter, back | {"local": THERE, "remote": "%any"})
        )
        for folder in (one, two):
            swanctl(folder, "--load-all")
        swanctl(one, "--initiate", "--child", "net")
        told: dict[str, Any] = {"up": [table(one), table(two)]}
        asker = stack.enter_context(Xfrm.connect(one / "engine"))
        events = stack.enter_context(asker.events(Group.MIGRATE))
        run("ip", "addr", "del", f"{HERE}/24", "dev", "v0")
        end = time.monotonic() + PATIENCE
        moved = sorted([[NEXT, THERE], [THERE, NEXT]])
        while [table(one), table(two)] != [moved, moved] and time.monotonic() < end:
            time.sleep(0.1)
        told["moved"] = [table(one), table(two)]
        told["migrated"] = [isinstance(event, SaMigrated) for event in events.drain()]
        swanctl(one, "--terminate", "--ike", "moving")
        told["down"] = [table(one), table(two)]
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
