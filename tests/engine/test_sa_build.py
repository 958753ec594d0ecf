"""What NEWSA makes: algorithms under their own names, defaults filled in, and the refusals of mode, type and keys."""

from __future__ import annotations

from errno import EINVAL, ENOMEM, ENOSYS, EPROTONOSUPPORT, ERANGE
from typing import Any

import pytest

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2, LINUX_7_3
from pyxfrm.wire.messages import Message
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
from tests.engine.helpers import ANY4, NOW, Talk, get_sa, sa_id, sa_info, v4, v6

NEWSA = m.XFRM_MSG_NEWSA
CRYPTO = "Kernel was unable to initialize cryptographic operations"
V6: dict[str, Any] = {"family": 10, "daddr": v6(1), "saddr": v6(2)}
COADDR = (m.XFRMA_COADDR, v6(9))


def built(*attrs: Any, talk: Talk | None = None, **more: Any) -> Message:
    """The SA that a NEWSA makes, as the event shows it and GETSA too."""
    talk = talk or Talk()
    body = sa_info(**more)
    talk.ok(NEWSA, body, attrs)
    (event,) = talk.events()
    who = sa_id(body.id.spi, body.id.daddr, body.family, body.id.proto)
    shown = get_sa(talk, who)
    assert shown.body == event.body
    assert shown.attrs == event.attrs
    return event


def refused(*attrs: Any, talk: Talk | None = None, **more: Any) -> tuple[int, str]:
    talk = talk or Talk()
    answer = talk.refused(NEWSA, sa_info(**more), attrs)
    assert len(talk.engine.sadb) == 0
    assert talk.events() == []
    return answer


# -- algorithms --------------------------------------------------------------------------------------


def test_aliases_become_names() -> None:
    shown = built(crypt("aes", 16), auth("sha256", 32))
    assert shown.get(m.XFRMA_ALG_CRYPT).alg_name.rstrip(b"\0") == b"cbc(aes)"
    assert shown.get(m.XFRMA_ALG_AUTH).alg_name.rstrip(b"\0") == b"hmac(sha256)"
    trunc = shown.get(m.XFRMA_ALG_AUTH_TRUNC)
    assert (trunc.alg_trunc_len, trunc.alg_key_len) == (96, 256)


def test_the_order_of_attributes() -> None:
    shown = built(crypt("aes", 16), auth("sha256", 32))
    assert [attr.number for attr in shown.attrs] == [
        m.XFRMA_ALG_AUTH,
        m.XFRMA_ALG_AUTH_TRUNC,
        m.XFRMA_ALG_CRYPT,
        m.XFRMA_REPLAY_VAL,
    ]


def test_truncation_wins_and_zero_means_the_default() -> None:
    shown = built(CRYPT, auth_trunc("sha256", 32, 128), auth("nope", 0))
    assert shown.get(m.XFRMA_ALG_AUTH_TRUNC).alg_trunc_len == 128
    shown = built(CRYPT, auth_trunc("hmac(sha512)", 64, 0))
    assert shown.get(m.XFRMA_ALG_AUTH_TRUNC).alg_trunc_len == 256


def test_an_older_kernel_forgets_a_truncation_without_a_number() -> None:
    attrs = (CRYPT, auth_trunc("cmac(aes)", 16, 64), auth("sha256", 32))
    names = [
        built(*attrs, talk=Talk(profile)).get(m.XFRMA_ALG_AUTH).alg_name.rstrip(b"\0")
        for profile in (LINUX_7_2, LINUX_6_12)
    ]
    assert names == [b"cmac(aes)", b"hmac(sha256)"]


@pytest.mark.parametrize(
    ("attr", "kind"),
    [
        (aead("rfc4106(gcm(aes))", 20, 120), "AEAD"),
        (auth_trunc("nope", 0, 0), "AUTH_TRUNC"),
        (auth("sha384", 48), "AUTH"),
        (crypt("nope", 0), "CRYPT"),
    ],
)
def test_unknown_algorithms(attr: Any, kind: str) -> None:
    assert refused(attr) == (ENOSYS, f"Requested {kind} algorithm not found")


def test_an_unknown_compression() -> None:
    assert refused(comp("lzs"), proto=108) == (ENOSYS, "Requested COMP algorithm not found")


@pytest.mark.parametrize(
    ("attrs", "answer"),
    [
        ((aead("rfc4106(gcm(aes))", 19, 128),), (EINVAL, CRYPTO)),
        ((crypt("aes", 15),), (EINVAL, "")),
        ((CRYPT, auth("xcbc(aes)", 24)), (EINVAL, "")),
        ((CRYPT, auth_trunc("sha256", 32, 7)), (EINVAL, CRYPTO)),
        (
            (CRYPT, auth_trunc("sha256", 32, 257)),
            (EINVAL, "Invalid length requested for truncated ICV"),
        ),
        ((auth("sha256", 32),), (EINVAL, "ESP: AEAD or CRYPT must be provided")),
    ],
)
def test_keys_and_lengths_that_the_crypto_refuses(attrs: Any, answer: tuple[int, str]) -> None:
    assert refused(*attrs) == answer


def test_esn_wants_four_bytes_of_icv() -> None:
    attrs = (CRYPT, auth_trunc("sha256", 32, 24))
    built(*attrs)
    assert refused(*attrs, esn(), flags=128) == (EINVAL, CRYPTO)


def test_a_key_length_that_wraps_to_no_key() -> None:
    number, value = crypt("cipher_null", 0)
    shown = built((number, value._replace(alg_key_len=0xFFFFFFFF)))
    kept = shown.get(m.XFRMA_ALG_CRYPT)
    assert (kept.alg_key_len, kept.alg_key) == (0xFFFFFFFF, b"")


def test_a_locked_down_kernel_shows_no_keys() -> None:
    talk = Talk()
    talk.engine.sysctl.lockdown = True
    shown = built(crypt("aes", 16), auth("sha256", 32), talk=talk)
    assert shown.get(m.XFRMA_ALG_CRYPT).alg_key == bytes(16)
    assert shown.get(m.XFRMA_ALG_AUTH).alg_key == bytes(32)


# -- mode and type -------------------------------------------------------------------------------------


def test_modes_of_a_family() -> None:
    none = (EPROTONOSUPPORT, "Requested mode not found")
    assert refused(AEAD, mode=2) == none
    built(AEAD, mode=2, **V6)
    apart = (EPROTONOSUPPORT, "Only tunnel modes can accommodate a change of family")
    six = ANY4._replace(family=10)
    assert refused(AEAD, mode=0, sel=six) == apart
    assert refused(AEAD, mode=2, sel=six) == apart
    for mode in (1, 4):
        built(AEAD, mode=mode, sel=six)


def test_a_selector_without_family_gets_the_sa_s() -> None:
    any_family = ANY4._replace(family=0)
    assert built(AEAD, sel=any_family).body.sel.family == 2
    assert built(AEAD, sel=any_family, flags=0x20).body.sel.family == 0


@pytest.mark.parametrize("proto", [43, 60])
def test_mobility_headers(proto: int) -> None:
    assert refused(COADDR, proto=proto, spi=0, mode=0) == (
        EPROTONOSUPPORT,
        "Requested type not found",
    )
    assert refused(COADDR, proto=proto, mode=2, **V6) == (EINVAL, "SPI must be 0")
    text = "XFRM mode must be XFRM_MODE_ROUTEOPTIMIZATION"
    assert refused(COADDR, proto=proto, spi=0, mode=1, **V6) == (EINVAL, text)
    talk = Talk()
    talk.ok(NEWSA, sa_info(spi=0, proto=proto, mode=2, **V6), [COADDR])
    (event,) = talk.events()
    assert event.get(m.XFRMA_COADDR) == v6(9)


def test_ah() -> None:
    assert refused(AUTH, encap(), proto=51) == (EINVAL, "AH is not compatible with encapsulation")
    assert refused(auth("xcbc(aes)", 5), proto=51) == (EINVAL, CRYPTO)
    text = "Invalid mode requested for AH, must be one of TRANSPORT, TUNNEL, BEET"
    assert refused(AUTH, proto=51, mode=2, **V6) == (EINVAL, text)
    for mode in (0, 1, 4):
        built(AUTH, proto=51, mode=mode, **V6)


def test_encapsulation() -> None:
    for kind in (0, 1, 7):
        text = "Unsupported encapsulation type for ESP"
        assert refused(AEAD, encap(kind)) == (EINVAL, text)
    number, value = encap(2, 1, 2)
    shown = built(AEAD, (number, value._replace(pad=b"xy")))
    assert shown.get(number) == value


def test_a_keepalive_is_for_output_and_udp() -> None:
    keepalive = (m.XFRMA_NAT_KEEPALIVE_INTERVAL, 20)
    text = "NAT keepalive is only supported for outbound SAs"
    assert refused(AEAD, keepalive) == (EINVAL, text)
    assert refused(AEAD, keepalive, IN, encap()) == (EINVAL, text)
    text = "NAT keepalive is only supported for UDP encapsulation"
    assert refused(AEAD, keepalive, OUT) == (EINVAL, text)
    assert built(AEAD, keepalive, OUT, encap()).get(keepalive[0]) == 20


# -- the rest --------------------------------------------------------------------------------------------


def test_numbers_that_are_too_big() -> None:
    assert refused(AEAD, (m.XFRMA_TFCPAD, 65536)) == (EINVAL, "Excessive TFC padding")
    built(AEAD, (m.XFRMA_TFCPAD, 65536), talk=Talk(LINUX_6_12))
    assert refused(AEAD, IN, (m.XFRMA_SA_PCPU, 1)) == (ERANGE, "pCPU number too big")
    assert built(AEAD, IN, (m.XFRMA_SA_PCPU, 0)).get(m.XFRMA_SA_PCPU) == 0


def test_marks() -> None:
    talk = Talk()
    talk.ok(NEWSA, sa_info(), [AEAD, (m.XFRMA_MARK, s.MarkVM(0x1FF, 0xFF))])
    (event,) = talk.events()
    assert event.get(m.XFRMA_MARK) == s.MarkVM(0xFF, 0xFF)
    shown = built(AEAD, (m.XFRMA_SET_MARK, 7))
    assert (shown.get(m.XFRMA_SET_MARK), shown.get(m.XFRMA_SET_MARK_MASK)) == (7, 0xFFFFFFFF)
    assert built(AEAD, (m.XFRMA_SET_MARK_MASK, 7)).get(m.XFRMA_SET_MARK) is None


def test_padding_of_the_id_is_kept() -> None:
    body = sa_info()
    body = body._replace(id=body.id._replace(pad=b"abc"))
    talk = Talk()
    talk.ok(NEWSA, body, [AEAD])
    (event,) = talk.events()
    assert event.body.id.pad == b"abc"


def test_windows() -> None:
    assert built(AEAD, replay_window=200).body.replay_window == 32
    state = built(AEAD, esn(2, 64, bmp=b"")).get(m.XFRMA_REPLAY_ESN_VAL)
    assert (state.replay_window, state.bmp) == (64, bytes(8))
    text = "ESN replay window is too large for the chosen bitmap size"
    assert refused(AEAD, esn(2, 65)) == (EINVAL, text)
    assert refused(AEAD, esn(2, 0), flags=128) == (EINVAL, "ESN replay window must be > 0")
    built(AEAD, esn(2, 0))
    built(AEAD, OUT, esn(0, 0), flags=128)


def test_counters_and_numbers_can_be_given() -> None:
    counters = s.LifetimeCur(1, 2, 3, 4)
    shown = built(AEAD, (m.XFRMA_LTIME_VAL, counters), (m.XFRMA_REPLAY_VAL, s.ReplayState(5, 6, 7)))
    assert shown.body.curlft == counters
    assert shown.get(m.XFRMA_REPLAY_VAL) == s.ReplayState(5, 6, 7)
    assert built(AEAD).body.curlft == s.LifetimeCur(0, 0, int(NOW), 0)


def test_no_path_mtu_discovery_by_sysctl() -> None:
    def flags(*attrs: Any, **more: Any) -> int:
        talk = Talk()
        talk.engine.sysctl.ip_no_pmtu_disc = 1
        return int(built(AEAD, *attrs, talk=talk, **more).body.flags)

    assert flags() == flags(OUT) == 4
    assert flags(IN) == flags(**V6) == 0


def test_security_contexts_of_a_kernel_without_a_policy() -> None:
    shown = built(AEAD, sec_ctx(b"any text"))
    kept = shown.get(m.XFRMA_SEC_CTX)
    assert (kept.ctx_str, kept.ctx_len, kept.len) == (b"any text\0", 9, 17)
    assert refused(AEAD, sec_ctx(b"")) == (EINVAL, "")
    assert refused(AEAD, sec_ctx(b"x", doi=0)) == (EINVAL, "")
    assert refused(AEAD, sec_ctx(b"x", alg=2)) == (EINVAL, "")
    assert refused(AEAD, sec_ctx(b"x" * 4096)) == (ENOMEM, "")
    without = Talk(LINUX_7_2._replace(selinux=False))
    assert built(AEAD, sec_ctx(b"x", alg=2), talk=without).get(m.XFRMA_SEC_CTX) is None


# -- IP-TFS ------------------------------------------------------------------------------------------------

PKT_SIZE = m.XFRMA_IPTFS_PKT_SIZE


def test_iptfs_defaults() -> None:
    shown = built(AEAD, OUT, talk=Talk(LINUX_7_3), mode=5)
    assert shown.get(m.XFRMA_IPTFS_INIT_DELAY) == 0
    assert shown.get(m.XFRMA_IPTFS_MAX_QSIZE) == 10 << 20
    assert shown.get(PKT_SIZE) == 0
    assert shown.get(m.XFRMA_IPTFS_DONT_FRAG) is None
    shown = built(AEAD, IN, talk=Talk(LINUX_7_3), mode=5)
    assert shown.get(m.XFRMA_IPTFS_DROP_TIME) == 1_000_000
    assert shown.get(m.XFRMA_IPTFS_REORDER_WINDOW) == 3


def test_iptfs_without_its_code_is_accepted_and_forgotten() -> None:
    assert built(AEAD, OUT, (PKT_SIZE, 1), mode=5).get(PKT_SIZE) is None


@pytest.mark.parametrize(
    ("attrs", "more", "header"),
    [
        ((AEAD,), {}, 20 + 8 + 8 + 4),
        ((AEAD, encap()), {}, 20 + 8 + 8 + 8 + 4),
        ((AEAD,), V6, 40 + 8 + 8 + 4),
        ((CRYPT,), {}, 20 + 8 + 16 + 4),
        ((crypt("cipher_null", 0),), {}, 20 + 8 + 4),
    ],
)
def test_iptfs_packets_hold_more_than_their_headers(attrs: Any, more: Any, header: int) -> None:
    text = "Packet size must be 0 or greater than IPTFS/ESP header length"
    small = (*attrs, OUT, (PKT_SIZE, header))
    assert refused(*small, talk=Talk(LINUX_7_3), mode=5, **more) == (EINVAL, text)
    enough = (*attrs, OUT, (PKT_SIZE, header + 1))
    assert built(*enough, talk=Talk(LINUX_7_3), mode=5, **more).get(PKT_SIZE) == header + 1


def test_addresses_are_shown_with_all_their_bytes() -> None:
    odd = v4(1)[:4] + b"elevenbytes!"
    shown = built(AEAD, daddr=odd, saddr=odd)
    assert (shown.body.id.daddr, shown.body.saddr) == (odd, odd)
