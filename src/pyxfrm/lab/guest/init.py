"""Process 1 of the guest: from a bare kernel to a machine that can run the host's programs.

    hostfs (read only)  +  a layer in the guest's memory  =  the guest's root
                           overlayfs: all may be written, nothing reaches the host

Above that root come fresh proc, sysfs, devtmpfs and /run; the run directory (where host and guest
exchange files) and the directories the user chose to share are mounted from hostfs, writable.
A kernel of one's own that has no overlayfs gets the plain read-only root instead.

Modules that XFRM wants are loaded at once (0.2 s for some hundred); what else the kernel misses it
gets through `pyxfrm.lab.guest.modprobe`. Then the agent is started and process 1 does what process
1 must: wait for orphans. When the agent ends, the machine is switched off.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

from pyxfrm.abi.protocols import PROTOCOLS
from pyxfrm.lab.guest import linux
from pyxfrm.lab.guest.modprobe import install
from pyxfrm.lab.modules import ModuleTree

__all__ = ["PRELOAD", "main"]

# Names of modules and aliases. What a kernel lacks, or has built in, is passed over.
PRELOAD = (
    *("xfrm_user", "af_key", "esp4", "esp6", "ah4", "ah6", "ipcomp", "ipcomp6"),
    *("esp4_offload", "esp6_offload", "xfrm_interface", "iptfs", "dummy", "veth", "nlmon", "tun"),
    "configs",  # /proc/config.gz: how this kernel was built
    *("crypto-authenc", "crypto-authencesn", "crypto-echainiv", "crypto-seqiv", "crypto-hmac"),
    *("crypto-cbc", "crypto-ctr", "crypto-ecb", "crypto-gcm", "crypto-ccm", "crypto-cmac"),
    *("crypto-xcbc", "crypto-rfc3686", "crypto-rfc4106", "crypto-rfc4309", "crypto-rfc4543"),
    *("crypto-rfc7539esp", "crypto-ghash", "crypto-chacha20", "crypto-poly1305"),
    *("crypto-md5", "crypto-sha1", "crypto-sha256", "crypto-sha384", "crypto-sha512"),
    *("crypto-rmd160", "crypto-sm3", "crypto-aes", "crypto-des3_ede", "crypto-blowfish"),
    *("crypto-cast5", "crypto-camellia", "crypto-serpent", "crypto-twofish", "crypto-sm4"),
    *("crypto-cipher_null", "crypto-deflate"),
)
# Without it this one makes a device in the initial namespace as it is loaded.
_PARAMETERS = {"dummy": "numdummies=0"}


def main(run: str) -> None:
    """Set the machine up, run what ``run``/guest.json asks for, power off. Never returns."""
    try:
        config = json.loads(Path(run, "guest.json").read_text(encoding="utf-8"))
        sys.path[:] = config["sys_path"]
        os.environ.update(config["environment"])
        tree = ModuleTree(Path(config["modules"])) if config["modules"] else None
        _mounts(config, tree)
        _kernel_settings(config, tree)
        _wait_for(_start(config))
    except BaseException:  # noqa: BLE001 - whatever it is, the console is the only place to say it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        linux.power_off()


def _mounts(config: dict[str, Any], tree: ModuleTree | None) -> None:
    run = config["run"]
    scratch = f"{run}/scratch"
    linux.mount("scratch", scratch, "tmpfs")
    root = _layered(scratch, tree)
    for kind, place in (("proc", "proc"), ("sysfs", "sys"), ("devtmpfs", "dev"), ("tmpfs", "run")):
        _mount_inside(kind, f"{root}/{place}")
    _mount_inside("devpts", f"{root}/dev/pts", "gid=5,mode=620,ptmxmode=666")
    _mount_inside("tmpfs", f"{root}/dev/shm")  # noqa: S108 - the guest's own
    for directory in (run, *config["shares"]):
        Path(root + directory).mkdir(parents=True, exist_ok=True)
        linux.mount("host", root + directory, "hostfs", 0, directory)
    if root:
        _name_protocols(Path(root, "etc/protocols"))
        linux.pivot_root(root)
    with contextlib.suppress(OSError):
        linux.mount("selinuxfs", "/sys/fs/selinux", "selinuxfs")


def _name_protocols(file: Path) -> None:
    """A small machine has no such file, and `ip` then knows no protocol by its name."""
    if not file.exists():
        lines = (f"{name} {number} {name.upper()}" for name, number in PROTOCOLS.items())
        file.write_text("\n".join(lines) + "\n")


def _layered(scratch: str, tree: ModuleTree | None) -> str:
    """Mount the writable layer over the root and return where; "" where the kernel cannot."""
    for name in ("upper", "work", "root"):
        Path(scratch, name).mkdir()
    try:
        if tree is not None:
            tree.load("overlay")
        layers = f"lowerdir=/,upperdir={scratch}/upper,workdir={scratch}/work"
        linux.mount("layer", f"{scratch}/root", "overlay", 0, layers)
    except OSError:
        return ""
    return f"{scratch}/root"


def _mount_inside(kind: str, place: str, data: str = "") -> None:
    """Mount over a directory that may not be there; on a plain root it may be mounted already."""
    with contextlib.suppress(FileExistsError):
        Path(place).mkdir(parents=True)
    with contextlib.suppress(OSError):
        linux.mount(kind, place, kind, 0, data)


def _kernel_settings(config: dict[str, Any], tree: ModuleTree | None) -> None:
    socket.sethostname("lab")
    if tree is not None:
        for name in PRELOAD:
            with contextlib.suppress(OSError):  # not for this machine, or it found no hardware
                tree.load(name, _PARAMETERS.get(name, ""))
        install(tree, config["start"])
    linux.lo_up()


def _start(config: dict[str, Any]) -> int:
    """Fork what the machine is for; its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        if config["mode"] == "shell":
            from pyxfrm.lab.guest.shell import main as work
        else:
            from pyxfrm.lab.guest.agent import main as work
        work(config)
    except BaseException:  # noqa: BLE001 - see main
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(0)


def _wait_for(child: int) -> None:
    """Reap orphans until ``child`` ends."""
    while os.wait()[0] != child:
        pass
