"""Linux 7.2 at the other end of every algorithm, mode, family, encapsulation and sequence size."""

from __future__ import annotations

import random
import socket
from itertools import product
from typing import Any

import pytest

from pyxfrm.abi.xfrm import (
    XFRM_SA_XFLAG_DONT_ENCAP_DSCP,
    XFRM_STATE_ALIGN4,
    XFRM_STATE_DECAP_DSCP,
    XFRM_STATE_NOECN,
    XFRM_STATE_NOPMTUDISC,
)
from pyxfrm.esp import Mode, Proto
from pyxfrm.lab import Lab
from tests.esp.support import ALGORITHMS, ESN, SHAPES

pytestmark = pytest.mark.kernel
LABS = ["lab72", "lab612"]


def ask_all(lab: Lab, function: str, cases: list[dict[str, Any]]) -> list[tuple[object, object]]:
    """(case, complaint) for each complaint."""
    results = lab.map(f"tests.esp.guest:{function}", cases, timeout=60)
    return [
        (case, complaint)
        for case, result in zip(cases, results, strict=True)
        for complaint in (result.value if not result.error else [result.error + result.traceback])
    ]


def esp_cases(name: str) -> list[dict[str, Any]]:
    return [
        {
            "algorithm": name,
            "mode": mode,
            "outer": outer,
            "inner": inner,
            "encap": encap,
            "flags": flags,
        }
        for (mode, outer, inner), encap, flags in product(SHAPES, (False, True), (0, ESN))
    ]


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_esp_both_ways(lab72: Lab, name: str) -> None:
    assert ask_all(lab72, "both_ways", esp_cases(name)) == []


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_esp_both_ways_on_an_older_kernel(lab612: Lab, name: str) -> None:
    assert ask_all(lab612, "both_ways", esp_cases(name)) == []


AH = [("hmac(md5)", 96, 16), ("hmac(sha1)", 96, 20), ("hmac(sha256)", 0, 32), ("hmac(sha256)", 128, 32),
      ("hmac(sha384)", 192, 48), ("hmac(sha512)", 256, 64), ("xcbc(aes)", 96, 16), ("cmac(aes)", 96, 16)]  # fmt: skip


@pytest.mark.parametrize("auth", AH, ids=[f"{name}-{bits}" for name, bits, _ in AH])
@pytest.mark.parametrize("lab", LABS)
def test_ah_both_ways(lab: str, request: pytest.FixtureRequest, auth: tuple[str, int, int]) -> None:
    cases = [
        {
            "proto": Proto.AH,
            "auth": auth,
            "mode": mode,
            "outer": outer,
            "inner": inner,
            "flags": flags,
            "one_way": mode is Mode.BEET and inner == 4,  # see pyxfrm.esp.ah
        }
        for (mode, outer, inner), flags in product(SHAPES, (0, ESN, XFRM_STATE_ALIGN4))
    ]
    assert ask_all(request.getfixturevalue(lab), "both_ways", cases) == []


@pytest.mark.parametrize("lab", LABS)
def test_ipcomp_both_ways(lab: str, request: pytest.FixtureRequest) -> None:
    """Sizes below and above the threshold; in a tunnel the small ones are IP in IP."""
    cases = [
        {
            "proto": Proto.COMP,
            "mode": mode,
            "outer": outer,
            "inner": inner,
            "sizes": [1, 50, 300, 1300],
        }
        for mode, outer, inner in SHAPES
        if mode is not Mode.BEET
    ]
    assert ask_all(request.getfixturevalue(lab), "both_ways", cases) == []


IP, IPV6 = socket.IPPROTO_IP, socket.IPPROTO_IPV6
NO_DF = (IP, 10, "00000000")  # IP_MTU_DISCOVER = IP_PMTUDISC_DONT


def tos(value: int) -> tuple[int, int, str]:
    return IP, 1, f"{value:02x}000000"


def tclass(value: int) -> tuple[int, int, str]:
    return IPV6, 67, f"{value:02x}000000"


# what a socket may set, one after the other; each stays
OPTIONS4 = [
    [tos(0xB8)],
    [tos(0xB9)],
    [tos(0xBA)],
    [tos(0xBB)],
    [NO_DF],
    [tos(0), (IP, 4, "94040000")],  # router alert
    [(IP, 4, "0101010107070400000000" + "00")],  # record route
    [(IP, 4, "0101010101010144" + "0c05000000000000000000" + "00")],
]
OPTIONS6 = [
    [tclass(0xB8)],
    [tclass(0xBB)],
    [tclass(0), (IPV6, 54, "0000050200000100")],  # hop-by-hop: router alert
    [(IPV6, 59, "0000250201020100")],  # destination options, may change
    [(IPV6, 54, "")],
]
MARKS = [[inner, outer] for inner in (0, 1, 2, 3, 0xB8, 0xBA) for outer in (0, 1, 2, 3, 0x2E, 0x2F)]
FLAGS = [
    (0, 0),
    (XFRM_STATE_NOECN, 0),
    (XFRM_STATE_DECAP_DSCP, 0),
    (XFRM_STATE_NOPMTUDISC, 0),
    (0, XFRM_SA_XFLAG_DONT_ENCAP_DSCP),
]


@pytest.mark.parametrize("proto", [Proto.ESP, Proto.AH])
def test_header_fields(lab72: Lab, proto: Proto) -> None:
    """DS field, DF, identification, options, flow label: outside, inside and back."""
    cases = [
        {
            "proto": proto,
            "auth": ("hmac(sha256)", 128, 32),
            "mode": mode,
            "outer": outer,
            "inner": inner,
            "flags": flags,
            "extra_flags": extra,
            "options": OPTIONS4 if inner == 4 else OPTIONS6,
            "marks": MARKS if mode is Mode.TUNNEL else [],
        }
        for (mode, outer, inner), (flags, extra) in product(SHAPES, FLAGS)
        if not (proto == Proto.AH and mode is Mode.BEET and inner == 4)
    ]
    assert ask_all(lab72, "fields", cases) == []


def test_tfc_padding(lab72: Lab) -> None:
    cases = [
        # encapsulated, for else packets go through esp4_offload, which knows no TFC padding
        {"mode": mode, "outer": outer, "inner": inner, "tfcpad": pad, "encap": True}
        for (mode, outer, inner), pad in product(SHAPES, (100, 4000))
        if mode is Mode.TUNNEL
    ]
    assert ask_all(lab72, "both_ways", cases) == []


@pytest.mark.parametrize("lab", LABS)
@pytest.mark.parametrize("name", ["gcm128", "cbc256-sha256", "null-sha1", "chacha"])
def test_malformed_packets_move_the_same_counters(
    lab: str, request: pytest.FixtureRequest, name: str
) -> None:
    cases = [
        {"algorithm": name, "mode": Mode.TUNNEL, "outer": outer, "inner": inner, "flags": flags}
        for outer, inner, flags in product((4, 6), (4, 6), (0, ESN))
    ]
    assert ask_all(request.getfixturevalue(lab), "refusals", cases) == []


def numbers(seed: int, top: int, window: int) -> list[int]:
    """A stream with late ones, repeats and jumps."""
    dice, at, walk = random.Random(seed), top, []
    for _ in range(100):
        at += dice.choice(
            [1, 1, 1, 2, -1, -2, -window, 1 - window, -window // 2, window // 2, 3 * window]
        )
        at = max(1, at)
        walk.append(at)
    return walk


WINDOWS = [  # (window, bmp_len, ESN, start)
    (32, None, False, 0),
    (7, None, False, 0),
    (0, None, False, 0),
    *((size, (size + 31) // 32, False, 0) for size in (31, 32, 64, 96, 100, 128, 2048, 4096)),
    (64, 4, False, 70_000),
    *((size, (size + 31) // 32, True, 0) for size in (1, 31, 64, 96, 2048, 4096)),
    *((size, (size + 31) // 32, True, 2**32 - 90) for size in (64, 96, 100, 4096)),
    (64, 2, True, 5 * 2**32 + 20),
]


@pytest.mark.parametrize("lab", LABS)
def test_windows_bit_for_bit(lab: str, request: pytest.FixtureRequest) -> None:
    cases = [
        {
            "inner": 4,
            "window": window,
            "bmp_len": bmp_len,
            "flags": ESN if esn else 0,
            "top": top,
            "numbers": numbers(seed, top, max(window, 2)),
        }
        for (window, bmp_len, esn, top), seed in product(WINDOWS, range(2))
    ]
    assert ask_all(request.getfixturevalue(lab), "replay", cases) == []
