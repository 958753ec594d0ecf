"""What the kernel this process runs on can do for XFRM: asked of itself, not of its version.

Made to be called in the guest (``lab.call("pyxfrm.lab.probe:survey")``); works as well in any
network namespace where this process has CAP_NET_ADMIN.
"""

from __future__ import annotations

import errno
import gzip
import os
from pathlib import Path
from typing import Any

from pyxfrm.abi import structs
from pyxfrm.abi.messages import XFRM_MSG_MIGRATE_STATE
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR
from pyxfrm.abi.xfrm import AF_INET, IPPROTO_ESP
from pyxfrm.errors import errno_name
from pyxfrm.lab import kernel
from pyxfrm.lab.script import Open, Script, ask
from pyxfrm.wire.messages import build, decode
from pyxfrm.wire.netlink import ErrorBody

__all__ = ["OPTIONS", "migrate_state", "survey"]

# Build options that decide what can be tried on a kernel (net/xfrm/Kconfig and neighbours).
OPTIONS = (
    *("XFRM_USER", "XFRM_MIGRATE", "XFRM_SUB_POLICY", "XFRM_STATISTICS", "XFRM_INTERFACE"),
    *("XFRM_IPTFS", "XFRM_OFFLOAD", "NET_KEY", "INET_ESP", "INET6_ESP", "INET_ESP_OFFLOAD"),
    *("INET_ESPINTCP", "INET_AH", "INET6_AH", "INET_IPCOMP", "INET6_IPCOMP", "NETDEVSIM"),
    *("DUMMY", "VETH", "TUN", "NLMON", "NF_NAT", "SECURITY_NETWORK_XFRM", "SECURITY_SELINUX"),
    *("SMP", "KASAN", "PROVE_LOCKING"),
)
_ANSWERS = {
    errno.ESRCH: "yes",
    errno.ENOPROTOOPT: "known, but built without XFRM_MIGRATE",
    errno.EINVAL: "no",
}


def migrate_state() -> str:
    """Whether XFRM_MSG_MIGRATE_STATE works here: asked for an SA that cannot exist (SPI 1).

    Only ESRCH ("no such SA") is a yes; an older kernel calls the whole message invalid.
    """
    nowhere = bytes(16)
    selector = structs.Selector(nowhere, nowhere, 0, 0, 0, 0, AF_INET, 0, 0, 0, 0, 0)
    body = structs.UserMigrateState(
        id=structs.UserSaId(nowhere, 1, AF_INET, IPPROTO_ESP),
        new_daddr=nowhere,
        new_saddr=nowhere,
        old_mark=structs.MarkVM(0, 0),
        new_sel=selector,
        new_reqid=0,
        flags=0,
        new_family=AF_INET,
        reserved=0,
    )
    request = build(XFRM_MSG_MIGRATE_STATE, NLM_F_REQUEST | NLM_F_ACK, body, seq=1).encode()
    answers = kernel.run(Script((Open("probe", 0), *ask("probe", request)))).datagrams
    for answer in map(decode, answers):
        if answer.header.nlmsg_type == NLMSG_ERROR and isinstance(answer.body, ErrorBody):
            code = -answer.body.error
            return _ANSWERS.get(code, f"unclear: {errno_name(code)}")
    return "unclear: XFRM does not answer"


def survey(_: Any = None) -> dict[str, Any]:
    """Everything `xfrm lab info` shows, as a JSON value.

    ``options`` maps each of `OPTIONS` to ``y``, ``m`` or ``n``; it is empty where the kernel does
    not show how it was built (CONFIG_IKCONFIG_PROC).
    """
    return {
        "release": os.uname().release,
        "processors": os.cpu_count(),
        "memory": _first_number("/proc/meminfo"),
        "migrate_state": migrate_state(),
        "options": _options(),
        "modules": _loaded(),
    }


def _first_number(path: str) -> int:
    """The first number of a file: of /proc/meminfo that is MemTotal in kB."""
    return int(Path(path).read_text().split()[1])


def _loaded() -> list[str]:
    return sorted(line.split()[0] for line in Path("/proc/modules").read_text().splitlines())


def _options() -> dict[str, str]:
    path = Path("/proc/config.gz")
    if not path.exists():
        return {}
    chosen = {}
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        name, _, value = line.partition("=")
        chosen[name.removeprefix("CONFIG_")] = value
    return {name: chosen.get(name, "n") for name in OPTIONS}
