"""Our declarations against what a C compiler says of the real headers, both ways: nothing wrong, nothing forgotten."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pyxfrm.abi import messages, netlink, structs, xfrm
from pyxfrm.abi.ctypes import C_STRUCTS, NETLINK_H, XFRM_H, Bytes, Padding, Scalar, Tail
from pyxfrm.abi.messages import (
    ATTRIBUTES,
    MESSAGES,
    SAD_ATTRIBUTES,
    SPD_ATTRIBUTES,
)
from pyxfrm.wire.codec import codec

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())["headers"]
OURS = {
    name: value
    for module in (messages, netlink, xfrm)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, int)
}
THEIRS = {name: value for header in GOLDEN.values() for name, value in header["constants"].items()}

# Of <linux/netlink.h> an XFRM socket has no use for these.
UNUSED_NUMBERS = re.compile(
    "|".join(
        (
            "__.*",  # ends of enums, which move with every release
            "NL_.*",  # packet rings (gone) and attribute policies as generic netlink reports them
            "NLA_(ALIGNTO|HDRLEN)|NLMSG_(ALIGNTO|HDRLEN)",  # the codec knows them
            "MAX_LINKS|NET_MAJOR",  # of the character devices that were netlink before 2.2
            "NETLINK_(UN)?CONNECTED",  # states of a socket inside the kernel
            "LINUX_VERSION_.*",
        )
    )
)
OTHER_FAMILIES = {  # protocol numbers of socket(AF_NETLINK, ...) beside NETLINK_XFRM
    f"NETLINK_{name}"
    for name in (
        "AUDIT", "CONNECTOR", "CRYPTO", "DNRTMSG", "ECRYPTFS", "FIB_LOOKUP", "FIREWALL", "GENERIC",
        "INET_DIAG", "IP6_FW", "ISCSI", "KOBJECT_UEVENT", "NETFILTER", "NFLOG", "RDMA", "ROUTE",
        "SCSITRANSPORT", "SELINUX", "SMC", "SOCK_DIAG", "UNUSED", "USERSOCK",
    )
}  # fmt: skip
UNUSED_STRUCTS = {
    "sockaddr_nl",  # Python's socket module packs it
    "nl_pktinfo", "nl_mmap_req", "nl_mmap_hdr",  # ancillary data and packet rings
    "nla_bitfield32",  # no XFRM attribute is one
}  # fmt: skip
# Not in a header that user space gets.
KERNEL_ONLY = {
    "XFRM_MAX_DEPTH": 6,  # include/net/xfrm.h
}

each = pytest.mark.parametrize("cls", C_STRUCTS, ids=lambda cls: C_STRUCTS[cls].c_name)


def test_it_is_of_linux_7_3() -> None:
    version = GOLDEN["linux/version.h"]["constants"]
    assert version == {
        "LINUX_VERSION_MAJOR": 7,
        "LINUX_VERSION_PATCHLEVEL": 3,
        "LINUX_VERSION_SUBLEVEL": 0,
    }


def test_every_number_of_ours_is_the_compilers() -> None:
    theirs = THEIRS | {"NLA_TYPE_MASK": THEIRS["NLA_TYPE_MASK"] & 0xFFFF} | KERNEL_ONLY
    assert OURS.items() - theirs.items() == set()


def test_no_number_is_forgotten() -> None:
    wanted = {n for n in THEIRS if not UNUSED_NUMBERS.fullmatch(n)} - OTHER_FAMILIES
    assert wanted - OURS.keys() == set()


def test_no_structure_is_forgotten() -> None:
    for header in (NETLINK_H, XFRM_H):
        ours = {known.c_name for known in C_STRUCTS.values() if known.header == header}
        assert ours == GOLDEN[header]["structs"].keys() - UNUSED_STRUCTS


def test_a_space_names_what_the_header_names() -> None:
    """Rows carry the name that their constant has, and no number is without a row."""
    rows = {name: n for n, (name, _) in (ATTRIBUTES | {0: ("XFRMA_UNSPEC", None)}).items()}
    rows |= {row.name: n for n, row in MESSAGES.items()}
    rows |= {name: n for n, (name, _) in [*SAD_ATTRIBUTES.items(), *SPD_ATTRIBUTES.items()]}
    assert rows.items() - OURS.items() == set()
    assert sorted(ATTRIBUTES) == list(range(1, messages.XFRMA_MAX + 1))
    assert sorted(MESSAGES) == list(range(messages.XFRM_MSG_BASE, messages.XFRM_MSG_MAX + 1))
    assert sorted(SAD_ATTRIBUTES) == list(range(1, messages.XFRMA_SAD_MAX + 1))
    assert sorted(SPD_ATTRIBUTES) == list(range(1, messages.XFRMA_SPD_MAX + 1))


@each
def test_every_structure_lies_as_the_compiler_laid_it(cls: type[Any]) -> None:
    known = C_STRUCTS[cls]
    theirs = GOLDEN[known.header]["structs"][known.c_name]
    made = codec(cls)
    assert (made.size, made.align) == (theirs["size"], theirs["align"])
    assert fields(cls) == [
        (name, offset, size, kind.startswith("__be"), kind == "int")
        for kind, name, offset, size in theirs["fields"]
    ]


def fields(cls: type[Any]) -> list[tuple[str, int, int, bool, bool]]:
    """(name in C, offset, size, is it in network order, is it signed) of each field."""
    made = codec(cls)
    rows = []
    for name, kind in made.rows:
        if isinstance(kind, Padding) or (isinstance(kind, Tail) and cls is structs.UserSecCtx):
            continue  # the text after xfrm_user_sec_ctx has no name in C
        big = signed = False
        if isinstance(kind, Scalar):
            size, big, signed = kind.size, kind.big, kind.code.islower()
        elif isinstance(kind, Tail | Bytes):
            size = 0 if isinstance(kind, Tail) else kind.size
        else:
            size = codec(kind).size
        rows.append((name.removesuffix("_"), made.offset(name), size, big, signed))
    return rows
