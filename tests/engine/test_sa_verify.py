"""Every refusal that NEWSA and UPDSA make on the request alone, in the kernel's order and words."""

from __future__ import annotations

from errno import EINVAL, EPROTONOSUPPORT
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_3, Profile
from pyxfrm.engine.sa_verify import key_bytes
from tests.engine.algos import (
    AEAD,
    AUTH,
    CRYPT,
    IN,
    OUT,
    aead,
    auth,
    auth_trunc,
    comp,
    crypt,
    encap,
    esn,
    sec_ctx,
)
from tests.engine.helpers import ANY4, Talk, sa_info, v6

NEWSA, UPDSA = m.XFRM_MSG_NEWSA, m.XFRM_MSG_UPDSA
COADDR = (m.XFRMA_COADDR, v6(9))
TFC = (m.XFRMA_TFCPAD, 100)
FULL = 0xFFFFFFFF
ESN = 0x80


def info(**more: Any) -> s.UserSaInfo:
    return sa_info(**more)


def sel(**more: Any) -> s.Selector:
    return ANY4._replace(**more)


FAMILIES = [
    (info(family=0), [AEAD], "Invalid address family"),
    (info(family=3), [AEAD], "Invalid address family"),
    (
        info(sel=sel(prefixlen_d=33)),
        [AEAD],
        "Invalid prefix length in selector (must be <= 32 for IPv4)",
    ),
    (
        info(sel=sel(family=0, prefixlen_s=33)),
        [AEAD],
        "Invalid prefix length in selector (must be <= 32 for IPv4)",
    ),
    (
        info(sel=sel(family=10, prefixlen_s=129)),
        [AEAD],
        "Invalid prefix length in selector (must be <= 128 for IPv6)",
    ),
    (info(sel=sel(family=7)), [AEAD], "Invalid address family in selector"),
]
AH = info(proto=51)
COMP = info(proto=108)
MOBILE = info(proto=60, spi=0, mode=2, family=10, daddr=v6(1), saddr=v6(2))
PROTOCOLS = [
    (AH, [], "Missing required attribute for AH: AUTH_TRUNC or AUTH"),
    (AH, [AUTH, CRYPT], "Invalid attributes for AH: AEAD, CRYPT, COMP, TFCPAD"),
    (AH, [AUTH, TFC], "Invalid attributes for AH: AEAD, CRYPT, COMP, TFCPAD"),
    (info(), [AEAD, comp()], "Invalid attribute for ESP: COMP"),
    (
        info(),
        [],
        "Missing required attribute for ESP: at least one of AUTH, AUTH_TRUNC, CRYPT, AEAD",
    ),
    (
        info(),
        [AEAD, AUTH],
        "Invalid attribute combination for ESP: AEAD can't be used with AUTH, AUTH_TRUNC, CRYPT",
    ),
    (info(mode=0), [AEAD, TFC], "TFC padding can only be used in tunnel mode"),
    (
        info(),
        [AEAD, (m.XFRMA_IPTFS_PKT_SIZE, 0)],
        "IP-TFS options can only be used in IP-TFS mode",
    ),
    (COMP, [], "Missing required attribute for COMP: COMP"),
    (COMP, [comp(), AUTH], "Invalid attributes for COMP: AEAD, AUTH, AUTH_TRUNC, CRYPT, TFCPAD"),
    (
        info(proto=108, spi=0x10000),
        [comp()],
        "SPI is too large for COMP (must be < 0x10000)",
    ),
    (MOBILE, [COADDR, encap()], "Invalid attributes for DSTOPTS/ROUTING"),
    (MOBILE, [], "Missing required COADDR attribute for DSTOPTS/ROUTING"),
    (info(proto=17), [AEAD], "Unsupported protocol"),
    (info(proto=4), [AEAD], "Unsupported protocol"),
]


def cut(attr: tuple[int, Any], bits: int) -> tuple[int, Any]:
    """The same attribute with a key that is said to be longer than it is."""
    number, value = attr
    return number, value._replace(alg_key_len=bits)


LENGTHS = [
    (info(), [cut(AEAD, 161)], "Invalid AEAD attribute length"),
    (AH, [cut(auth_trunc("sha256", 4, 96), 33)], "Invalid AUTH_TRUNC attribute length"),
    (AH, [cut(AUTH, 257)], "Invalid AUTH/CRYPT/COMP attribute length"),
    (info(), [cut(CRYPT, 129)], "Invalid AUTH/CRYPT/COMP attribute length"),
    (COMP, [cut(comp(), 1)], "Invalid AUTH/CRYPT/COMP attribute length"),
    (info(), [AEAD, sec_ctx(b"x", length=8)], "Invalid security context length"),
    (info(), [AEAD, sec_ctx(b"x", length=200)], "Invalid security context length"),
]
SEQUENCES = [
    (info(flags=ESN), [AEAD], "Missing required attribute for ESN"),
    (info(), [AEAD, esn(129)], "ESN bitmap length must be <= 128"),
    (
        info(),
        [AEAD, esn(4, bmp=bytes(4))],
        "ESN attribute is too short to fit the full bitmap length",
    ),
    (COMP, [comp(), esn()], "ESN only supported for ESP and AH"),
    (info(replay_window=1), [AEAD, esn()], "ESN not compatible with legacy replay_window"),
    (info(), [AEAD, OUT, esn()], "Replay window should be 0 for output SA"),
    (info(), [AEAD, OUT, esn(0, 0, seq=1)], "Replay seq and seq_hi should be 0 for output SA"),
    (
        info(),
        [AEAD, OUT, esn(0, 0, oseq_hi=1)],
        "Replay oseq_hi should be 0 in non-ESN mode for output SA",
    ),
    (
        info(),
        [AEAD, OUT, esn(0, 0, oseq=FULL)],
        "Replay oseq should be less than 0xFFFFFFFF in non-ESN mode for output SA",
    ),
    (
        info(flags=ESN),
        [AEAD, OUT, esn(0, 0, oseq=FULL, oseq_hi=FULL)],
        "Replay oseq and oseq_hi should be less than 0xFFFFFFFF for output SA",
    ),
    (info(), [AEAD, OUT, esn(1, 0)], "Replay bmp_len should 0 for output SA"),
    (
        info(),
        [AEAD, IN, esn(oseq=1)],
        "Replay oseq and oseq_hi should be 0 for input SA",
    ),
    (
        info(),
        [AEAD, IN, esn(seq_hi=1)],
        "Replay seq_hi should be 0 in non-ESN mode for input SA",
    ),
    (
        info(),
        [AEAD, IN, esn(seq=FULL)],
        "Replay seq should be less than 0xFFFFFFFF in non-ESN mode for input SA",
    ),
    (
        info(flags=ESN),
        [AEAD, IN, esn(seq=FULL, seq_hi=FULL)],
        "Replay seq and seq_hi should be less than 0xFFFFFFFF for input SA",
    ),
]
MODES = [
    (info(mode=3), [AEAD], "Unsupported mode"),
    (info(mode=6), [AEAD], "Unsupported mode"),
    (info(mode=5, proto=51), [AUTH], "IP-TFS mode only supported with ESP"),
    (info(mode=5), [AEAD], "IP-TFS mode requires in or out direction attribute"),
    (info(), [AEAD, (m.XFRMA_MTIMER_THRESH, 1)], "MTIMER_THRESH requires encapsulation"),
    (
        info(),
        [AEAD, OUT, encap(), (m.XFRMA_MTIMER_THRESH, 1)],
        "MTIMER_THRESH should not be set on output SA",
    ),
    (info(), [AEAD, (m.XFRMA_SA_PCPU, 0)], "SA_PCPU only supported with SA_DIR"),
]
IPTFS = info(mode=5)
DIRECTIONS = [
    (info(flags=2), [AEAD, OUT], "Flag DECAP_DSCP should not be set for output SA"),
    (info(flags=16), [AEAD, OUT], "Flag ICMP should not be set for output SA"),
    (info(flags=8), [AEAD, OUT], "Flag WILDRECV should not be set for output SA"),
    (info(replay_window=1), [AEAD, OUT], "Replay window should be 0 for output SA"),
    (
        IPTFS,
        [AEAD, OUT, (m.XFRMA_IPTFS_DROP_TIME, 0)],
        "IP-TFS drop time should not be set for output SA",
    ),
    (
        IPTFS,
        [AEAD, OUT, (m.XFRMA_IPTFS_REORDER_WINDOW, 0)],
        "IP-TFS reorder window should not be set for output SA",
    ),
    (
        info(),
        [AEAD, OUT, (m.XFRMA_REPLAY_VAL, s.ReplayState(1, 0, 1))],
        "Replay seq and bitmap should be 0 for output SA",
    ),
    (info(flags=4), [AEAD, IN], "Flag NOPMTUDISC should not be set for input SA"),
    (
        info(),
        [AEAD, IN, (m.XFRMA_SA_EXTRA_FLAGS, 3)],
        "Flag DONT_ENCAP_DSCP should not be set for input SA",
    ),
    (
        info(),
        [AEAD, IN, (m.XFRMA_SA_EXTRA_FLAGS, 2)],
        "Flag OSEQ_MAY_WRAP should not be set for input SA",
    ),
    (
        IPTFS,
        [AEAD, IN, (m.XFRMA_IPTFS_DONT_FRAG, True)],
        "IP-TFS don't fragment should not be set for input SA",
    ),
    (
        IPTFS,
        [AEAD, IN, (m.XFRMA_IPTFS_INIT_DELAY, 0)],
        "IP-TFS initial delay should not be set for input SA",
    ),
    (
        IPTFS,
        [AEAD, IN, (m.XFRMA_IPTFS_MAX_QSIZE, 0)],
        "IP-TFS max queue size should not be set for input SA",
    ),
    (
        IPTFS,
        [AEAD, IN, (m.XFRMA_IPTFS_PKT_SIZE, 0)],
        "IP-TFS packet size should not be set for input SA",
    ),
]


@pytest.mark.parametrize("kind", [NEWSA, UPDSA])
@pytest.mark.parametrize(
    ("body", "attrs", "text"),
    FAMILIES + PROTOCOLS + LENGTHS + SEQUENCES + MODES + DIRECTIONS,
)
def test_refusals(kind: int, body: s.UserSaInfo, attrs: list[Any], text: str) -> None:
    talk = Talk()
    assert talk.refused(kind, body, attrs) == (EINVAL, text)
    assert len(talk.engine.sadb) == 0
    assert talk.events() == []


def test_the_family_comes_before_the_protocol_and_that_before_the_lengths() -> None:
    talk = Talk()
    wrong = info(family=3, proto=17, sel=sel(family=9))
    assert talk.refused(NEWSA, wrong)[1] == "Invalid address family"
    wrong = wrong._replace(family=2)
    assert talk.refused(NEWSA, wrong)[1] == "Invalid address family in selector"
    wrong = wrong._replace(sel=ANY4)
    assert talk.refused(NEWSA, wrong, [cut(AEAD, 999)])[1] == "Unsupported protocol"


def test_a_selector_without_family_is_checked_unless_the_sa_says_so() -> None:
    wide = info(sel=sel(family=0, prefixlen_d=200))
    assert "prefix length" in Talk().refused(NEWSA, wide, [AEAD])[1]
    Talk().ok(NEWSA, wide._replace(flags=0x20), [AEAD])


def test_an_unterminated_name_is_cut_in_the_echo_too() -> None:
    talk = Talk(cap_ack=False)
    number, value = aead("rfc4106(gcm(aes))", 20, 128)
    answer = talk.answer(NEWSA, info(), [(number, value._replace(alg_name=b"x" * 64))])
    assert answer.text == "Requested AEAD algorithm not found"
    assert b"x" * 63 + b"\0" in answer.echo
    assert b"x" * 64 not in answer.echo


def test_only_the_last_of_repeated_attributes_is_cut() -> None:
    talk = Talk(cap_ack=False)
    number, value = crypt("", 16)
    twice = [(number, value._replace(alg_name=letter * 64)) for letter in (b"x", b"y")]
    answer = talk.answer(NEWSA, info(), twice)
    assert b"x" * 64 in answer.echo
    assert b"y" * 63 + b"\0" in answer.echo


@pytest.mark.parametrize(
    ("profile", "texts"),
    [
        (LINUX_7_3, ("MTIMER_THRESH requires encapsulation",)),
        (LINUX_6_12, ("MTIMER_THRESH attribute can only be set on ENCAP states",)),
    ],
)
def test_words_differ_by_kernel(profile: Profile, texts: tuple[str]) -> None:
    talk = Talk(profile)
    assert talk.refused(NEWSA, info(), [AEAD, (m.XFRMA_MTIMER_THRESH, 1)])[1] == texts[0]


def test_an_older_kernel_does_not_know_iptfs() -> None:
    assert Talk(LINUX_6_12).refused(NEWSA, IPTFS, [AEAD, OUT]) == (EINVAL, "Unsupported mode")
    Talk().ok(NEWSA, IPTFS, [AEAD, OUT])


def test_a_family_without_the_mode_is_another_errno() -> None:
    body = info(mode=2)
    text = "Requested mode not found"
    assert Talk().refused(NEWSA, body, [AEAD]) == (EPROTONOSUPPORT, text)


@given(st.integers(0, 0xFFFFFFFF))
def test_bytes_of_a_key_wrap_as_in_c(bits: int) -> None:
    assert key_bytes(bits) == ((bits + 7) % (1 << 32)) // 8
    if bits <= 0xFFFFFFF8:
        assert key_bytes(bits) == -(-bits // 8)
    else:
        assert key_bytes(bits) == 0


def test_auth_is_fine_for_ah() -> None:
    Talk().ok(NEWSA, AH, [auth("sha256", 32)])
